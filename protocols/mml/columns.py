"""Cells of a table's lines: by tabs, by gaps of two blanks or more, or by the offset of the header above them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Self

_WORD = re.compile(r"\S+")
_CELL = re.compile(r"\S+(?: \S+)*")
_RULER = re.compile(r"(?=.*(?:---|==))\s*(?:-+|=+)(?:[ \t]+(?:-+|=+))+\s*\Z")
_TALLEST = 8
"""Lines of a header at most."""


def width(text: str) -> int:
    """Columns a text takes on a terminal: East Asian wide characters take two."""
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def widest(texts: Collection[str]) -> int:
    """The columns that the widest of several texts takes."""
    return max(map(len if "".join(texts).isascii() else width, texts))


def cells(line: str, parted: re.Pattern[str] = _CELL) -> list[tuple[int, int, str]]:
    """Every cell of a line: its first column, the column behind it, its text."""
    if line.isascii():
        return [(m.start(), m.end(), m[0]) for m in parted.finditer(line)]
    found, column, at = [], 0, 0
    for m in parted.finditer(line):
        column += width(line[at:m.start()])
        end = column + width(m[0])
        found.append((column, end, m[0]))
        column, at = end, m.end()
    return found


class Header:
    """A table's header line; makes rows of the lines under it. Cells a row lacks are empty, too many are joined."""

    def __init__(self, line: str) -> None:
        self._tabs = "\t" in line.strip()
        found = cells(line)
        self.names = _each_once([n.strip() for n in line.strip().split("\t")] if self._tabs else [text for _, _, text in found])
        self._spans = [(start, end) for start, end, _ in found]
        self._line: str | None = line
        self._close = False
        """Columns may stand one blank apart: only their places part them."""
        self.tall = False
        """It has several lines, so what stands under it is a row in any case."""

    @classmethod
    def over(cls, lines: Sequence[str], columns: str, *, close: bool) -> Self:
        """A header of several lines. `columns` shows where its columns stand: its first line, or the rule under it, where they may
        stand one blank apart (`close`).
        """
        self = cls(columns)
        self._line, self._close, self.tall = None, close, True
        if close:
            self._spans = [(start, end) for start, end, _ in cells(columns, _WORD)]
        self.names = [str(number) for number, _ in enumerate(self._spans, 1)]
        found = [self._by_offset(cells(line, _WORD if close else _CELL)) for line in lines]
        self.names = _each_once([" ".join(filter(None, (row[name] for row in found))).rstrip(": ") or name for name in self.names])
        return self

    def above(self, line: str) -> bool:
        """Whether a line is a row though a blank line stands between: its first cells begin where names do, or it has as many."""
        found, names = cells(line), len(self.names)
        if names > 1 and self._parted_as(found) and not any(map(str.isdigit, self._line or "")):
            return True
        if self._tabs or min(len(found), names) < 2:
            return False
        starts = {start for start, _ in self._spans}
        told = names > 2 and len(found) == names and not any(map(str.isdigit, "".join(self.names)))
        return told or (found[0][0] in starts and found[1][0] in starts)

    def row(self, line: str) -> dict[str, str]:
        """Read one line."""
        if self._line is not None:
            self._part_words(line)
        if self._close:
            return self._by_offset(cells(line, _WORD))
        if self._tabs and "\t" in line:
            texts = [t.strip() for t in line.rstrip("\r\n").split("\t")]
            if len(texts) > len(self.names) and not texts[-1]:
                texts.pop()
            texts[len(self.names) - 1:] = [" ".join(texts[len(self.names) - 1:])] if len(texts) >= len(self.names) else []
        else:
            found = cells(line)
            texts = [text for _, _, text in found]
            if len(texts) != len(self.names):
                return self._by_offset(found)
        return dict(zip(self.names, texts + [""] * (len(self.names) - len(texts)), strict=True))

    def _part_words(self, first: str) -> None:
        """Find the names that stand one blank apart by the first row under them: where that has as many cells as the header has words,
        and more than it has names; else, in a header in capitals, where something begins under a word exactly, and something else
        stands under the word before.
        """
        line, words = self._line or "", self._words()
        found = cells(first)
        parted = self._parted_as(found)
        self._line = None
        if self._tabs or (len(found) == 1 and not any(map(str.isdigit, first))):
            return
        if not parted:
            if not line.isascii() or line != line.upper():
                return
            under = [start for start, _, _ in cells(first, _WORD)]
            words = [word for number, word in enumerate(words) if number == 0 or line[word[0] - 2:word[0]] == "  " or (
                word[0] in under and any(words[number - 1][0] <= start < word[0] for start in under))]
            if len(words) == len(self.names):
                return
            words = [(start, end, line[start:end].rstrip()) for (start, _, _), end in zip(
                words, [*(start for start, _, _ in words[1:]), len(line)], strict=True)]
            self._close = True
        self._spans = [(start, start + width(text)) for start, _, text in words]
        self.names = _each_once([text for _, _, text in words])

    def _parted_as(self, found: list[tuple[int, int, str]]) -> bool:
        """Whether a row has a cell for each word of the header, and more than there are names; they begin alike, but in capitals."""
        line, words = self._line or "", self._words()
        return len(self.names) < len(found) == len(words) and (
            (line.isascii() and line == line.upper()) or all(one[0] == other[0] for one, other in zip(found, words, strict=True)))

    def _words(self) -> list[tuple[int, int, str]]:
        return cells(self._line or "", _WORD)

    def _by_offset(self, found: list[tuple[int, int, str]]) -> dict[str, str]:
        out = dict.fromkeys(self.names, "")
        if len(self.names) != len(self._spans):
            return {**out, **dict(zip(self.names, (t for _, _, t in found), strict=False))}
        column = 0
        for start, end, text in found:
            while column + 1 < len(self._spans) and self._fits_next(start, end, column):
                column += 1
            name = self.names[column]
            out[name] = f"{out[name]} {text}" if out[name] else text
        return out

    def _fits_next(self, start: int, end: int, column: int) -> bool:
        here, following = self._spans[column], self._spans[column + 1]
        if start >= following[0]:
            return True
        return min(end, following[1]) - following[0] > max(0, min(end, here[1]) - max(start, here[0]))


def tall_headers(lines: Sequence[str]) -> dict[int, tuple[str, Header, int]]:
    """Headers of several lines: the number of the first of each, the title above it, the header, and the number of the line behind it.

    One kind stands over a rule whose groups are the columns (`---  ------`). The other has no rule: its lines go on under the names
    of its first, and a blank line parts them from rows that have a cell for each name.
    """
    found: dict[int, tuple[str, Header, int]] = {}
    group: list[int] = []
    for number, line in enumerate(lines):
        if not line.strip():
            if len(group) > 1 and (header := _stacked([lines[n] for n in group], lines[number + 1:number + 2])) is not None:
                found[group[0]] = "", header, number
            group = []
        elif group and _RULER.match(line):
            above = [lines[n] for n in group[-_TALLEST:]]
            begun = max((n for n, each in enumerate(above[:-1], 1) if _is_title(each, line)), default=0)
            title = above[begun - 1].strip() if begun else ""
            found[number - len(above) + max(begun - 1, 0)] = title, Header.over(above[begun:], line, close=True), number + 1
            group = []
        else:
            group.append(number)
    return found


def _is_title(line: str, rule: str) -> bool:
    """Whether a line is one text, with a colon behind it or over several columns: that stands over the whole table."""
    found = cells(line)
    return len(found) == 1 and (found[0][2][-1] == ":" or any(found[0][0] <= start < found[0][1] for start, _, _ in cells(rule, _WORD)[1:]))


def _stacked(lines: Sequence[str], following: Sequence[str]) -> Header | None:
    first, *more = map(cells, lines)
    starts = {start for start, _, _ in first}
    if len(first) < 3 or len(lines) > _TALLEST or any(map(str.isdigit, "".join(lines))):
        return None
    if not all(start in starts for row in more for start, _, _ in row) or not following or len(cells(following[0])) != len(first):
        return None
    return Header.over(lines, lines[0], close=False)


def _each_once(names: Iterable[str]) -> list[str]:
    """The names, a repeated one with a number: a row has a value for each."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        again = f"{name} {seen[name]}" if seen[name] > 1 else name
        while again != name and again in seen:
            again += "'"
        seen.setdefault(again, 1)
    return list(seen)


def columns_written(names: list[str], rows: list[list[str]]) -> list[str]:
    """A header line and its rows, columns parted by two blanks."""
    lines = [names, *rows]
    if all("".join(line).isascii() for line in lines):
        widths = [*map(len, names)]
        for row in rows:  # most tables have one row, for which this is quickest
            widths = [*map(max, widths, map(len, row))]
        return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    wide = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(text + " " * (w - width(text)) for text, w in zip(line, wide, strict=True)).rstrip() for line in lines]
