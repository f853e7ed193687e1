"""The `simulator:` section of a protocol file: users, records, commands and habits of a system that is played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from protocols.mapping.engine import Condition, SourceText, Template
from protocols.mapping.fields import FieldMap, ListMap
from protocols.mapping.reading import Fields
from protocols.wording import nearest

Effect = Literal["reply", "drop", "half", "garbage", "disconnect"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(_Part):
    """What the system says: its code, a text for people, and fields that are added to the reply."""

    code: str | None = Field(default=None, description="the result code; without it, as usual")
    text: str | None = Field(default=None, description="the text for people; without it, as usual")
    fields: Mapping[str, FieldMap] = Field(default={}, description="fields that are added to the reply")
    _fields: Fields = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._fields = Fields(self.fields)
        return self

    def made(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        """The fields, filled for this message. Raises MappingError."""
        return self._fields.apply(seen)


class Answers(_Part):
    """The codes and texts of the ordinary answers. A command may have its own."""

    success: Answer = Field(default=Answer(code="0", text="Operation succeeded"), description="0: done")
    exists: Answer = Field(default=Answer(code="3002", text="Exists already"), description="3002: what is to be created exists")
    absent: Answer = Field(default=Answer(code="3001", text="Does not exist"), description="3001: there is no such record")
    invalid: Answer = Field(default=Answer(code="1002", text="Wrong parameter"), description="1002: a check of `takes` has failed")
    malformed: Answer = Field(default=Answer(code="1001", text="Syntax error"), description="1001: cannot be read")
    unknown: Answer = Field(default=Answer(code="1003", text="Unknown command"), description="1003: there is no such command")
    not_logged_in: Answer = Field(default=Answer(code="1101", text="Not logged in"), description="1101: nobody has logged in")
    login_refused: Answer = Field(default=Answer(code="1102", text="Wrong name or password"), description="1102: the login is refused")
    full: Answer = Field(default=Answer(code="2001", text="All sessions are in use"), description="2001: too many peers are logged in")


class Spread(_Part):
    """A number between `minimum` and `maximum` (both included) that follows from a text: the same text, the same number."""

    of: SourceText = Field(description="the text: a template")
    minimum: int = Field(default=0, description="smallest number")
    maximum: int = Field(description="largest number")
    _of: Template = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("minimum is above maximum")
        self._of = Template(self.of)
        return self

    def number(self, seen: Mapping[str, Any]) -> int:
        """The number for this message."""
        return self.minimum + crc32(str(self._of.fill(seen)).encode()) % (self.maximum - self.minimum + 1)


class Refusal(_Part):
    """An answer given instead of doing the command, when all conditions hold."""

    when: tuple[Condition, ...] = Field(min_length=1, description="all must hold")
    answer: Answer = Field(description="what is said instead")


class Does(_Part):
    """One command of the system: what it checks, what it does to the records, what it answers.

    Templates see `asked` (the message's fields), `record` (as it is after the command), `records` (all of the store), `numbers`,
    `command` and `serial`, which counts the messages. `read` answers with the whole record unless `reply` says otherwise.
    """

    does: Literal["create", "update", "read", "remove", "answer"] = Field(
        description="what it does to the record of its key; `answer` needs none")
    key: SourceText | None = Field(default=None, description="which record: a template")
    store: str = Field(default="records", description="commands that name the same store share its records")
    takes: Mapping[str, FieldMap] = Field(default={}, description="checks; a field that fails is answered with `invalid`")
    refuse: tuple[Refusal, ...] = Field(default=(), description="answers given instead of doing it; the first that applies is given")
    numbers: Mapping[str, Spread] = Field(default={}, description="numbers made of texts, seen as `numbers.<name>`")
    set: Mapping[str, FieldMap] = Field(default={}, description="what is written to the record")
    reply: Mapping[str, FieldMap] | None = Field(default=None, description="fields of the reply")
    tables: Mapping[str, ListMap] = Field(default={}, description="tables of the reply, by title")
    answers: Mapping[str, Answer] = Field(default={}, description="answers that differ from the system's own")
    _key: Template = PrivateAttr()
    _takes: Fields = PrivateAttr()
    _set: Fields = PrivateAttr()
    _reply: Fields | None = PrivateAttr()
    _tables: Fields = PrivateAttr()

    @property
    def changes(self) -> bool:
        """Whether it changes a record."""
        return self.does in {"create", "update", "remove"}

    @field_validator("answers")
    @classmethod
    def _known_answers(cls, answers: Mapping[str, Answer]) -> Mapping[str, Answer]:
        for name in answers:
            if name not in Answers.model_fields:
                raise ValueError(f"there is no answer {name}{nearest(name, Answers.model_fields)}")
        return answers

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if self.key is None and self.does != "answer":
            raise ValueError(f"`does: {self.does}` needs a key")
        if self.set and self.does not in {"create", "update"}:
            raise ValueError(f"`does: {self.does}` sets nothing")
        self._key = Template(self.key)
        self._takes, self._set = Fields(self.takes), Fields(self.set)
        self._reply = None if self.reply is None else Fields(self.reply)
        self._tables = Fields({f"t{n}": FieldMap(list=table) for n, table in enumerate(self.tables.values())})
        return self


class Habit(_Part):
    """How the system misbehaves, when all conditions hold. The first habit that applies is the one that is followed.

    Without `commands` it concerns those that change something, with `queries` the others too. `times` bounds how often it is
    followed for one value of `per`; `every: 3` follows it each third time. `applied` says whether the command is carried
    out all the same. `reply` answers with `answer` (what it leaves out is as usual), `drop` says nothing, `half` sends half
    the reply and closes, `garbage` sends what is no message, `disconnect` closes.
    """

    does: Effect = Field(default="reply", description="what happens instead of the usual answer")
    when: tuple[Condition, ...] = Field(default=(), description="all must hold")
    commands: frozenset[str] = Field(default=frozenset(), description="the commands it concerns")
    queries: bool = Field(default=False, description="without `commands`: it concerns also those that change nothing")
    match: str | None = Field(default=None, description="a text that the command or one of its values must hold")
    times: int | None = Field(default=None, ge=1, description="how often it is followed at most")
    every: int = Field(default=1, ge=1, description="it is followed each time, or each second, third ... time")
    per: SourceText = Field(default="", description="a template; `times` and `every` count for each of its values")
    applied: bool = Field(default=True, description="whether the command is carried out all the same")
    answer: Answer = Field(default=Answer(), description="what is answered; what it leaves out is as usual")
    delay: float = Field(default=0.0, ge=0, description="seconds before anything is sent")
    _per: Template = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._per = Template(self.per)
        return self

    def concerns(self, command: str, what: Does, seen: Mapping[str, Any]) -> bool:
        """Whether this message is one the habit is about, however often it has been followed."""
        if self.commands:
            if command not in self.commands:
                return False
        elif not (what.changes or self.queries):
            return False
        if self.match is not None and not any(self.match in text for text in (command, *_texts(seen["asked"]))):
            return False
        return all(condition.holds(seen) for condition in self.when)

    @classmethod
    def parse(cls, text: str) -> Habit:
        """Read a fault as it is given on a command line: `delay=0.5`, `drop`, `half`, `disconnect`, `garbage`, `wrong-code=2001`,
        each with an optional `:every=N`, `:times=N` and `:match=TEXT`. It concerns every command. Raises ValueError.
        """
        kind, *more = text.split(":")
        name, _, value = kind.partition("=")
        said: dict[str, Any] = {"queries": True}
        if name == "delay":
            said["delay"] = value
        elif name == "wrong-code":
            if not value:
                raise ValueError("wrong-code needs a code: wrong-code=2001")
            said |= {"applied": False, "answer": {"code": value, "text": "as the fault says"}}
        elif name in {"drop", "half", "disconnect", "garbage"} and not value:
            said["does"] = name
        else:
            raise ValueError(f"{kind!r} is not a fault: delay=SECONDS, drop, half, disconnect, garbage or wrong-code=CODE")
        for part in more:
            option, _, value = part.partition("=")
            if option not in {"every", "times", "match"} or not value:
                raise ValueError(f"{part!r} is not every=N, times=N or match=TEXT")
            said[option] = value
        return cls.model_validate(said)


class Simulator(_Part):
    """The system that `uip sim` plays."""

    name: str = Field(default="SIM", description="what it calls itself")
    port: int = Field(default=0, ge=0, le=65_535, description="where it listens when nothing else is said; 0 is any free port")
    users: Mapping[str, SecretStr] = Field(default={}, description="names and passwords; without any, nobody needs to log in")
    sessions: int = Field(default=64, ge=1, description="how many peers may be logged in at once")
    answers: Answers = Field(default=Answers(), description="the codes and texts of its ordinary answers")
    commands: Mapping[str, Does] = Field(min_length=1, description="what it understands")
    habits: tuple[Habit, ...] = Field(default=(), description="how it misbehaves; the first that applies is followed")
    alarms: Mapping[str, str] = Field(default={}, description="MML: what it says unasked when `uip sim --alarm NAME` has it do so: a whole "
                                                              "report as it stands on the wire, with {time} for the time then")

    @model_validator(mode="after")
    def _habits_know_their_commands(self) -> Self:
        for number, habit in enumerate(self.habits):
            for command in habit.commands:
                if command not in self.commands:
                    raise ValueError(f"habits.{number}.commands: there is no command {command}{nearest(command, self.commands)}")
        return self


def _texts(data: Any) -> list[str]:
    if isinstance(data, Mapping):
        return [text for value in data.values() for text in _texts(value)]
    if isinstance(data, (list, tuple)):
        return [text for value in data for text in _texts(value)]
    return [str(data)]
