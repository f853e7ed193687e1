"""What is wrong with a file, in an operator's words: where it stands, and the nearest right name."""

from __future__ import annotations

import re
import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from protocols.wording import mistakes, nearest, said

Where = tuple[str | int, ...]
"""The way to a value from the top of its file: keys, and indexes counted from 0."""

_QUOTED = re.compile("'([^']*)'")


def explain(error: ValidationError, model: type[BaseModel]) -> list[tuple[Where, str]]:
    """Say what pydantic found: the way to each value, and what is allowed there."""
    found: list[tuple[Where, str]] = []
    for one in mistakes(error):
        where: Where = tuple(part for part in one["loc"] if not (isinstance(part, str) and _internal(part)))
        text = said(one, "a mapping")
        if one["type"] == "extra_forbidden":
            text = f"is not known here{nearest(str(where[-1]), _names_at(model, where[:-1]))}"
        elif one["type"] in {"literal_error", "enum"}:
            text = f"{one['input']!r} is not known here{nearest(str(one['input']), _QUOTED.findall(one['ctx']['expected']))}"
        found.append((where, text))
    return found


def _internal(part: str) -> bool:
    """Pydantic names the branch of a union, or the key of a mapping, as a part of its own."""
    return part.endswith("]") or "[" in part


def _names_at(model: Any, where: Where) -> list[str]:
    """The field names allowed at a place inside a model, as far as its annotations tell."""
    here: list[Any] = [model]
    for part in where:
        following: list[Any] = []
        for annotation in here:
            for candidate in _models_in(annotation):
                for name, info in candidate.model_fields.items():
                    if part in (name, info.alias):
                        following.append(info.annotation)
        here = following or here
    models = [candidate for annotation in here for candidate in _models_in(annotation)]
    return [info.alias or name for candidate in models for name, info in candidate.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]
