"""The body of a report in lines: fields and tables, read liberally. `body_writer` writes them exactly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from protocols.mml.columns import Header, cells, tall_headers, width
from protocols.mml.messages import Tables
from protocols.mml.quoted_rows import read_row
from protocols.mml.report_model import ReportGrammar

UNTITLED = "rows"
"""The title of a table that has none, so that a message map can name it."""
_RULE = re.compile(r"[-=_][-=_ \t]*[-=_]\Z")
_COUNT = re.compile(r"[(（][^()=（）]*=\s*+(\d++)\s*+[)）]\Z")
_SEPARATORS = {"=": re.compile(r"[ \t]=(?=[ \t]|\Z)"), ":": re.compile(r":(?=[ \t]+\S)|(?<=[ \t]):(?=\S)"), "...": re.compile(
    r"[ \t]*+\.++[ \t]*+(?:\((?P<short>[A-Z0-9]{1,16})\)\.*+[ \t]*+)?:|[ \t]*+\.{3,}+")}
"""What stands between a name and its value. A run of dots may hold a short name: `CELL IDENTITY ......(CI).... :65102`."""
_TIGHT = re.compile(r"([A-Za-z_][\w.-]*+)[ \t]*+=[ \t]*+(.*)\Z", re.DOTALL | re.ASCII)
_VERTICAL = re.compile(r"\S[ \t]{2,}+=(?:[ \t]{2}|[ \t]*+\Z)")
_NAME = re.compile(r"[A-Z]+(?: [A-Z]+)*[ \t]*\Z")
_NO_COLUMN = 1 << 30


class BodyReader:
    """Reads the lines between the result and the end of one report. Nothing is lost: what fits nowhere becomes a note."""

    def __init__(self, grammar: ReportGrammar, *, in_parts: bool = False) -> None:
        self._layout = grammar.tables
        self._lone_is_fields = grammar.tables.rows_as_fields and not in_parts  # after rows it is one of them
        self._tight = grammar.fields.tight
        self._finders = [_SEPARATORS[s] for s in grammar.fields.separators]
        self._pairs = ":" in grammar.fields.separators
        self._lone_headers = grammar.fields.style == "row"
        self._unparted = False
        """No blank line parts the sections: a line of one name begins one."""
        self.fields: dict[str, str] = {}
        self.notes: list[str] = []
        self._tables: list[tuple[str, list[dict[str, str]]]] = []
        self._title = ""
        self._titles_nothing = False
        self._groups: dict[str, list[dict[str, str]]] = {}
        """Vertical values of all sections of a title: one row of a table each, if they come again."""
        self._repeated: set[str] = set()
        self._records: list[dict[str, str]] = []
        self._record: dict[str, str] | None = None
        self._last = ""
        self._value_at = 0
        self._header: Header | None = None
        self._rows: list[dict[str, str]] = []
        self._lone = ""
        """The one name over the table before, where it has one only."""
        self._above: dict[str, str] = {}
        """A value that stood alone over the table's header: all its rows are about it."""

    def read(self, lines: Sequence[str]) -> tuple[dict[str, str], Tables]:
        """Fields and tables; what belongs to neither is in `notes`."""
        if self._layout.titles == "group":
            lines = list(self._with_rules(lines))
        self._unparted = self._lone_headers and "\n\n" not in "\n".join(map(str.strip, lines)).lstrip("\n") + "\n"
        tall = tall_headers(lines)
        behind = 0
        for number, line in enumerate(lines):
            if number in tall:
                title, header, behind = tall[number]
                self._end_rows()
                self._title_of(title, lines, number)
                self._header = header
            if number < behind or (not line.strip() and self._awaits_rows(lines, number)):
                continue
            self._line(line, lines[number + 1].strip() if number + 1 < len(lines) else "")
        self._end_section()
        once = [title for title in self._groups if title not in self._repeated]
        self.notes += [title for title in once if title != UNTITLED]
        return self.fields, tuple((title, tuple(rows)) for title, rows in self._tables
                                  if title not in once or rows is not self._groups[title])

    def _awaits_rows(self, lines: Sequence[str], number: int) -> bool:
        """Whether the blank line stands between a header and the rows under it."""
        if self._header is None or self._rows or number + 1 >= len(lines):
            return False
        following, after = lines[number + 1], lines[number + 2].strip() if number + 2 < len(lines) else ""
        if self._header.tall:
            return len(cells(following)) > 1 and self._field(following) is None
        return self._header.above(following) and self._field(following) is None and not _RULE.match(after)

    def _title_of(self, title: str, lines: Sequence[str], number: int) -> None:
        """A header of several lines may have its title above a blank line too: a line that was no field and stood over nothing."""
        above = next((text for n in range(number - 1, -1, -1) if (text := lines[n].strip())), "")
        if not title and above.endswith(":") and self.notes and self.notes[-1] == above:
            title = self.notes.pop()
        if title:
            self._entitle(title)

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
            titled = start and text and following and self._field(line) is None and text[0] != '"' and len(cells(line)) == 1 and (
                self._field(lines[number + 1]) is not None
                or (len(following) == 2 and all(following) and following[0][0].isalpha())) and not _RULE.match(following[0])
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
            self._row(self._header, line)
        else:
            self._heading()
            self._outside_a_table(line, text, following)

    def _row(self, header: Header, line: str) -> None:
        texts = [text for _, _, text in cells(line)] if self._lone_headers and len(header.names) == 1 else ()
        if self._lone_headers and (line.strip() in self._above or (self._unparted and self._rows and _NAME.match(line))):
            self._end_rows()
            self._header = Header(line)
        elif len(texts) < 2:
            self._rows.append({**self._above, **header.row(line)})
        elif any(map(str.isdigit, line)) or line != line.upper():
            self._rows += [{header.names[0]: text} for text in texts]
        else:
            self._header_under(header, line)

    def _header_under(self, header: Header, line: str) -> None:
        """A header whose line before was a title, or a name with one value, which is what the rows will be about."""
        above = dict(self._rows[0]) if len(self._rows) == 1 else {}
        if above:
            self.fields.setdefault(*next(iter(above.items())))
            self._header, self._rows = None, []
        elif not self._rows:
            self._header = None
            self._entitle(header.names[0])
        self._end_rows()
        self._header, self._above = Header(line), above

    def _outside_a_table(self, line: str, text: str, following: str) -> None:
        if text[0] == '"' and self._layout.style == "quoted":
            self._end_records()
            self._rows.append(read_row(text))
            return
        if self._record is not None and len(line) - len(line.lstrip()) >= self._value_at:
            self._record[self._last] += "\n" + text
            return
        found = self._field(line)
        if self._pairs and (pairs := _pairs(line)):
            self._end_rows()
            for name, value in pairs:
                self._add(name, value, _NO_COLUMN)
            return
        if found is None and _RULE.match(following) and (len(cells(line)) == 1 or following.count(" ") == 0):
            self._entitle(text)
        elif found is not None:
            self._end_rows()
            self._add(*found)
        elif self._record is not None:
            self._record[self._last] += "\n" + text
        else:
            self._end_rows()
            self._header = self._going_on(line) or Header(line)

    def _going_on(self, line: str) -> Header | None:
        """The name that values stood under before a blank line, when these are values too: no name in a header has digits in each word."""
        name, self._lone = self._lone, ""
        if not name or not any(name in row for row in self._tables[-1][1][:1]) or not all(
                any(map(str.isdigit, text)) for _, _, text in cells(line)):
            return None
        self._title, self._rows = self._tables.pop()
        header = Header(name)
        self._row(header, line)
        return header

    def _heading(self) -> None:
        """What looked like a header stands over `NAME  =  value` lines: a title, or a line of several values (`ALARM  2101  Fault`)."""
        header, self._header = self._header, None
        if header is None:
            return
        if len(header.names) == 1:
            self._entitle(header.names[0])
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
                name += f" ({short})" if (short := found.groupdict().get("short")) else ""
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
            self._tables.append((self._title, []))
        self._title = ""

    def _entitle(self, title: str) -> None:
        self._end_section()
        self._title, self._titles_nothing = title, True

    def _end_rows(self) -> None:
        if self._rows:
            self._titles_nothing = False
            lone = self._lone_is_fields and len(self._rows) == 1
            if lone:
                for name, value in self._rows[0].items():
                    self.fields.setdefault(name, value)
            if not lone or self._title:
                self._tables.append((self._title or UNTITLED, self._rows))
                self._lone = self._header.names[0] if self._lone_headers and self._header and len(self._header.names) == 1 else ""
        elif self._header is not None:
            self.notes.append("  ".join(self._header.names))
        if self._header is not None or self._rows:
            self._header, self._rows, self._above = None, [], {}

    def _end_records(self) -> None:
        """Vertical values: fields; records that repeat, or repeat a name read before, are a table too."""
        if not self._records:
            return
        self._titles_nothing = False
        names = [name for record in self._records for name in record]
        title, again = self._title or UNTITLED, len(names) != len(set(names)) or any(name in self.fields for name in names)
        if self._layout.titles == "group":
            self._gather(title)
            if again:
                self._repeated.add(title)
        elif again:
            self._tables.append((title, self._records))
        for record in self._records:
            for name, value in record.items():
                self.fields.setdefault(name, value)
        self._records, self._record = [], None

    def _gather(self, title: str) -> None:
        if (rows := self._groups.get(title)) is None:
            rows = self._groups[title] = []
            self._tables.append((title, rows))
        for record in self._records:
            if rows and rows[-1].keys().isdisjoint(record):
                rows[-1].update(record)  # one object's values go on behind a blank line
            else:
                rows.append({**record})

    def _end_section(self, keep_title: bool = False) -> None:
        self._end_rows()
        self._end_records()
        if not keep_title:
            if self._titles_nothing and self._layout.titles == "group":
                self.notes.append(self._title)
            self._title = ""
        self._titles_nothing = False


def _pairs(line: str) -> list[tuple[str, str]]:
    """Several values in one line, `BTS   NAME :LDA   NUMBER  :651`; a word that stands apart before the first name belongs to all."""
    name, *parts = line.strip().split(":")
    if len(parts) < 2:
        return []
    subject, _, first = name.strip().rpartition("  ")
    names, values = [first.strip()], []
    for part in parts[:-1]:
        found = cells(part)
        if len(found) != 2:
            return []
        values.append(found[0][2])
        names.append(found[1][2])
    values.append(parts[-1].strip())
    return [(f"{subject.strip()} {name}".strip(), value) for name, value in zip(names, values, strict=True)]
