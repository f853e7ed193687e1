"""The northbound half of a protocol file: foreign commands become requests of ours, our replies and failures become foreign ones.

    serving = Serving(definition.serves)
    asked = serving.parse("CREATE ORDER", {"REF": "1", ...})     # -> request name, its data, what is said about it
    serving.pack("CREATE ORDER", reply)                           # -> Reply: code, text, fields, tables
    serving.fault("notFound", "no order 7", "id", "SHOW ORDER")   # -> Reply, None where the file says nothing of this kind

Works on plain dicts: whoever binds it makes the business object of `asked.data` and checks it once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from protocols.mapping.engine import Condition, MappingError, SourceText, Template, text_of
from protocols.mapping.fields import FieldMap, ListMap
from protocols.mapping.reading import Fields
from protocols.mapping.reply import NOTHING, Reply
from protocols.wording import nearest

Kind = Literal["malformed", "invalid", "unknownOperation", "authentication", "authorization", "conflict", "notFound", "state", "busy",
               "timeout", "unavailable", "internal"]
"""The kinds of failure, as the outside contract names them."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UnknownCommand(MappingError):
    """The file has no such command."""


class Coded(_Part):
    """A result: its code, its text and its fields. Templates see the reply, or of a failure `kind`, `message`, `field` (as the asker
    calls it) and `correlationId`.
    """

    code: str | None = Field(default=None, description="the result code; without it, the transport's own for this kind")
    text: SourceText | None = Field(default=None, description="the text for people: a template")
    fields: Mapping[str, FieldMap] = Field(default={}, description="fields of the foreign reply")
    tables: Mapping[str, ListMap] = Field(default={}, description="tables of the foreign reply, by title")

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        _Said(self)
        return self


class Outcome(Coded):
    """A result given instead of the ordinary one, when all conditions hold for the reply."""

    when: tuple[Condition, ...] = Field(min_length=1, description="all must hold for the reply")


class Served(_Part):
    """One foreign command and the request it stands for."""

    request: str = Field(min_length=1, description="the request's name in the catalogue (SubmitProductOrder)")
    takes: Mapping[str, FieldMap] = Field(default={}, description="the request's fields, from those of the foreign command")
    context: Mapping[Literal["idempotencyKey", "correlationId", "deadline"], FieldMap] = Field(
        default={}, description="what the command says about itself")
    ignores: frozenset[str] = Field(default=frozenset(), description="fields that may come and mean nothing")
    answer: Coded = Field(default_factory=Coded, description="the reply to a request that succeeded")
    outcomes: tuple[Outcome, ...] = Field(default=(), description="replies with another code; the first whose conditions hold is given")
    failures: Mapping[Kind, Coded] = Field(default={}, description="failures that this command says differently")

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        deadline = self.context.get("deadline")
        if deadline is not None and (deadline.type != "datetime" or deadline.write is not None):
            raise ValueError("context.deadline must be of `type: datetime`")
        _Command(self)
        return self


class Success(_Part):
    """The code and the text of a success, where a command says no other."""

    code: str = Field(default="0", description="the result code")
    text: str = Field(default="Operation succeeded", description="the text for people")


class Serves(_Part):
    """Which foreign commands are served, and how results are told."""

    success: Success = Field(default=Success(), description="code and text of a success")
    failures: Mapping[Kind, Coded] = Field(default={}, description="code and text of each kind of failure; the transport's own without it")
    unknown_fields: Literal["refuse", "ignore"] = Field(default="refuse", description="what becomes of a field that nobody asked for")
    native: bool = Field(default=False, description="commands that are not in the file are taken as native ones")
    commands: Mapping[str, Served] = Field(min_length=1, description="the foreign commands, by name")


class _Said:
    """A result as it is used for each message (attributes of pydantic's models cost more than they look)."""

    __slots__ = ("code", "fields", "tables", "text", "titles", "when")

    def __init__(self, coded: Coded) -> None:
        self.code = coded.code
        self.text = None if coded.text is None else Template(coded.text).fill
        self.fields = Fields(coded.fields)
        self.titles = tuple(coded.tables)
        self.tables = Fields({f"t{n}": FieldMap(list=table) for n, table in enumerate(coded.tables.values())})
        self.when = coded.when if isinstance(coded, Outcome) else ()

    def made(self, data: Mapping[str, Any], *, ok: bool, code: str, text: str) -> Reply:
        """The reply; `code` and `text` stand where the file says nothing. Raises MappingError."""
        if self.text is not None:
            filled = self.text(data)
            text = "" if filled is None else text_of(filled)
        made = self.tables.apply(data)
        return Reply(code if self.code is None else self.code, text, self.fields.apply(data), ok,
                     {title: made.get(f"t{n}", []) for n, title in enumerate(self.titles)} if self.titles else NOTHING)


class _Command:
    """A served command as it is used for each message."""

    __slots__ = ("answer", "context", "failures", "known", "outcomes", "request", "takes")

    def __init__(self, served: Served) -> None:
        self.request = served.request
        self.takes = Fields(served.takes)
        self.context = Fields({str(name): field for name, field in served.context.items()})
        self.answer = _Said(served.answer)
        self.outcomes = tuple(_Said(outcome) for outcome in served.outcomes)
        self.failures = {str(kind): _Said(coded) for kind, coded in served.failures.items()}
        used = {path[0] for fields in (self.takes, self.context) for t in fields.templates() for path in t.paths}
        self.known = frozenset(used | served.ignores)


class Asked(NamedTuple):
    """A foreign command, understood: the request's name, its data, and what was said about it."""

    request: str
    data: dict[str, Any]
    context: Mapping[str, Any]


class Serving:
    """Serves foreign commands as a file says. `success` is the reply to what has no reply of its own (a login)."""

    def __init__(self, serves: Serves) -> None:
        self._serves = serves
        self._commands = {name: _Command(served) for name, served in serves.commands.items()}
        self.success = Reply(serves.success.code, serves.success.text)
        self._failures = {str(kind): _Said(coded) for kind, coded in serves.failures.items()}

    @property
    def native(self) -> bool:
        """Whether commands that are not in the file are native ones."""
        return self._serves.native

    def knows(self, command: str) -> bool:
        """Whether the file has this command."""
        return command in self._commands

    def parse(self, command: str, fields: Mapping[str, Any], problems: list[MappingError] | None = None) -> Asked:
        """Understand a command. Raises UnknownCommand, and MappingError at the first wrong field; given `problems`, adds each instead.

        `fields` may hold texts, lists and nested dicts. A template `$rest` sees the fields that no other template uses, as a
        list of name and value.
        """
        served = self._commands.get(command)
        if served is None:
            raise UnknownCommand(command, f"unknown command {command}{nearest(command, self._commands)}")
        if not served.known.issuperset(fields):
            fields = self._beyond(served, fields, problems)
        data = served.takes.apply(fields, problems)
        context = served.context.apply(fields, problems)
        return Asked(served.request, data, context)

    def _beyond(self, served: _Command, fields: Mapping[str, Any], problems: list[MappingError] | None) -> Mapping[str, Any]:
        rest = [name for name in fields if name not in served.known]
        if "rest" in served.known:
            return {**fields, "rest": [{"name": name, "value": fields[name]} for name in rest]}
        if self._serves.unknown_fields == "refuse":
            wrong = [MappingError(name, f"is not known here{nearest(name, served.known)}", name) for name in rest]
            if problems is None:
                raise wrong[0]
            problems += wrong
        return fields

    def pack(self, command: str, reply: Mapping[str, Any]) -> Reply:
        """Say a reply. Raises UnknownCommand, and MappingError when the reply does not fit the file."""
        served = self._commands.get(command)
        if served is None:
            raise UnknownCommand(command, f"unknown command {command}")
        chosen = served.answer
        for outcome in served.outcomes:
            if all(condition.holds(reply) for condition in outcome.when):
                chosen = outcome
                break
        return chosen.made(reply, ok=True, code=self.success.code, text=self.success.text)

    def fault(self, kind: str, message: str, field: str | None = None, command: str = "", *, correlation: str | None = None,
              code: str = "") -> Reply | None:
        """Say a failure; None where the file says nothing of this kind. `field` is the business field's path, or the foreign one's.

        `code` is the transport's own for this kind, for an entry without one.
        """
        served = self._commands.get(command)
        said = (served.failures.get(kind) if served else None) or self._failures.get(kind)
        if said is None:
            return None
        theirs = self.field(command, field)
        # a check's text begins with our name of the field
        seen = {"kind": kind, "message": message.removeprefix(f"{field}: ") if field else message, "field": theirs,
                "correlationId": correlation}
        return said.made(seen, ok=False, code=code, text=f"{theirs}: {seen['message']}" if theirs else message)

    def field(self, command: str, path: str | None) -> str | None:
        """The asker's name for a field of the request; the path itself where it has none."""
        served = self._commands.get(command)
        return (served.takes.source(path) if served and path else "") or path
