"""What a peer sent, made into a business object, or refused in words that the peer understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from core.messages.base import ONE_LINE, BusinessObject
from core.messages.failures import Failure, Kind
from protocols.wording import dotted, mistakes, said

Place = tuple[int | str, ...]
"""Where in a business object: names of fields, and numbers in lists."""
_MOST_TOLD = 5


def checked(model: type[BusinessObject], data: object) -> BusinessObject:
    """Make a business object of what a peer sent. Raises Failure(INVALID) naming the first wrong field and what is allowed."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(error) from None


def checked_json(model: type[BusinessObject], data: bytes) -> BusinessObject:
    """Like `checked`, from JSON text. Raises Failure(MALFORMED) when it is not JSON at all."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Failure(Kind.MALFORMED, wrong(first)) from None
        raise invalid(error) from None


def invalid(error: ValidationError, called: Callable[[Place], str | None] = lambda _: None) -> Failure:
    """Say in one line what is wrong: where, and what is allowed, of the first few fields. `field` is the first one's path; `called` gives
    a place the name that the asker knows it by.
    """
    found = mistakes(error)
    told = [f"{name}: {wrong(one)}" if (name := called(one["loc"]) or dotted(one["loc"])) else wrong(one) for one in found[:_MOST_TOLD]]
    if len(found) > len(told):
        told.append(f"and {len(found) - len(told)} more")
    return Failure(Kind.INVALID, "; ".join(told), dotted(found[0]["loc"]) or None)


def wrong(mistake: Mapping[str, Any]) -> str:
    """Say what is allowed, of one of the mistakes that pydantic found in a business object."""
    if mistake.get("ctx", {}).get("pattern") == ONE_LINE:
        return "must be one line without control characters"
    return said(mistake)
