"""The body of a report in lines: fields and tables, written so that they are read as they were."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from operator import add

from protocols.mml.columns import columns_written, widest, width
from protocols.mml.messages import Report, Row
from protocols.mml.quoted_rows import write_row
from protocols.mml.report_model import ReportGrammar
from protocols.mml.templates import LineTemplate

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LINE_ENDS = re.compile(r"\s*[\r\n]\s*")


def clean(text: str) -> str:
    """A text for one line: control characters become blanks."""
    return text if text.isprintable() else CONTROL.sub(" ", text)


@lru_cache(2048)
def label(text: str) -> str:
    """`one_gap` for names and titles, which come again and again."""
    return one_gap(text)


def one_gap(text: str) -> str:
    """A text in which no two blanks stand together, as those part columns."""
    if text.isprintable() and "  " not in text and text[:1] != " " and text[-1:] != " ":
        return text
    return " ".join(CONTROL.sub(" ", text).split())


def _cells(texts: list[str], blank: str) -> list[str]:
    """`one_gap` for the cells of a row, `blank` for an empty one. Nearly always one look tells that there is nothing to do."""
    row = f"|{'|'.join(texts)}|"
    if row.isprintable() and "  " not in row and "| " not in row and " |" not in row and "||" not in row:
        return texts
    return [one_gap(text) or blank for text in texts]


class BodyWriter:
    """Writes fields and tables of a report as lines without line ends."""

    def __init__(self, grammar: ReportGrammar) -> None:
        self._fields = grammar.fields
        self._layout = grammar.tables
        self._count = LineTemplate(grammar.count[0]) if grammar.count else None
        title = self._fields.title if self._fields.style == "vertical" else ""
        self._title = [title, "-" * width(title)] if title else []
        # The fields of answers are the same again and again; the cache is bounded.
        self._begun: Callable[[tuple[str, ...]], list[str]] = lru_cache(512)(self._beginnings)

    def write(self, report: Report) -> list[str]:
        """Every line of the body."""
        lines = self._fields_written(report.fields) if report.fields else []
        for title, rows in report.tables:
            lines += self._table(title, rows)
        return lines

    def _fields_written(self, fields: Row) -> list[str]:
        style = self._fields.style
        if style == "quoted":
            return ["   " + write_row(fields)]
        values = fields.values()
        if style == "row":
            return [*columns_written([*map(label, fields)], [_cells([*values], "-")]), ""]
        begun = self._begun(tuple(fields))
        if "".join(values).isprintable():
            return [*self._title, *map(add, begun, values), ""]
        lines = [*self._title]
        for beginning, value in zip(begun, values, strict=True):
            first, *more = map(clean, [value] if style == "leader" else _LINE_ENDS.split(value.strip("\r\n")))
            lines.append(beginning + first)
            lines += [" " * width(beginning) + text for text in more]
        return [*lines, ""]

    def _beginnings(self, names: tuple[str, ...]) -> list[str]:
        """How the lines of these fields begin, up to their values."""
        labels = [*map(label, names)]
        wide = self._fields.width or widest(labels)
        if self._fields.style == "leader":
            return [f"{name} {'.' * (max(wide - width(name), 0) + 4)} " for name in labels]
        return [f"{' ' * (wide + 2 - width(name))}{name}  {self._fields.separators[0]}  " for name in labels]

    def _table(self, title: str, rows: Sequence[Row]) -> list[str]:
        if self._layout.style == "quoted":
            return ["   " + write_row(row) for row in rows]
        title = label(title)
        head = [] if not title else [title] if self._layout.titles == "group" else [title, "-" * max(width(title), 2)]
        count = [self._count.write({"count": str(len(rows))})] if self._count else []
        if not rows:
            return [*head, *count, ""] if count else []
        names = list(dict.fromkeys(chain.from_iterable(rows)))
        blank = self._layout.blank
        texts = [_cells([row.get(name, "") for name in names], blank) for row in rows]
        return [*head, *columns_written([label(n) for n in names], texts), *count, ""]
