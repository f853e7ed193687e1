"""Regular expressions of pydantic said as XML Schema patterns (XML Schema Part 2, appendix F), as far as they can be."""

from __future__ import annotations

import re

_HEX = re.compile(r"\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})")
_KEPT = frozenset("dDwWsS.-\\[](){}|?*+^nrt")  # escapes that mean the same in both
_MUST_ESCAPE = frozenset(".\\?*+{}()[]|-^")


def xsd_pattern(pattern: str) -> str | None:
    """Translate a pattern anchored at both ends; None when XML Schema has no words for it (the model still checks it).

    Characters that XML 1.0 cannot carry, or only discourages, are left out: they cannot arrive.
    """
    if not pattern.startswith("^") or not pattern.endswith("$") or pattern.endswith("\\$") or re.search(r"\(\?|[*+?}][?+]", pattern):
        return None
    rest, said, in_class = pattern[1:-1], "", False
    while rest:
        if in_class and rest[0] == "]":
            in_class, said, rest = False, said + "]", rest[1:]
        elif in_class:
            item, rest = _class_item(rest)
            if item is None:
                return None
            said += item
        elif rest[0] == "[":
            negated = rest.startswith("[^")
            in_class, said, rest = True, said + ("[^" if negated else "["), rest[2 if negated else 1:]
        elif rest[0] in "^$|":  # an anchor inside, or a choice that the anchors do not enclose
            return None
        else:
            one, rest = _character(rest)
            if one is None:
                return None
            said += one
    return None if in_class or "[]" in said or "[^]" in said else said


def _character(rest: str) -> tuple[str | None, str]:
    """Take one character or operator off the front; returns it as XML Schema writes it."""
    if rest[0] != "\\":
        return rest[0], rest[1:]
    code = _code(rest)
    if code is not None:
        return (_written(code) if _carried(code) else None), rest[_HEX.match(rest).end():]  # type: ignore[union-attr]
    return (rest[:2] if rest[1:2] in _KEPT else None), rest[2:]


def _class_item(rest: str) -> tuple[str | None, str]:
    """Take a character or a range out of a character class."""
    first, rest_after = _code_of(rest)
    if first is not None and rest_after[:1] == "-" and rest_after[1:2] not in ("]", ""):
        last, rest_end = _code_of(rest_after[1:])
        return (None, rest) if last is None else (_range(first, last), rest_end)
    if first is not None:
        return (_written(first) if _carried(first) else ""), rest_after
    return (rest[:2] if rest[1:2] in _KEPT else None), rest[2:]


def _code_of(rest: str) -> tuple[int | None, str]:
    if rest[0] != "\\":
        return ord(rest[0]), rest[1:]
    code = _code(rest)
    return (None, rest) if code is None else (code, rest[_HEX.match(rest).end():])  # type: ignore[union-attr]


def _code(rest: str) -> int | None:
    found = _HEX.match(rest)
    return int(found[1] or found[2], 16) if found else None


def _range(first: int, last: int) -> str:
    if first < 0x20:
        return "".join(_written(c) for c in (0x09, 0x0A, 0x0D) if first <= c <= last) + (
            f"{_written(0x20)}-{_written(last)}" if last > 0x20 else "")
    return f"{_written(first)}-{_written(last)}"


def _carried(code: int) -> bool:
    return code in (0x09, 0x0A, 0x0D) or 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code < 0xFFFE


def _written(code: int) -> str:
    named = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}.get(code)
    return named or ("\\" + chr(code) if chr(code) in _MUST_ESCAPE else chr(code))
