"""Made-up business objects, for trying a protocol file before there is a core behind it."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import AwareDatetime, BaseModel

from core.messages.base import BusinessObject
from core.messages.failures import Failure
from plugins.checking import checked

INSTANT = "2026-01-01T00:00:00Z"


def example(model: type[BusinessObject], request: Mapping[str, Any]) -> BusinessObject:
    """An object with every required field; what the request says under the same name stands in it. Raises Failure."""
    plain = _object(model)
    try:
        return checked(model, _filled(plain, request, model))
    except Failure:
        return checked(model, plain)


def _filled(plain: dict[str, Any], request: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    made = dict(plain)
    for name, value in request.items():
        info = model.model_fields.get(name)
        if info is None or value is None:
            continue
        kind, many = _shape(info.annotation)
        if many and isinstance(value, list):
            made[name] = [_merged(kind, item) for item in value]
        else:
            made[name] = _merged(kind, value)
    return made


def _merged(kind: Any, value: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, BaseModel):
        return _filled(_object(kind), value, kind)
    return value


def _object(model: type[BaseModel]) -> dict[str, Any]:
    return {name: _value(name, info.annotation) for name, info in model.model_fields.items() if info.is_required()}


def _value(name: str, annotation: Any) -> Any:
    kind, many = _shape(annotation)
    one = _single(name, kind)
    return [one] if many else one


def _single(name: str, kind: Any) -> Any:
    if not isinstance(kind, type):
        return name
    if issubclass(kind, BaseModel):
        return _object(kind)
    if issubclass(kind, Enum):
        return next(iter(kind)).value
    for known, value in ((bool, True), (int, 1), (Decimal, "1.00"), (datetime, INSTANT), (date, INSTANT[:10])):
        if issubclass(kind, known):
            return value
    if kind is AwareDatetime:  # a class of its own to the eye, a datetime to pydantic
        return INSTANT
    return "EUR" if name == "unit" else f"{name}-1" if name in {"id", "productOrder"} else name


def _shape(annotation: Any) -> tuple[Any, bool]:
    """What a field holds, and whether it holds several."""
    origin, parts = typing.get_origin(annotation), [a for a in typing.get_args(annotation) if a not in {type(None), Ellipsis}]
    if origin is typing.Annotated or origin in {typing.Union, types.UnionType}:
        return _shape(parts[0])
    if origin in {tuple, list}:
        return _shape(parts[0])[0], True
    return annotation, False
