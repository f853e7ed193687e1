"""What one MML dialect looks like on the wire, as an operator declares it."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator


class DialectError(ValueError):
    """A dialect file says something it cannot; the message names every wrong field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Login(_Part):
    """The command that logs in, and the names of its two parameters."""

    command: str
    user: str
    secret: str


class Results(_Part):
    """What a peer's result codes mean. A code in none of the lists is a refusal for good."""

    success: frozenset[str] = frozenset({"0"})
    progress: frozenset[str] = frozenset()
    retryable: frozenset[str] = frozenset()
    session_lost: frozenset[str] = frozenset()
    not_found: frozenset[str] = frozenset()
    ambiguous: frozenset[str] = frozenset()


class HeaderField(_Part):
    """One fixed-width field of a frame's header. `session`, `dialogue`, `transaction` and `word` are understood."""

    name: str
    width: int = Field(ge=1, le=64)
    value: str = ""


class Dialect(_Part):
    """One dialect. `max_bytes` bounds a command and a report, whole messages with their framing."""

    name: str = Field(alias="dialect")
    framing: Literal["text", "framed"]
    charset: str = "utf-8"
    max_bytes: int = Field(default=65_536, ge=256, le=16_777_216)
    login: Login
    logout: str
    results: Results = Results()
    mask: frozenset[str] = frozenset()
    checksum: Literal["enforce", "ignore"] = "enforce"
    header: tuple[HeaderField, ...] = ()

    @field_validator("charset")
    @classmethod
    def _known_charset(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError as error:
            raise ValueError(f"unknown charset {value}") from error
        return value

    @model_validator(mode="after")
    def _header_is_whole(self) -> Self:
        names = [f.name for f in self.header]
        if len(set(names)) != len(names):
            raise ValueError("header: a field is named twice")
        missing = {"session", "dialogue", "transaction", "word"} - set(names)
        if self.framing == "framed" and missing:
            raise ValueError(f"header: lacks {', '.join(sorted(missing))}")
        if any(len(f.value) > f.width for f in self.header):
            raise ValueError("header: a value is wider than its field")
        if self.header_width % 4:
            raise ValueError("header: the widths must add up to a multiple of 4, the checksum's word")
        return self

    @cached_property
    def header_width(self) -> int:
        """Bytes of header between the length and the body."""
        return sum(f.width for f in self.header)

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Dialect:
        """Check a parsed dialect file. Raises DialectError naming every wrong field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise DialectError("; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'dialect'}: {e['msg']}" for e in error.errors(include_url=False))) from None
