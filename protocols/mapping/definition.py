"""What a protocol file says: how each business command is asked of a foreign system, and what its answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from protocols.mapping.engine import Condition, FieldMap, Fields
from protocols.mapping.simulation import Simulator
from protocols.mapping.soap import Soap


class DefinitionError(ValueError):
    """A protocol file is wrong. `problems` holds (path in the file, what is wrong) of each mistake."""

    def __init__(self, problems: list[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {text}" for path, text in problems))
        self.problems = problems


class Result(StrEnum):
    """What a result code means to the one who asked."""

    SUCCESS = "success"
    RETRYABLE = "retryable"
    SESSION_LOST = "sessionLost"
    NOT_FOUND = "notFound"
    ALREADY_DONE = "alreadyDone"
    AMBIGUOUS = "ambiguous"
    REFUSED = "refused"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Results(_Part):
    """Where the code stands in a reply, and what codes mean. A code that is not listed is a refusal for good."""

    code: str = "$retcode"
    text: str = "$description"
    classes: Mapping[Result, frozenset[str]]

    @model_validator(mode="after")
    def _no_code_twice(self) -> Self:
        codes = [code for listed in self.classes.values() for code in listed]
        if len(codes) != len(set(codes)):
            raise ValueError("classes: a code stands in two classes")
        return self


class Send(_Part):
    """One foreign message: the command or operation, and its fields from the business command's."""

    command: str = Field(min_length=1)
    fields: Mapping[str, FieldMap] = {}
    _fields: Fields = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._fields = Fields(self.fields)
        return self

    def pack(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the foreign message. Raises MappingError."""
        return self._fields.apply(data)


class Query(_Part):
    """How to find out whether a command has been applied. The conditions see the business fields as `asked` and the reply
    as `reply`; `absent` says what it means that the subject is not found.
    """

    send: Send
    applied: tuple[Condition, ...] = Field(default=(), description="all must hold")
    absent: bool = Field(default=False, description="not found means applied")


class Operation(_Part):
    """One business command. It has a query or may be repeated, so that an unknown outcome can always be settled."""

    takes: Mapping[str, FieldMap] = {}
    send: tuple[Send, ...] = Field(min_length=1, max_length=32)
    reply: Mapping[str, FieldMap] = {}
    query: Query | None = None
    repeatable: bool = False
    _takes: Fields = PrivateAttr()
    _reply: Fields = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if (self.query is None) != self.repeatable:
            raise ValueError("give either a query or `repeatable: true`")
        self._takes, self._reply = Fields(self.takes), Fields(self.reply)
        return self

    def check(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The business command's fields, checked. Raises MappingError."""
        return self._takes.apply(data)

    def parse(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        """The business reply's fields. Raises MappingError."""
        return self._reply.apply(reply)


class Definition(_Part):
    """One protocol file. Times are seconds; `patience` is how long a command may wait for an element out of reach.

    `wsdl` is a SOAP partner's contract, a path from the protocol file's folder; `imports` mends references in it that lead
    nowhere: it maps a location or a namespace, as the contract has it, to a file.
    """

    protocol: str
    transport: str
    dialect: str | None = None
    wsdl: str | None = None
    imports: Mapping[str, str] = {}
    soap: Soap = Soap()
    results: Results
    timeout: float = Field(default=10.0, gt=0)
    patience: float = Field(default=300.0, gt=0)
    window: int = Field(default=1, ge=1, le=1024)
    operations: Mapping[str, Operation] = Field(min_length=1)
    simulator: Simulator | None = None
    _classes: dict[str, Result] = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._classes = {code: result for result, codes in self.results.classes.items() for code in codes}
        return self

    def classify(self, code: str) -> Result:
        """What a result code means."""
        return self._classes.get(code, Result.REFUSED)

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Definition:
        """Check a parsed file. Raises DefinitionError with every mistake and its path."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise DefinitionError([(e["loc"], e["msg"]) for e in error.errors(include_url=False)]) from None
