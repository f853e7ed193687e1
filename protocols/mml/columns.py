"""Cells of a table's lines: by tabs, by gaps of two blanks or more, or by the offset of the header above them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

_WORD = re.compile(r"\S+")
_CELL = re.compile(r"\S+(?: \S+)*")


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
        self.names = [n.strip() for n in line.strip().split("\t")] if self._tabs else [text for _, _, text in found]
        self._spans = [(start, end) for start, end, _ in found]
        self._line: str | None = line
        self._close = False
        """Columns may stand one blank apart: only their places part them."""

    def above(self, line: str) -> bool:
        """Whether a line is a row though a blank line stands between: its first cells begin where names do, or it has as many."""
        found, names = cells(line), len(self.names)
        if self._tabs or not 1 < len(found) <= names:
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
        """Find the names that stand one blank apart, in a header in capitals, by the first row under it: where that has as many cells
        as the header has words, and more than it has names, and else where something begins under a word exactly, and something else
        stands under the word before.
        """
        line, self._line = self._line or "", None
        if self._tabs or not line.isascii() or line != line.upper():
            return
        words = list(_WORD.finditer(line))
        if not len(self.names) < len(cells(first)) == len(words):
            under = [start for start, _, _ in cells(first, _WORD)]
            words = [word for number, word in enumerate(words) if number == 0 or line[word.start() - 2:word.start()] == "  " or (
                word.start() in under and any(words[number - 1].start() <= start < word.start() for start in under))]
            if len(words) == len(self.names):
                return
            self._close = True
        ends = [*(word.start() for word in words[1:]), len(line)]
        self._spans = [(word.start(), word.start() + len(line[word.start():end].rstrip())) for word, end in zip(words, ends, strict=True)]
        self.names = [line[start:end] for start, end in self._spans]

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
