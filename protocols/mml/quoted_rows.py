"""TL1's quoted lines (Telcordia GR-831): `"aid:position,..:NAME=value,..:state"`, to and from a row.

A value without a name is called by its place: `1`, `2` in the first block, `4-1` the first of the fourth. Names stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from protocols.patterns import runs

_NAMES_BLOCK = 3
_ESCAPED = re.compile(r'\\(["\\])')
# An unclosed quote ends with the line: what came must be readable, and no byte is tried twice.
_QUOTED = '"' + runs(r'[^"\\]', r"\\.?+") + r'(?:"|\Z)'
_INNER = re.compile(r"(?>([A-Za-z_][\w.-]*+=(?!=))|)(" + runs('[^",:]', _QUOTED) + r")([,:]|\Z)", re.DOTALL | re.ASCII)
_UNIT = re.compile('"(' + runs(r'[^"\\]', r"\\.") + ')"', re.DOTALL)
_UNSAFE = re.compile(r'[:,="\\]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLACE = re.compile(r"(?:([1-9]\d?)-)?([1-9]\d{0,2})\Z")


def read_row(line: str) -> dict[str, str]:
    """One quoted line, blanks around it gone."""
    text = unescaped(line)
    row: dict[str, str] = {}
    block, position = 1, 0
    for name, value, mark in _INNER.findall(text):
        position += 1
        key = name[:-1] or (f"{block}-{position}" if block > 1 else str(position))
        value = value.strip()  # noqa: PLW2901 (only the stripped value means anything)
        if '"' in value:
            value = _UNIT.sub(lambda m: _ESCAPED.sub(r"\1", m[1]), value)  # noqa: PLW2901 (see above)
        if name or value:
            row[key if key not in row else f"{block}-{position}-{key}"] = value
        if mark == ":":
            block, position = block + 1, 0
        if not mark:
            break
    return row


def unescaped(line: str) -> str:
    """The text of a quoted line."""
    return _ESCAPED.sub(r"\1", line[1:-1] if line.endswith('"') and len(line) > 1 else line[1:])


def write_row(row: Mapping[str, str]) -> str:
    """The quoted line of a row."""
    blocks: dict[int, dict[int, str]] = {}
    named: list[str] = []
    for name, value in row.items():
        place = _PLACE.match(name)
        if place is None:
            named.append(f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}={_value(value)}")
        else:
            blocks.setdefault(int(place[1] or 1), {})[int(place[2])] = _value(value)
    last = max([*blocks, *([_NAMES_BLOCK] if named else [1])])
    texts = []
    for number in range(1, last + 1):
        block = blocks.get(number, {})
        units = [block.get(p, "") for p in range(1, max(block, default=0) + 1)]
        texts.append(",".join([*units, *named] if number == _NAMES_BLOCK else units))
    inner = ":".join(texts)
    return '"' + inner.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(value: str) -> str:
    value = _CONTROL.sub(" ", value)
    if _UNSAFE.search(value) or value != value.strip():
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value
