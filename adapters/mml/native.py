"""The native commands, derived from the catalogue: a command's flat parameters to and from a request (ITU-T Z.315 shape).

A field is a parameter, called by its short name (`core.messages.base.Parameter`) or its own in capitals. The fields of a
nested object stand beside it. A list of objects carries one object here; a list of plain values is joined by `&`. Money is
its amount, its currency a parameter CURRENCY (or UNIT) of its own. What no field is called becomes a characteristic, where
the request has any. MSGID is the idempotency key. An answer's way back is in `adapters.mml.replies`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import StringConstraints, TypeAdapter, ValidationError

from core.messages.base import BusinessObject, Characteristic, Money, fields_named
from core.messages.catalogue import OPERATIONS, Catalogue, Operation
from core.messages.failures import Failure, Kind
from plugins.checking import invalid, wrong
from protocols.base import LocalProtocolError
from protocols.mml import Command

MESSAGE_ID = "MSGID"
CURRENCY = "EUR"
"""The currency of an amount that comes without one, unless the listener's settings name another."""

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*\Z")
_NO_DEFAULT: Any = object()
_KEY = TypeAdapter[str](Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")])

Path = tuple[str, ...]


def shape_of(annotation: Any) -> tuple[Any, bool]:
    """Strip `Annotated` and `| None`; return the type that is left, or the items' type and True for a list."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        elif origin is tuple:
            return shape_of(get_args(annotation)[0])[0], True
        else:
            return annotation, False


def is_object(kind: Any) -> bool:
    """Whether the type is a business object, not a plain value."""
    return isinstance(kind, type) and issubclass(kind, BusinessObject)


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a parameter's value goes. `default` is what may stay unsaid; `choices` maps a value in any case to the right one."""

    path: Path
    kind: Any
    many: bool = False
    default: Any = _NO_DEFAULT
    choices: Mapping[str, str] | None = None
    currency_of: Path | None = None

    def read(self, text: str) -> Any:
        if self.many:
            return tuple(text.split("&")) if text else ()
        if self.choices is not None:
            return self.choices.get(text.lower(), text)
        return "true" if self.kind is bool and not text else text

    def write(self, value: Any) -> str:
        if not self.many:
            return plain(value)
        texts = [plain(v) for v in value]
        if texts == [""] or any("&" in t for t in texts):
            raise LocalProtocolError(f"{'.'.join(self.path)}: a value of a list is not empty and holds no &")
        return "&".join(texts)


def plain(value: Any) -> str:
    """Write one plain value: decimals without exponent, instants as ISO 8601 with zone, true and false in small letters."""
    if isinstance(value, str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


@dataclass(slots=True)
class _Form:
    """How one request looks as a command, worked out once."""

    model: type[BusinessObject]
    slots: dict[str, _Slot] = field(default_factory=dict)
    needed: list[Path] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    rest: Path | None = None

    def add(self, name: str, slot: _Slot) -> None:
        """Add a slot; a name that is taken gets its object's name in front."""
        if name in self.slots or name == MESSAGE_ID:
            name = f"{slot.path[-2].upper()}_{name}" if len(slot.path) > 1 else f"{name}_"
        if name in self.slots or not _NAME.match(name):
            raise TypeError(f"{self.model.__name__}: {'.'.join(slot.path)} needs a Parameter of its own, {name} cannot be used")
        self.slots[name] = slot

    def walk(self, model: type[BusinessObject], path: Path, needed: bool) -> None:
        for name, short in fields_named(model):
            info = model.model_fields[name]
            kind, many = shape_of(info.annotation)
            here, wanted = (*path, name), needed and info.is_required()
            default = info.get_default() if needed and not info.is_required() else _NO_DEFAULT
            if kind is Characteristic and many:
                if self.rest is not None:
                    raise TypeError(f"{self.model.__name__} has two places for characteristics")
                self.rest = here
            elif kind is Money and not many:
                self.add(short, _Slot((*here, "value"), Decimal))
                currency = _Slot((*here, "unit"), str, currency_of=(*here, "value"))
                for currency_name in ("CURRENCY", "UNIT") if "CURRENCY" not in self.slots else (f"{short}_CURRENCY",):
                    self.add(currency_name, currency)
            elif is_object(kind):
                if wanted:
                    self.needed.append(here)
                if many:
                    self.lists.insert(0, here)
                self.walk(kind, here, wanted)
            else:
                choices = {str(c.value).lower(): str(c.value) for c in kind} if isinstance(kind, type) and issubclass(kind, Enum) else None
                self.add(short, _Slot(here, kind, many, default, choices))

    def parameter(self, loc: tuple[int | str, ...], data: Mapping[str, Any]) -> str | None:
        """Find the parameter that a place in the object came from."""
        path = tuple(p for p in loc if isinstance(p, str))
        if self.rest is not None and path[:len(self.rest)] == self.rest:
            found: Any = data
            for step in loc[:len(self.rest) + sum(isinstance(p, int) for p in loc)]:
                found = found[step]
            return str(found["name"]) if isinstance(found, dict) and "name" in found else None
        return next((name for name, slot in self.slots.items() if slot.path[:len(path)] == path), None)


@cache
def _form(model: type[BusinessObject]) -> _Form:
    form = _Form(model)
    form.walk(model, (), needed=True)
    return form


def parameters(model: type[BusinessObject]) -> tuple[str, ...]:
    """Return the parameters a request may carry, beside MSGID and characteristics of its own naming."""
    return tuple(_form(model).slots)


def message_id(command: Command) -> str | None:
    """Return the command's idempotency key. Raises Failure(INVALID) when it is given but cannot be one."""
    for name, value in command.parameters:
        if name == MESSAGE_ID:
            try:
                return _KEY.validate_python(value)
            except ValidationError as error:
                raise Failure(Kind.INVALID, f"{MESSAGE_ID}: {wrong(error.errors()[0])}", MESSAGE_ID) from None
    return None


def parse(command: Command, catalogue: Catalogue, currency: str = CURRENCY) -> BusinessObject:
    """Make the request a command asks for.

    Raises Failure: UNKNOWN_OPERATION, or INVALID naming the parameter and what is allowed.
    """
    form = _form(catalogue.command(command.name).request)
    data: dict[str, Any] = {}
    for path in form.needed:
        _inside(data, path)
    seen: set[Path | str] = set()
    amounts: dict[Path, dict[str, Any]] = {}
    for name, text in command.parameters:
        slot = form.slots.get(name)
        key = slot.path if slot is not None else name
        if key in seen:
            raise Failure(Kind.INVALID, f"{name} is given twice", name)
        seen.add(key)
        if slot is not None:
            into = _inside(data, slot.path[:-1])
            into[slot.path[-1]] = slot.read(text)
            if slot.kind is Decimal and slot.path[-1] == "value":
                amounts[slot.path] = into
        elif name == MESSAGE_ID:
            continue
        elif form.rest is None:
            raise _unknown(name, form)
        else:
            _inside(data, form.rest[:-1]).setdefault(form.rest[-1], []).append({"name": name, "value": text})
    for into in amounts.values():
        into.setdefault("unit", currency)
    for path in form.lists:
        holder = _find(data, path[:-1])
        if holder is not None and path[-1] in holder:
            holder[path[-1]] = [holder[path[-1]]]
    try:
        return form.model.model_validate(data)
    except ValidationError as error:
        raise invalid(error, lambda place: form.parameter(place, data)) from None


def _inside(data: dict[str, Any], path: Path) -> dict[str, Any]:
    for name in path:
        data = data.setdefault(name, {})
    return data


def _find(data: dict[str, Any], path: Path) -> dict[str, Any] | None:
    found: Any = data
    for name in path:
        found = found.get(name)
        if found is None:
            return None
    assert isinstance(found, dict)
    return found


def _unknown(name: str, form: _Form) -> Failure:
    near = get_close_matches(name, form.slots, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return Failure(Kind.INVALID, f"unknown parameter {name}; {hint}allowed are {', '.join((*form.slots, MESSAGE_ID))}", name)


def pack(request: BusinessObject, message_id: str | None = None, operations: Iterable[Operation] = OPERATIONS) -> Command:
    """Write a request as the command that `parse` reads as the same object.

    Raises LocalProtocolError for what a command cannot say: several items in a list, or characteristics whose names are not
    in capitals, stand twice or are those of fields; KeyError when the request is no operation.
    """
    name = {o.request: o.command for o in operations}[type(request)]
    form = _form(type(request))
    said: list[tuple[str, str]] = []
    written: set[Path] = set()
    for parameter, slot in form.slots.items():
        value = _value(request, slot.path)
        if value is not None and value != slot.default and slot.path not in written:
            written.add(slot.path)
            said.append((parameter, slot.write(value)))
    characteristics: tuple[Characteristic, ...] = (_value(request, form.rest) or ()) if form.rest else ()
    for one in characteristics:
        if not _NAME.match(one.name) or one.name in form.slots or one.name == MESSAGE_ID or any(one.name == n for n, _ in said):
            raise LocalProtocolError(f"a characteristic called {one.name!r} cannot be a parameter")
        said.append((one.name, one.value))
    if message_id is not None:
        said.append((MESSAGE_ID, message_id))
    return Command(name, tuple(said))


def _value(request: Any, path: Path) -> Any:
    """The value at a path; on the way a list of one is its object, an empty one nothing. Raises LocalProtocolError on more."""
    for name in path:
        if isinstance(request, tuple):
            if len(request) > 1:
                raise LocalProtocolError(f"a command carries one of a list's objects, not {len(request)}")
            request = request[0] if request else None
        if request is None:
            return None
        request = getattr(request, name)
    return request
