"""One line of a report, declared once and used both ways: `RETCODE = {code}  {text}` is written so, and read so.

Reading is liberal: runs of blanks may be longer or shorter, capitals do not matter, a text at the end may be missing. Every
pattern made here is linear: what it has passed it does not try again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from protocols.patterns import up_to

_HOLE = re.compile(r"\{([^{}]*)\}")
_TIME = (r"\d\d(?:\d\d)?[-/.]\d{1,2}[-/.]\d{1,2}[ \tT]++\d{1,2}:\d\d(?>:\d\d|)(?>[.,]\d++|)"
         r"(?>[ \t]*+(?:[+-]\d\d?:?+\d\d|Z|UTC|GMT)(?>[ \t]+DST|)|)")
_PATTERNS = {"code": r"[^\s:;,]++", "serial": r"\d[\w.-]*+", "count": r"\d{1,9}", "transaction": r"\S++", "time": _TIME,
             "severity": r"\S++"}
_APART = r"[ \t]++"
_WORDS = r"\S++(?:[ \t]++\S++)*?"
HOLES = frozenset({*_PATTERNS, "echo", "source", "text", "name"})
"""What a template may hold."""


class LineTemplate:
    """A compiled template; `format` is the same for the operator `%`. Raises ValueError for a hole that is not known."""

    def __init__(self, source: str) -> None:
        parts = _HOLE.split(source)
        self.source = source
        self.holes = tuple(parts[1::2])
        unknown = [h for h in self.holes if h not in HOLES]
        if unknown or len(set(self.holes)) != len(self.holes):
            raise ValueError(f"{{{(unknown or self.holes)[0]}}} cannot stand in a line; known, once each, are {', '.join(sorted(HOLES))}")
        self.prefix = parts[0].strip().split(" ")[0].upper()
        self.format = "".join(f"%({part})s" if number % 2 else part.replace("%", "%%") for number, part in enumerate(parts)).rstrip()
        self._pattern = re.compile(_pattern(parts) + r"[ \t]*+\Z", re.IGNORECASE)

    def read(self, line: str) -> dict[str, str] | None:
        """What stands in the holes, for a line without blanks around it; None when it is another line."""
        found = self._pattern.match(line)
        return None if found is None else {name: value.strip() if value else "" for name, value in found.groupdict().items()}

    def write(self, values: Mapping[str, str]) -> str:
        """The line with its holes filled. Raises KeyError for a hole without a value."""
        return (self.format % values).rstrip()


template_of: Callable[[str], LineTemplate] = lru_cache(1024)(LineTemplate)
"""The template of a source, made once: every connection of a dialect has the same."""


def _pattern(parts: list[str]) -> str:
    out = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 2 and not parts[-1].strip()
        if number % 2 == 0:
            out.append(_literal(part.strip() if len(parts) == 1 else part.lstrip() if number == 0 else part))
        elif last and part in ("text", "name"):
            apart = bool(out) and out[-1].endswith(_APART)
            if apart:
                out[-1] = out[-1].removesuffix(_APART)
            out.append(f"(?:{_APART if apart else ''}(?P<{part}>.*))?")
        else:
            out.append(f"(?P<{part}>{_PATTERNS.get(part) or _words(parts[number + 1], last_hole=number == len(parts) - 2)})")
    return "".join(out)


def _words(following: str, *, last_hole: bool) -> str:
    """Free text. The last hole reaches to the last place where the rest of the line fits; another to the first."""
    if last_hole:
        return r"(?:.*\S)?"
    return _WORDS if following[:1] in ("", " ", "\t") else up_to(following.partition(" ")[0], beside=r"\n")


def _literal(text: str) -> str:
    """Blanks beside punctuation may be missing; between words or holes there is at least one."""
    out = []
    pieces = re.split(r"([ \t]+)", text)
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            out.append(re.escape(piece))
            continue
        before, after = pieces[number - 1][-1:], pieces[number + 1][:1]
        loose = (before and not before.isalnum()) or (after and not after.isalnum())
        out.append(r"[ \t]*+" if loose else _APART)
    return "".join(out)


def _known(source: str) -> str:
    LineTemplate(source)
    return source


Line = Annotated[str, AfterValidator(_known)]
"""A line template in a model."""
