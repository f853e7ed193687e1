"""A protocol file as a whole: what it may say, and every mistake in it with the way to it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from protocols.mapping.amqp import Amqp
from protocols.mapping.engine import SourceText, Template, text_of
from protocols.mapping.fields import Codes, CodeSet
from protocols.mapping.mistakes import Where, explain
from protocols.mapping.operations import Operation
from protocols.mapping.references import with_tables, wrong_references
from protocols.mapping.serving import Serves
from protocols.mapping.simulator import Simulator
from protocols.mapping.soap import Soap


class DefinitionError(ValueError):
    """A protocol file is wrong. `problems` holds (path in the file, what is wrong) of each mistake."""

    def __init__(self, problems: list[tuple[Where, str]]) -> None:
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
    """Where the code stands in a reply, and what codes mean. `ERR*` is every code that begins so; the longest beginning decides where
    no whole code does. A code that is not listed is a refusal for good.
    """

    code: SourceText = Field(default="$retcode", description="where the code is in a reply")
    text: SourceText = Field(default="$description", description="where the text for people is")
    classes: Mapping[Result, CodeSet] = Field(description="the codes of each class")

    @model_validator(mode="after")
    def _no_code_twice(self) -> Self:
        codes = [code for listed in self.classes.values() for code in listed]
        if len(codes) != len(set(codes)):
            raise ValueError("classes: a code stands in two classes")
        return self


class Definition(_Part):
    """One protocol file. From it come the connector (`operations`), the listener (`serves`), the simulator and the conformance check."""

    protocol: str = Field(min_length=1, description="the file's name, by which uip.yaml knows it")
    transport: str = Field(min_length=1, description="what carries it: mml, soap, amqp, or a plug-in's")
    dialect: str | None = Field(default=None, description="the MML dialect")
    wsdl: str | None = Field(default=None, description="a SOAP partner's contract: a path from the file's folder")
    imports: Mapping[str, str] = Field(default={}, description="mends references in the contract that lead nowhere: a location or a "
                                                               "namespace, as the contract has it, and the file it stands for")
    soap: Soap = Field(default=Soap(), description="what is particular to SOAP")
    amqp: Amqp = Field(default=Amqp(), description="what is particular to AMQP")
    codes: Mapping[str, Codes] = Field(default={}, description="code tables by name, for the `codes:` of fields")
    results: Results = Field(default=Results(classes={Result.SUCCESS: frozenset({"0"})}), description="what the answers' codes mean")
    timeout: float = Field(default=10.0, gt=0, description="seconds until the whole answer to a message is given up, all its parts; the "
                                                           "dialect bounds each part")
    patience: float = Field(default=300.0, gt=0, description="seconds a business command is tried again when its element is out of "
                                                             "reach or busy. One that has a deadline sends nothing new after it")
    settle: float = Field(default=0.0, ge=0, description="seconds in which a message whose answer did not come may still be carried out: "
                                                         "the query is not asked sooner")
    window: int = Field(default=1, ge=1, le=1024, description="messages that may be under way at once")
    operations: Mapping[str, Operation] = Field(default={}, description="southbound: each business command, and how it is asked")
    serves: Serves | None = Field(default=None, description="northbound: the foreign commands that are served")
    simulator: Simulator | None = Field(default=None, description="the system that `uip sim` plays")
    _classes: dict[str, Result] = PrivateAttr()
    _beginnings: tuple[tuple[str, Result], ...] = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if not self.operations and self.serves is None and not self.amqp.events:
            raise ValueError("says neither `operations:` nor `serves:`")
        listed = {code: result for result, codes in self.results.classes.items() for code in codes}
        self._classes = {code: result for code, result in listed.items() if not code.endswith("*")}
        begun = [(code[:-1], result) for code, result in listed.items() if code.endswith("*")]
        self._beginnings = tuple(sorted(begun, key=lambda pair: -len(pair[0])))
        return self

    def classify(self, code: str) -> Result:
        """What a result code means."""
        exact = self._classes.get(code)
        if exact is not None:
            return exact
        return next((result for beginning, result in self._beginnings if code.startswith(beginning)), Result.REFUSED)

    def meaning(self, reply: Mapping[str, Any]) -> Result:
        """What a reply means, by the code in it."""
        return self.classify(text_of(Template(self.results.code).fill(reply)))

    @classmethod
    def load(cls, data: Any) -> Definition:
        """Check a parsed file. Raises DefinitionError with every mistake and its path."""
        if not isinstance(data, Mapping):
            raise DefinitionError([((), "must be a mapping")])
        tabled, problems = with_tables(data)
        try:
            made = cls.model_validate(tabled)
        except ValidationError as error:
            # a table's name that was not found is told once, with the nearest
            told = {where for where, _ in problems}
            raise DefinitionError(problems + [p for p in explain(error, cls) if p[0] not in told]) from None
        problems += wrong_references(made)
        if problems:
            raise DefinitionError(problems)
        return made
