"""Cutting a stream of text: commands and one-line answers at terminators outside quotes, reports at their end lines.

Every byte is looked at a fixed number of times, however the stream arrives, and what is cut does not depend on how it arrived.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from protocols.base import RemoteProtocolError
from protocols.mml.stream_model import End
from protocols.patterns import runs

_LONGEST_MARK = 512
_BLANK = b" \t\r\n\0\2\3\4\7"
_SPACE = re.compile(rb"\s*+")


class Cut(NamedTuple):
    """A piece of the stream. `ended` tells what closed it: `end`, `more`, `prompt` or `text` (a text instead of a report)."""

    data: bytes
    ended: str = "end"
    mark: str = ""


Piece = Cut | RemoteProtocolError


@lru_cache(64)
def pair(charset: str) -> bytes:
    """A regex for one character of two bytes, in charsets where the second may be a backslash (GBK, Big5, Shift JIS); else empty."""
    def one(lead: int, trail: int) -> bool:
        try:
            return len(bytes([lead, trail]).decode(charset)) == 1
        except UnicodeDecodeError:
            return False

    if not any(one(lead, 0x5C) for lead in range(0x80, 0x100)):
        return b""
    leads = b"".join(b"\\x%02x" % lead for lead in range(0x80, 0x100) if any(one(lead, trail) for trail in range(0x40, 0x100)))
    return b"[" + leads + rb"][\x40-\x7e\x80-\xfe]"


def _quoted(mark: bytes, escaped: bytes, double: bytes) -> bytes:
    """A regex for a value in quotes, run by run; where a character has two bytes, each that may be one of them by itself."""
    high = rb"\x80-\xff" if double else b""
    plain = b"[^" + mark + escaped + rb"\n" + high + b"]"
    return mark + runs(plain, double, b"[" + high + b"]" if high else b"", rb"\\[^\n]" if escaped else b"") + mark


class TextCutter:
    """Cuts at terminators outside quotes and comments. A line end inside quotes is where a lost quote ends: a fault of the command.

    `prompts`, and blanks, are taken off where a message begins.
    """

    def __init__(self, limit: int, terminators: Iterable[str] = (";",), *, quotes: str = '"', escape: str = "\\", comments: bool = True,
                 charset: str = "utf-8", quote_ends_line: bool = True, prompts: Iterable[str] = ()) -> None:
        self._limit = limit
        self._held = bytearray()
        self._at = 0
        self._inside = b""
        self._fresh = True
        ends = b"".join(re.escape(t.encode()) for t in terminators)
        double = pair(charset)
        marks = b"".join(re.escape(q.encode()) for q in quotes)
        comment = rb"|/\*" if comments else b""
        self._plain = re.compile(b"[" + ends + marks + b"]" + comment)
        escaped = rb"\\" if escape == "\\" else b""
        self._quoted = {q: re.compile((double + b"|" if double else b"") + b"[" + re.escape(q) + escaped + rb"\n]")
                        for q in (quote.encode() for quote in quotes)}
        inner = [_quoted(re.escape(q.encode()), escaped, double) for q in quotes]
        slash = (rb"/(?!\*)", rb"/\*[\s\S]*?\*/") if comments else ()
        # One whole message in one go: what nearly always comes.
        self._whole = re.compile(runs(b"[^" + ends + marks + (b"/" if comments else b"") + b"]", *slash, *inner) + b"([" + ends + b"])")
        self._escape = bool(escaped)
        self._fault_in_quotes = quote_ends_line
        self._line_end_ends = "\n" in terminators
        self._prompts = [(p.rstrip().encode(charset), p) for p in sorted(prompts, key=len)]

    def cut(self, data: bytes) -> Iterator[Piece]:
        """Take bytes; give each whole message without its terminator, prompts, and what went wrong."""
        held = self._held
        held += data
        start = 0
        while True:
            if self._fresh:
                if self._prompts:
                    start, prompt = self._prompt(start)
                    if prompt is None:
                        break
                    if prompt:
                        yield Cut(b"", "prompt", prompt)
                        continue
                start = self._at = _SPACE.match(held, start).end()  # type: ignore[union-attr]  # it matches always
                if start == len(held):
                    break
                found = self._whole.match(held, start)
                if found is not None:
                    end = found.start(1)
                    yield Cut(bytes(held[start:end])) if end - start <= self._limit else self._too_long()
                    start = self._at = found.end()
                    continue
                self._fresh = False
            end_at = self._next()
            if end_at is None:
                break
            bad, self._inside, self._fresh = self._inside == b"\n", b"", True
            if bad:
                yield RemoteProtocolError("a quoted value is not closed on its line")
            else:
                yield Cut(bytes(held[start:end_at])) if end_at - start <= self._limit else self._too_long()
            start = self._at
        del held[:start]
        self._at -= start
        if len(held) > self._limit:
            held.clear()
            self._at, self._inside, self._fresh = 0, b"", True
            yield self._too_long(fatal=True)

    def _too_long(self, *, fatal: bool = False) -> RemoteProtocolError:
        return RemoteProtocolError(f"longer than {self._limit} bytes", fatal=fatal)

    def _prompt(self, start: int) -> tuple[int, str | None]:
        """Skip blanks; take a prompt off. None: what has come may become a prompt."""
        held = self._held
        while start < len(held) and held[start] in _BLANK:
            start += 1
        for literal, prompt in self._prompts:
            if held.startswith(literal, start):
                return start + len(literal), prompt
        rest = bytes(held[start:start + _LONGEST_MARK])
        if not rest or any(literal.startswith(rest) for literal, _ in self._prompts):
            return start, None
        return start, ""

    def _next(self) -> int | None:
        """Index of the next terminator, or None until more arrives."""
        held = self._held
        while True:
            if self._inside == b"/*":
                end = held.find(b"*/", self._at)
                if end < 0:
                    self._at = max(self._at, len(held) - 1)
                    return None
                self._at, self._inside = end + 2, b""
                continue
            pattern = self._quoted[self._inside] if self._inside else self._plain
            found = pattern.search(held, self._at)
            if found is None:
                # the last byte may be half of a comment's opening or of a character
                half = bool(held) and (held[-1] == 0x2F or (self._inside != b"" and held[-1] >= 0x80))
                self._at = max(self._at, len(held) - half)
                return None
            what = found[0]
            if what == b"\\":
                if found.end() == len(held):
                    self._at = found.start()
                    return None
                self._at = found.end() + (held[found.end()] != 0x0A)
                continue
            self._at = found.end()
            if len(what) == 2 and what != b"/*":
                continue
            if self._inside:
                if what == b"\n":
                    self._inside = b"\n" if self._fault_in_quotes else b""
                    if self._fault_in_quotes or self._line_end_ends:
                        return found.start()
                else:
                    self._inside = b""
            elif what in self._quoted or what == b"/*":
                self._inside = what
            else:
                return found.start()


class LineCutter:
    """Cuts reports at their end lines, at prompts, and at texts that come instead of a report."""

    def __init__(self, limit: int, ends: Iterable[End], *, prompts: Iterable[str] = (), prompt_ends: bool = False,
                 texts: Iterable[str] = (), opens: Iterable[str] = (), charset: str = "utf-8") -> None:
        self._limit = limit
        self._held = bytearray()
        self._line = 0
        self._searched = 0
        self._open = False
        self._prompt_ends = prompt_ends
        self._marks: list[tuple[str, str]] = []
        patterns: list[bytes] = []
        # What can be told from fewer bytes stands first, so that it does not matter how many have come.
        for prompt in sorted(prompts, key=len):
            patterns.append(b"(" + re.escape(prompt.rstrip().encode(charset)) + b")")
            self._marks.append(("prompt", prompt))
        for end in sorted(ends, key=lambda e: e.whole or e.rest):
            line = rb"[ \t]++".join(_dashes(word.encode(charset)) for word in end.line.split())
            patterns.append(b"(" + line + (rb"[ \t\3\4\r]*+\n)" if end.whole else rb"[^\n]*+\n)" if end.rest else b")"))
            self._marks.append(("more" if end.more else "end", end.line))
        for opening in opens:
            patterns.append(b"(" + re.escape(opening.encode(charset)) + b")")
            self._marks.append(("open", opening))
        for text in texts:
            patterns.append(b"(" + rb"[ \t]++".join(re.escape(w.encode(charset)) for w in text.split()) + rb"[^\n]*+\n)")
            self._marks.append(("text", text))
        one = rb"[ \t\0\3\4\7\r]*+(?:" + b"|".join(patterns or [b"(?!)"]) + b")"
        self._here = re.compile(one, re.IGNORECASE)
        self._anywhere = re.compile(b"^" + one, re.MULTILINE | re.IGNORECASE)

    def is_mark(self, line: bytes) -> bool:
        """Whether a line would be taken for an end, a prompt or a text: what is sent as data must not be."""
        found = self._here.match(line + b"\n")
        return found is not None and self._marks[(found.lastindex or 1) - 1][0] != "open"

    def beginnings(self) -> list[str]:
        """How a line begins that `is_mark` may be true of: regexes. A run of dashes alone is a rule, not a mark."""
        words = [mark.split() for _, mark in self._marks if mark.split()]
        return [r"-{2,}[ \t]" if len(first) > 1 and set(first) == {"-"} and rest else re.escape(first) for first, *rest in words]

    def cut(self, data: bytes) -> Iterator[Piece]:
        """Take bytes; give each report with its end line, each prompt and each text."""
        held = self._held
        held += data
        start = 0
        while (found := self._next()) is not None:
            kind, mark = self._marks[(found.lastindex or 1) - 1]
            self._line, self._searched = found.end(), 0
            if kind == "open":
                self._open = True
                continue
            end = found.start() if kind in ("prompt", "text") else found.end()
            if kind != "prompt" or self._prompt_ends:
                if end - start > self._limit:
                    yield RemoteProtocolError(f"longer than {self._limit} bytes")
                elif kind == "text" and not self._open:
                    yield Cut(bytes(held[found.start():found.end()]), "text", mark)
                elif kind == "text":
                    continue
                elif held[start:end].strip(_BLANK):
                    yield Cut(bytes(held[start:end]), kind, mark)
                self._open = False
                start = found.end()
            if kind == "prompt":
                yield Cut(b"", "prompt", mark)
        del held[:start]
        self._line -= start
        self._searched = len(held)
        if len(held) > self._limit:
            held.clear()
            self._line, self._searched, self._open = 0, 0, False
            yield RemoteProtocolError(f"longer than {self._limit} bytes", fatal=True)

    def _next(self) -> re.Match[bytes] | None:
        """The next mark, or None until more arrives. Where a mark ended a line begins anew, whatever the line holds before."""
        held = self._held
        found = self._here.match(held, self._line, min(len(held), self._line + _LONGEST_MARK))
        whole = held.rfind(b"\n", max(self._line, self._searched)) + 1
        if found is None and whole > self._line:
            found = self._anywhere.search(held, self._line, whole)
            if found is None:
                self._line = whole
                found = self._here.match(held, whole, min(len(held), whole + _LONGEST_MARK))
        return found


def _dashes(word: bytes) -> bytes:
    """A run of dashes may be longer or shorter on the wire."""
    return rb"-{2,}+" if len(word) > 1 and set(word) == {0x2D} else re.escape(word)
