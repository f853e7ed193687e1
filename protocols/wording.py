"""What pydantic finds wrong with a value, in words for who wrote it: what is allowed there, and nothing of Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_MOST_NAMES = 30
"""How many names are listed when none is near."""
_HOLDS_FIELDS = ("model_type", "model_attributes_type", "dict_type", "mapping_type")
_SHORT = ("too_short", "string_too_short")
_WORDS: Mapping[tuple[str, ...], str] = {
    ("missing",): "is missing",
    ("json_invalid",): "is not JSON: {error}",
    ("extra_forbidden",): "is not known here",
    ("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"): "must be a list",
    ("too_short",): "must have {min_length} or more, not {actual_length}",
    ("too_long",): "must have {max_length} at most, not {actual_length}",
    ("string_type", "string_sub_type"): "must be a text",
    ("string_too_short",): "must have {min_length} characters or more",
    ("string_too_long",): "must have {max_length} characters at most",
    ("string_pattern_mismatch",): "must match {pattern}",
    ("int_type", "int_parsing", "int_parsing_size", "int_from_float"): "must be a whole number",
    ("float_type", "float_parsing", "decimal_type", "decimal_parsing"): "must be a number",
    ("finite_number",): "must be a finite number",
    ("decimal_max_digits",): "must have {max_digits} digits at most",
    ("decimal_max_places",): "must have {decimal_places} digits after the point at most",
    ("decimal_whole_digits",): "must have {whole_digits} digits before the point at most",
    ("bool_type", "bool_parsing"): "must be true or false",
    ("greater_than",): "must be more than {gt}",
    ("greater_than_equal",): "must be {ge} or more",
    ("less_than",): "must be less than {lt}",
    ("less_than_equal",): "must be {le} or less",
    ("literal_error", "enum"): "must be {expected}",
    ("timezone_aware",): "must tell its offset, such as Z or +01:00",
    ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"):
        "must be a date and time such as 2026-11-01T08:00:00Z",
    ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"): "must be a date such as 2026-11-01",
}
_BY_TYPE = {name: words for names, words in _WORDS.items() for name in names}


def mistakes(error: ValidationError) -> list[ErrorDetails]:
    """Return what pydantic found, without lists that it calls too short for want of the items that it found wrong."""
    found = error.errors(include_url=False)
    return [one for one in found if one["type"] != "too_short" or not any(_inside(other["loc"], one["loc"]) for other in found)]


def _inside(place: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(place) > len(outer) and place[:len(outer)] == outer


def said(mistake: Mapping[str, Any], fields: str = "an object") -> str:
    """Say what is allowed, of one of ValidationError's `errors()`; `fields` is what the writer calls a value with fields."""
    kind = mistake["type"]
    if kind in _HOLDS_FIELDS:
        return f"must be {fields}"
    context = {name: f"{value:g}" if isinstance(value, float) else value for name, value in mistake.get("ctx", {}).items()}
    if kind in _SHORT and context["min_length"] == 1:
        return "must not be empty"
    words = _BY_TYPE.get(kind)
    return words.format(**context) if words else str(mistake["msg"]).removeprefix("Value error, ")


def dotted(place: tuple[int | str, ...]) -> str:
    """Write the way to a value, of names and of numbers in lists: `productOrderItem[0].quantity`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def nearest(name: str, right: Iterable[str]) -> str:
    """Return the end of a message about a wrong name: what was probably meant, or what there is."""
    names = sorted(right)
    near = get_close_matches(name, names, n=1, cutoff=0.5) or get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}" if 0 < len(names) <= _MOST_NAMES else ""
