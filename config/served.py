"""What a protocol file serves, held against our own requests: the request's name, and each field it fills."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from config.documents import Where
from core.messages.catalogue import OPERATIONS
from protocols.mapping import Definition, DefinitionError, FieldMap
from protocols.wording import nearest

_REQUESTS: Mapping[str, type[BaseModel]] = {operation.name: operation.request for operation in OPERATIONS}


def read_definition(data: Any) -> tuple[Definition | None, list[tuple[Where, str]]]:
    """Check a protocol file by itself and against our own requests: what it defines, if anything, and the way to every mistake."""
    wrong = [*_unknown_requests(data)]
    try:
        definition = Definition.load(data)
    except DefinitionError as error:
        return None, [*wrong, *error.problems]
    for name, served in definition.serves.commands.items() if definition.serves is not None else ():
        if served.request in _REQUESTS:
            wrong += _wrong_fields(_REQUESTS[served.request], served.takes, ("serves", "commands", name, "takes"))
    return definition, wrong


def _unknown_requests(data: Any) -> Iterator[tuple[Where, str]]:
    """The way to each request in `serves:` that is not ours, and the nearest that is, whatever else is wrong with the file."""
    for part in ("serves", "commands"):
        data = data.get(part) if isinstance(data, Mapping) else None
    for name, served in data.items() if isinstance(data, Mapping) else ():
        request = served.get("request") if isinstance(served, Mapping) else None
        if isinstance(request, str) and request not in _REQUESTS:
            yield ("serves", "commands", name, "request"), f"there is no request {request}{nearest(request, _REQUESTS)}"


def _wrong_fields(model: type[BaseModel], fields: Mapping[str, FieldMap], where: Where) -> Iterator[tuple[Where, str]]:
    filled = {name.split(".")[0] for name in fields}
    for missing in (n for n, info in model.model_fields.items() if info.is_required() and n not in filled):
        yield where, f"{missing} is missing: {model.__name__} needs it"
    for name, field in fields.items():
        here: type[BaseModel] | None = model
        for part in name.split("."):
            if here is None:
                yield (*where, name), f"{part} is inside a single value"
                break
            info = here.model_fields.get(part)
            if info is None:
                yield (*where, name), f"{here.__name__} has no {part}{nearest(part, here.model_fields)}"
                break
            here = _model_in(info.annotation)
        else:
            if field.list is not None and here is not None:
                for number, item in enumerate(field.list.of):
                    yield from _wrong_fields(here, item, (*where, name, "list", "of", number))
                if field.list.fields is not None:
                    yield from _wrong_fields(here, field.list.fields, (*where, name, "list", "fields"))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The business object that a field holds, or holds a list of."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for part in typing.get_args(annotation) if (found := _model_in(part)) is not None), None)
