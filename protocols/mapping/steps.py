"""What is done to one value of a message: functions, codes, types, checks, and its outward form, as small functions in a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from protocols.mapping.engine import text_of
from protocols.mapping.functions import functions

if TYPE_CHECKING:
    from protocols.mapping.fields import FieldMap

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,24}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})\Z")
_SHOWN = 20
"""How many allowed values an error names."""

Step = Callable[[Any], Any]
"""Takes a value and returns what becomes of it. Raises ValueError saying what is allowed."""


class Wrong(ValueError):
    """A check has failed; the text says what is allowed."""


def steps_of(field: FieldMap) -> tuple[Step, ...]:
    """What is done to a value that is there, in order. Raises ValueError where the field's checks make no sense together."""
    return tuple(_steps(field))


def _steps(field: FieldMap) -> Iterator[Step]:
    if field.type != "any" and (field.apply or field.codes is not None):
        yield _single
    for name in field.apply:
        yield _applied(functions()[name])
    if field.codes is not None:
        yield _coded(field.codes, field.pick, field.otherwise)
    typed = _typed(field)
    if typed is not None:
        yield typed
    yield from _checks(field)
    if field.write is not None:
        zone, form = ZoneInfo(field.zone), field.write
        yield lambda value: value.astimezone(zone).strftime(form)
    if field.places is not None:
        quantum = Decimal(1).scaleb(-field.places)
        yield lambda value: format(value.quantize(quantum, ROUND_HALF_UP), "f")


def _single(value: Any) -> Any:
    if isinstance(value, (Mapping, list, tuple)):
        raise Wrong("must be a single value")
    return value


def _applied(function: Step) -> Step:
    return lambda value: function(text_of(value))


def _coded(codes: Mapping[str, Any], pick: str | None, otherwise: Any) -> Step:
    listed = ", ".join([*codes][:_SHOWN]) + (" ..." if len(codes) > _SHOWN else "")

    def step(value: Any) -> Any:
        meant = codes.get(text_of(value), otherwise)
        if meant is None:
            raise Wrong(f"must be one of {listed}")
        return meant.get(pick) if pick is not None and isinstance(meant, Mapping) else meant

    return step


def _typed(field: FieldMap) -> Step | None:
    if field.type == "datetime":
        return _datetime(field)
    plain: dict[str, Step] = {"string": _string, "integer": _integer, "decimal": _decimal, "boolean": _boolean}
    return plain.get(field.type)


def _string(value: Any) -> str:
    return value if type(value) is str else text_of(_single(value))


def _integer(value: Any) -> int:
    text = _string(value).strip()
    if not _INTEGER.match(text):
        raise Wrong("must be a whole number")
    return int(text)


def _decimal(value: Any) -> Decimal:
    text = _string(value).strip()
    if not _DECIMAL.match(text):
        raise Wrong("must be a number")
    return Decimal(text)


def _boolean(value: Any) -> bool:
    text = _string(value).strip().lower()
    if text not in {"true", "false", "1", "0"}:
        raise Wrong("must be true or false")
    return text in {"true", "1"}


def _datetime(field: FieldMap) -> Step:
    zone = ZoneInfo(field.zone)
    forms = field.format
    told = " or ".join(forms) or "ISO 8601"

    def by_form(text: str) -> datetime:
        for form in forms:
            try:
                return datetime.strptime(text, form)  # noqa: DTZ007 (the zone is given below)
            except ValueError:
                continue
        raise ValueError

    parsed = by_form if forms else datetime.fromisoformat

    def step(value: Any) -> datetime:
        try:
            made = value if isinstance(value, datetime) else parsed(text_of(value).strip())
        except ValueError:
            raise Wrong(f"must be a date and time as {told}") from None
        return made if made.tzinfo is not None else made.replace(tzinfo=zone)

    return step


def _checks(field: FieldMap) -> Iterator[Step]:
    pattern, one_of, shortest, longest = field.pattern, field.one_of, field.min_length, field.max_length
    if pattern is not None:
        yield _check_text(pattern.fullmatch, f"must match {pattern.pattern}")
    if one_of is not None:
        yield _check_text(frozenset(one_of).__contains__, f"must be one of {', '.join(one_of[:_SHOWN])}")
    if shortest is not None:
        yield _check_text(lambda text: len(text) >= shortest, f"must be at least {shortest} long")
    if longest is not None:
        yield _check_text(lambda text: len(text) <= longest, f"must be at most {longest} long")
    smallest, largest = _bound(field.minimum), _bound(field.maximum)
    if smallest is not None or largest is not None:
        if field.type not in {"integer", "decimal"}:
            raise ValueError("minimum and maximum are for `type: integer` and `type: decimal`")
        yield _check_bounds(smallest, largest)


def _bound(number: Decimal | None) -> Decimal | int | None:
    """The same number, whole if it is: whole numbers are compared much faster."""
    return int(number) if number is not None and number == number.to_integral_value() else number


def _check_text(holds: Callable[[str], Any], told: str) -> Step:
    def step(value: Any) -> Any:
        if not holds(value if type(value) is str else text_of(value)):
            raise Wrong(told)
        return value

    return step


def _check_bounds(smallest: Decimal | int | None, largest: Decimal | int | None) -> Step:
    def step(value: Any) -> Any:
        if smallest is not None and value < smallest:
            raise Wrong(f"must be at least {smallest}")
        if largest is not None and value > largest:
            raise Wrong(f"must be at most {largest}")
        return value

    return step
