"""What a protocol file says of a business command: which foreign messages it takes, and how an unknown outcome is settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from protocols.mapping.engine import Condition
from protocols.mapping.fields import FieldMap
from protocols.mapping.reading import Fields


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Message(_Part):
    """One foreign message: the command or operation, and its fields from the business command's."""

    command: str = Field(min_length=1, description="the foreign command or operation")
    fields: Mapping[str, FieldMap] = Field(default={}, description="its fields, from those of `takes`")
    _fields: Fields = PrivateAttr()

    @model_validator(mode="after")
    def _compile_fields(self) -> Self:
        self._fields = Fields(self.fields)
        return self

    def pack(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the foreign message. Raises MappingError."""
        return self._fields.apply(data)


class Query(_Part):
    """How to find out whether a message has been applied. The conditions see the business fields as `asked` and the reply as `reply`."""

    send: Message = Field(description="the question")
    applied: tuple[Condition, ...] = Field(default=(), description="all must hold")
    absent: bool = Field(default=False, description="that the subject is not found means applied")
    reply: Mapping[str, FieldMap] | None = Field(default=None, description="the business reply's fields when the query has settled the "
                                                                         "command; without it, as the operation's own")
    _reply: Fields | None = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if not self.applied and not self.absent:
            raise ValueError("say when the message is applied: `applied:` or `absent: true`")
        self._reply = None if self.reply is None else Fields(self.reply)
        return self

    def parse(self, reply: Mapping[str, Any]) -> dict[str, Any] | None:
        """The business reply's fields, None where the operation's own map is meant. Raises MappingError."""
        return None if self._reply is None else self._reply.apply(reply)


class Send(Message):
    """One step of an operation. It has a query or may be repeated, so that an unknown outcome can always be settled."""

    when: tuple[Condition, ...] = Field(default=(), description="the step is left out unless all hold")
    query: Query | None = Field(default=None, description="tells whether the step has been applied")
    repeatable: bool = Field(default=False, description="sending it twice does no harm")
    undo: Message | None = Field(default=None, description="sent when a later step is refused for good")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.query is not None and self.repeatable:
            raise ValueError("give either a query or `repeatable: true`")
        return self

    def wanted(self, asked: Mapping[str, Any]) -> bool:
        """Whether this command takes the step."""
        return all(condition.holds(asked) for condition in self.when)


class Operation(_Part):
    """One business command. A single step's query may stand here, beside `send`; several steps each have their own."""

    takes: Mapping[str, FieldMap] = Field(default={}, description="the business command's fields and their checks")
    send: tuple[Send, ...] = Field(min_length=1, max_length=32, description="the foreign messages, in order")
    reply: Mapping[str, FieldMap] = Field(default={}, description="the business reply's fields, from the last message's reply")
    query: Query | None = Field(default=None, description="tells whether the only step has been applied")
    repeatable: bool = Field(default=False, description="sending it again does no harm")
    _takes: Fields = PrivateAttr()
    _reply: Fields = PrivateAttr()
    _steps: tuple[Send, ...] = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        steps = self.send
        if self.query is not None:
            if len(steps) > 1 or steps[0].query is not None or self.repeatable:
                raise ValueError("the query beside `send` is that of a single step; give each step its own")
            steps = (steps[0].model_copy(update={"query": self.query}),)
        for number, step in enumerate(steps):
            if step.query is None and not step.repeatable and not self.repeatable:
                raise ValueError(f"send.{number}: give either a query or `repeatable: true`")
        self._steps = steps
        self._takes, self._reply = Fields(self.takes), Fields(self.reply)
        return self

    def check(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The business command's fields, checked. Raises MappingError."""
        return self._takes.apply(data)

    def steps(self, asked: Mapping[str, Any]) -> tuple[Send, ...]:
        """The steps that this command takes."""
        return tuple(step for step in self._steps if step.wanted(asked))

    def parse(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        """The business reply's fields. Raises MappingError."""
        return self._reply.apply(reply)
