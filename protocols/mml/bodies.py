"""The body of a report in lines: fields and tables, read liberally, written exactly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from operator import add

from protocols.mml.columns import Header, cells, columns_written, widest, width
from protocols.mml.messages import Report, Row, Tables
from protocols.mml.quoted_rows import read_row, write_row
from protocols.mml.report_model import ReportGrammar
from protocols.mml.templates import LineTemplate

UNTITLED = "rows"
"""The title of a table that has none, so that a message map can name it."""
_RULE = re.compile(r"[-=_][-=_ \t]*[-=_]\Z")
_COUNT = re.compile(r"[(（][^()=（）]*=\s*+(\d++)\s*+[)）]\Z")
_SEPARATORS = {"=": re.compile(r"[ \t]=(?=[ \t]|\Z)"), ":": re.compile(r":(?=[ \t]+\S)"), "...": re.compile(r"[ \t]*+\.{3,}+:?+")}
_TIGHT = re.compile(r"([A-Za-z_][\w.-]*+)[ \t]*+=[ \t]*+(.*)\Z", re.DOTALL | re.ASCII)
_VERTICAL = re.compile(r"\S[ \t]{2,}+=(?:[ \t]{2}|[ \t]*+\Z)")
_NO_COLUMN = 1 << 30
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LINE_ENDS = re.compile(r"\s*[\r\n]\s*")


class BodyReader:
    """Reads the lines between the result and the end of one report. Nothing is lost: what fits nowhere becomes a note."""

    def __init__(self, grammar: ReportGrammar, *, in_parts: bool = False) -> None:
        self._layout = grammar.tables
        self._lone_is_fields = grammar.tables.rows_as_fields and not in_parts  # after rows it is one of them
        self._tight = grammar.fields.tight
        self._finders = [_SEPARATORS[s] for s in grammar.fields.separators]
        self.fields: dict[str, str] = {}
        self.notes: list[str] = []
        self._tables: list[tuple[str, tuple[Row, ...]]] = []
        self._title = ""
        self._records: list[dict[str, str]] = []
        self._record: dict[str, str] | None = None
        self._last = ""
        self._value_at = 0
        self._header: Header | None = None
        self._rows: list[Row] = []

    def read(self, lines: Sequence[str]) -> tuple[dict[str, str], Tables]:
        """Fields and tables; what belongs to neither is in `notes`."""
        if self._layout.titles == "group":
            lines = list(self._with_rules(lines))
        for number, line in enumerate(lines):
            if not line.strip() and self._awaits_rows(lines, number):
                continue
            self._line(line, lines[number + 1].strip() if number + 1 < len(lines) else "")
        self._end_section()
        return self.fields, tuple(self._tables)

    def _awaits_rows(self, lines: Sequence[str], number: int) -> bool:
        """Whether the blank line stands between a header and the rows under it."""
        if self._header is None or self._rows or number + 1 >= len(lines):
            return False
        following, after = lines[number + 1], lines[number + 2].strip() if number + 2 < len(lines) else ""
        return self._header.above(following) and self._field(following) is None and not _RULE.match(after)

    def _with_rules(self, lines: Sequence[str]) -> Iterable[str]:
        """Mark the titles that only their place tells: the first line of a group, above a header line and rows."""
        start = True
        for number, line in enumerate(lines):
            text = line.strip()
            following = [other.strip() for other in lines[number + 1:number + 3]]
            known = text in self._layout.sections
            if known and not start:
                yield ""
            yield line
            titled = start and text and len(following) == 2 and all(following) and self._field(line) is None and text[0] != '"' and (
                len(cells(line)) == 1 and (following[0][0].isalpha() or self._field(lines[number + 1]) is not None)
                and not _RULE.match(following[0]))
            if known or titled:
                yield "--"
            start = not text

    def _line(self, line: str, following: str) -> None:
        text = line.strip()
        if not text:
            self._blank()
        elif _RULE.match(text):
            self._end_rows()
        elif text[0] in "(（" and (count := _COUNT.match(text)):
            self._counted(int(count[1][:9]))
        elif self._header is not None and (self._rows or not _VERTICAL.search(line)):
            self._rows.append(self._header.row(line))
        else:
            self._heading()
            self._outside_a_table(line, text, following)

    def _outside_a_table(self, line: str, text: str, following: str) -> None:
        if text[0] == '"' and self._layout.style == "quoted":
            self._end_records()
            self._rows.append(read_row(text))
            return
        if self._record is not None and len(line) - len(line.lstrip()) >= self._value_at:
            self._record[self._last] += "\n" + text
            return
        found = self._field(line)
        if found is None and _RULE.match(following) and (len(cells(line)) == 1 or following.count(" ") == 0):
            self._end_section()
            self._title = text
        elif found is not None:
            self._end_rows()
            self._add(*found)
        elif self._record is not None:
            self._record[self._last] += "\n" + text
        else:
            self._end_rows()
            self._header = Header(line)

    def _heading(self) -> None:
        """What looked like a header stands over `NAME  =  value` lines: a title, or a line of several values (`ALARM  2101  Fault`)."""
        header, self._header = self._header, None
        if header is None:
            return
        if len(header.names) == 1:
            self._end_section()
            self._title = header.names[0]
        else:
            self._record = None
            self._add(header.names[0], " ".join(header.names[1:]), _NO_COLUMN)

    def _field(self, line: str) -> tuple[str, str, int] | None:
        """Name, value and the column where the value begins."""
        if self._tight and (tight := _TIGHT.match(line.strip())):
            return tight[1], tight[2], width(line) + 1
        for finder in self._finders:
            found = finder.search(line)
            if found is not None and (name := line[:found.start()].strip()):
                rest = line[found.end():]
                value = rest.strip()
                gap = len(rest) - len(rest.lstrip()) if value else 2
                return name, value, width(line[:found.end()]) + gap
        return None

    def _add(self, name: str, value: str, column: int) -> None:
        if self._record is None or name in self._record:
            self._record = {}
            self._records.append(self._record)
        self._record[name] = value
        self._last, self._value_at = name, column

    def _blank(self) -> None:
        grouped = self._layout.titles == "group" and bool(self._rows or self._records)
        self._end_rows()
        self._record = None
        if grouped:
            self._end_section()

    def _counted(self, count: int) -> None:
        before = len(self._tables)
        had = bool(self._records)
        self._end_section(keep_title=True)
        if count == 0 and self._title and len(self._tables) == before and not had:
            self._tables.append((self._title, ()))
        self._title = ""

    def _end_rows(self) -> None:
        if self._rows:
            lone = self._lone_is_fields and len(self._rows) == 1
            if lone:
                for name, value in self._rows[0].items():
                    self.fields.setdefault(name, value)
            if not lone or self._title:
                self._tables.append((self._title or UNTITLED, tuple(self._rows)))
        elif self._header is not None:
            self.notes.append("  ".join(self._header.names))
        if self._header is not None or self._rows:
            self._header, self._rows = None, []

    def _end_records(self) -> None:
        """Vertical values: fields; records that repeat, or repeat a name read before, are a table too."""
        if not self._records:
            return
        names = [name for record in self._records for name in record]
        if len(names) != len(set(names)) or any(name in self.fields for name in names):
            self._tables.append((self._title or UNTITLED, tuple(self._records)))
        for record in self._records:
            for name, value in record.items():
                self.fields.setdefault(name, value)
        self._records, self._record = [], None

    def _end_section(self, keep_title: bool = False) -> None:
        self._end_rows()
        self._end_records()
        if not keep_title:
            self._title = ""


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
