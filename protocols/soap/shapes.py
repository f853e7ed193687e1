"""What a business object looks like in XML, read once from its pydantic model: fields, cardinalities, value spaces.

The contract (spyne), the decoder and the encoder are all made from these shapes, so that they cannot disagree. Only what an
XML schema can say is kept; the model itself still has the last word on every request.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from protocols.soap.patterns import xsd_pattern


class Kind(StrEnum):
    """A value space of XML Schema, by the name of its built-in type."""

    STRING = "string"
    INT = "int"
    LONG = "long"
    DECIMAL = "decimal"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    DATE_TIME = "dateTime"
    BINARY = "base64Binary"


@dataclass(frozen=True, slots=True)
class Simple:
    """A value without parts. `values` are the allowed ones where they are listed; `name` is the enumeration's.

    `length` is (least, most) in characters; `bounds` is (>=, >, <=, <) and `digits` (in all, after the point), as far as set.
    """

    kind: Kind
    values: tuple[str, ...] = ()
    name: str | None = None
    length: tuple[int | None, int | None] = (None, None)
    pattern: str | None = None
    bounds: tuple[Any, Any, Any, Any] = (None, None, None, None)
    digits: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Member:
    """One element inside a record. `least` and `most` count its occurrences; `most` is None without a bound."""

    name: str
    type: Simple | Record
    least: int
    most: int | None

    @property
    def many(self) -> bool:
        """Whether it is a list (of repeated elements, without one round them)."""
        return self.most != 1


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """An element with parts, in the model's order."""

    name: str
    doc: str
    members: tuple[Member, ...]

    def holds(self, kind: Kind) -> bool:
        """Whether a value of this kind can stand in it, at any depth."""
        return any(m.type.holds(kind) if isinstance(m.type, Record) else m.type.kind is kind for m in self.members)


class Shapes:
    """Makes the shape of each model once. Raises TypeError on what XML Schema cannot say; it names the model and the field."""

    def __init__(self) -> None:
        self._made: dict[type[BaseModel], Record] = {}
        self._names: dict[str, type[BaseModel]] = {}

    def of(self, model: type[BaseModel]) -> Record:
        """Return the shape of a model."""
        made = self._made.get(model)
        if made is None:
            if self._names.setdefault(model.__name__, model) is not model:
                raise TypeError(f"two models are called {model.__name__}")
            made = self._made[model] = Record(model.__name__, _summary(model), tuple(self._members(model)))
        return made

    def _members(self, model: type[BaseModel]) -> Iterator[Member]:
        for name, info in model.model_fields.items():
            try:
                yield self._member(name, info)
            except TypeError as error:
                raise TypeError(f"{model.__name__}.{name}: {error}") from None

    def _member(self, name: str, info: FieldInfo) -> Member:
        annotation, constraints = _unwrap(info.annotation, _flat(info.metadata))
        least = 1 if info.is_required() else 0
        inner = get_args(annotation)
        if get_origin(annotation) in (tuple, list):
            if get_origin(annotation) is tuple and (len(inner) != 2 or inner[1] is not Ellipsis):
                raise TypeError("a tuple must be tuple[X, ...]")
            item, item_constraints = _unwrap(inner[0], [])
            most = constraints.get("max_length")
            return Member(name, self._type(item, item_constraints), (constraints.get("min_length") or 0) if least else 0,
                          most if most != 1 else 1)
        return Member(name, self._type(annotation, constraints), least, 1)

    def _type(self, annotation: Any, constraints: dict[str, Any]) -> Simple | Record:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self.of(annotation)
        return _simple(annotation, constraints)


def _simple(annotation: Any, has: dict[str, Any]) -> Simple:
    if get_origin(annotation) is Literal:
        return Simple(Kind.STRING, values=tuple(map(str, get_args(annotation))))
    if not isinstance(annotation, type):
        raise TypeError(f"{annotation} cannot be said in XML Schema")
    bounds = (has.get("ge"), has.get("gt"), has.get("le"), has.get("lt"))
    if issubclass(annotation, Enum):
        return Simple(Kind.STRING, values=tuple(str(v.value) for v in annotation), name=annotation.__name__)
    if issubclass(annotation, bool):
        return Simple(Kind.BOOLEAN)
    if issubclass(annotation, str):
        pattern = has.get("pattern")
        return Simple(Kind.STRING, length=(has.get("min_length"), has.get("max_length")),
                      pattern=xsd_pattern(pattern) if isinstance(pattern, str) else None)
    if issubclass(annotation, int):
        small = all(b is not None and -2**31 <= b < 2**31 for b in (bounds[0] or bounds[1] or 0, bounds[2] or bounds[3]))
        return Simple(Kind.INT if small else Kind.LONG, bounds=bounds)
    if issubclass(annotation, Decimal):
        return Simple(Kind.DECIMAL, bounds=bounds, digits=(has.get("max_digits"), has.get("decimal_places")))
    for python, kind in ((float, Kind.DOUBLE), (AwareDatetime, Kind.DATE_TIME), (datetime, Kind.DATE_TIME), (date, Kind.DATE),
                         (bytes, Kind.BINARY)):
        if issubclass(annotation, python):
            return Simple(kind, bounds=bounds if kind is Kind.DOUBLE else (None, None, None, None))
    raise TypeError(f"{annotation.__name__} cannot be said in XML Schema")


def _unwrap(annotation: Any, constraints: Iterable[tuple[str, Any]]) -> tuple[Any, dict[str, Any]]:
    """Take `Annotated` and `| None` off; None is said by leaving the element out, so it needs no `nillable`."""
    found = dict(constraints)
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *metadata = get_args(annotation)
            found = {**dict(_flat(metadata)), **found}
        elif origin in (Union, types.UnionType):
            rest = [a for a in get_args(annotation) if a is not type(None)]
            if len(rest) != 1:
                raise TypeError("a choice of types cannot be said in XML Schema")
            annotation = rest[0]
        else:
            return annotation, found


_CONSTRAINTS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern", "max_digits", "decimal_places")


def _flat(metadata: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _flat(item.metadata)
        for name in _CONSTRAINTS:
            value = getattr(item, name, None)
            if value is not None:
                yield name, value


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())
