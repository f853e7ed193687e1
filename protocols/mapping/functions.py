"""Functions that a field's `apply:` may name: text in, value out. Plug-ins add theirs by the same door (`uip.functions`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import md5
from typing import Any

Function = Callable[[str], Any]
"""Takes the value as text and returns what becomes of it. A ValueError's text tells the asker what is wrong, without the value."""


def _bcd(text: str) -> str:
    """Digits swapped in pairs and filled with F: how numbers stand in signalling messages (3GPP TS 24.008, 10.5.4.7)."""
    if not text.isascii() or not text.isdecimal():
        raise ValueError("must be digits")
    text += "F" * (len(text) % 2)
    return "".join(text[i + 1] + text[i] for i in range(0, len(text), 2))


def _from_bcd(text: str) -> str:
    """The opposite of `bcd`."""
    swapped = "".join(text[i + 1:i + 2] + text[i] for i in range(0, len(text), 2)).upper()
    digits = swapped.removesuffix("F")
    if not digits.isascii() or not digits.isdecimal() or len(text) % 2:
        raise ValueError("must be digits swapped in pairs")
    return digits


_FUNCTIONS: dict[str, Function] = {
    "upper": str.upper,
    "lower": str.lower,
    "trim": str.strip,
    "one_line": lambda text: " ".join(text.split()),
    "digits": lambda text: "".join(c for c in text if c in "0123456789"),
    "bcd": _bcd,
    "from_bcd": _from_bcd,
    "md5": lambda text: md5(text.encode(), usedforsecurity=False).hexdigest(),  # what Parlay X gateways make of name, password and time
}


def functions() -> Mapping[str, Function]:
    """All that there are, by name."""
    return _FUNCTIONS


def add(name: str, function: Function) -> None:
    """Add a function. Raises ValueError when another one has the name."""
    if _FUNCTIONS.setdefault(name, function) is not function:
        raise ValueError(f"there is another function {name}")
