"""What a peer's result codes and texts mean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from protocols.mml.session import Part

Meaning = Literal["success", "progress", "retryable", "session_lost", "not_found", "ambiguous", "refused"]
_CLASSES: tuple[Meaning, ...] = ("success", "progress", "retryable", "session_lost", "not_found", "ambiguous")


class TextResult(Part):
    """A plain text that comes instead of a report."""

    text: str = Field(min_length=3, max_length=200, description="how the line begins")
    code: str = Field(min_length=1, description="the result code it stands for; list it in one of the classes")


class Results(Part):
    """Codes by meaning. `ERR*` means every code that begins so. A code in none of the lists is a refusal for good."""

    success: tuple[str, ...] = Field(default=("0",), min_length=1, description="done; the first is the one this side writes")
    progress: frozenset[str] = Field(default=frozenset(), description="under way: another report follows")
    retryable: frozenset[str] = Field(default=frozenset(), description="nothing was done; may be tried again")
    session_lost: frozenset[str] = Field(default=frozenset(), description="nothing was done; log in, then again")
    not_found: frozenset[str] = Field(default=frozenset(), description="what the command is about does not exist")
    ambiguous: frozenset[str] = Field(default=frozenset(), description="may have been done: ask before trying again")
    texts: tuple[TextResult, ...] = Field(default=(), description="texts that come instead of a report")
    written: Mapping[str, str] = Field(default={}, description="server: the dialect's own code for one of ours (`\"1003\": ICNV`)")

    @model_validator(mode="after")
    def _no_code_twice(self) -> Self:
        listed = [code for name in _CLASSES for code in getattr(self, name)]
        twice = sorted({code for code in listed if listed.count(code) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands in two classes")
        return self

    @property
    def ok(self) -> str:
        """The code this side writes for a success."""
        return self.success[0]

    @cached_property
    def _exact(self) -> dict[str, Meaning]:
        return {code: name for name in _CLASSES for code in getattr(self, name) if not code.endswith("*")}

    @cached_property
    def _beginnings(self) -> list[tuple[str, Meaning]]:
        found = [(code[:-1], name) for name in _CLASSES for code in getattr(self, name) if code.endswith("*")]
        return sorted(found, key=lambda pair: -len(pair[0]))

    def means(self, code: str) -> Meaning:
        """What a code means; the longest beginning that fits decides where no whole code does."""
        exact = self._exact.get(code)
        if exact is not None:
            return exact
        return next((name for beginning, name in self._beginnings if code.startswith(beginning)), "refused")
