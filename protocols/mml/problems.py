"""What is wrong with an operator's file, said with the path of each mistake and the nearest right name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from protocols.wording import mistakes, nearest, said

Path = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


class DialectError(ValueError):
    """A definition says something it cannot. `problems` holds (path in the file, what is wrong) of every mistake."""

    def __init__(self, problems: list[tuple[Path, str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, path)) or 'file'}: {text}" for path, text in problems))
        self.problems = problems


def checked(model: type[Model], data: Mapping[str, Any]) -> Model:
    """Validate a parsed file. Raises DialectError."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise DialectError([_told(model, e) for e in mistakes(error)]) from None


def _told(model: type[BaseModel], error: Any) -> tuple[Path, str]:
    path: Path = tuple(error["loc"])
    if error["type"] == "extra_forbidden":
        return path, f"no such field{nearest(str(path[-1]), _fields_at(model, path[:-1]))}"
    if error["type"] == "literal_error":
        allowed = [a.strip("'") for a in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return path, f"must be one of {', '.join(allowed)}{nearest(str(error['input']), allowed)}"
    if error["type"] == "string_type" and isinstance(error["input"], bool | int | float):
        return path, f"is {json.dumps(error['input'])} to YAML, not a text: write it in quotes"
    return path, said(error, "a mapping")


def _fields_at(model: type[BaseModel], path: Path) -> list[str]:
    """The names a mapping at this place of the file may have."""
    here: Any = model
    for step in path:
        if isinstance(step, int):
            continue
        if not (isinstance(here, type) and issubclass(here, BaseModel)):
            return []
        found = next((f for name, f in here.model_fields.items() if step in (name, f.alias)), None)
        if found is None:
            return []
        here = _model_in(found.annotation)
    if isinstance(here, type) and issubclass(here, BaseModel):
        return [f.alias or name for name, f in here.model_fields.items()]
    return []


def _model_in(annotation: Any) -> Any:
    """The model that an annotation holds: itself, an optional one, or a tuple's or mapping's items."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(_model_in, get_args(annotation)) if found is not None), None)
