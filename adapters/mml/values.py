"""Values between a message map, which has plain nested ones, and a codec, which has texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocols.mapping.engine import text_of
from protocols.mml import Nested


def said(value: Any) -> str:
    """A map's value as a codec takes it."""
    return Nested.of(_leaves(value)) if isinstance(value, (Mapping, list, tuple)) else text_of(value)


def heard(text: str) -> Any:
    """A codec's value as a map looks into it."""
    return text.value if isinstance(text, Nested) else text


def _leaves(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _leaves(inner) for name, inner in value.items() if inner is not None}
    return list(map(_leaves, value)) if isinstance(value, (list, tuple)) else text_of(value)
