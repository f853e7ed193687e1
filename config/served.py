"""What a protocol file serves, held against our own requests: the request's name, and each field it fills."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from config.documents import Where, nearest
from core.messages.catalogue import OPERATIONS
from protocols.mapping import Definition, FieldMap

_REQUESTS: Mapping[str, type[BaseModel]] = {operation.name: operation.request for operation in OPERATIONS}


def wrong_requests(definition: Definition) -> Iterator[tuple[Where, str]]:
    """The way to each name in `serves:` that is not ours, and the nearest that is."""
    if definition.serves is None:
        return
    for name, served in definition.serves.commands.items():
        where: Where = ("serves", "commands", name)
        model = _REQUESTS.get(served.request)
        if model is None:
            yield (*where, "request"), f"there is no request {served.request}{nearest(served.request, _REQUESTS)}"
        else:
            yield from _wrong_fields(model, served.takes, (*where, "takes"))


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
