"""Answers of one line, `ACK:<command>:RETN=0,DESC=".."` or `RESP:0:NAME,value`, to and from `Report`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.bodies import UNTITLED
from protocols.mml.body_writer import clean
from protocols.mml.messages import ListValue, Report, Row, Tables
from protocols.mml.report_model import Inline
from protocols.mml.results import Results
from protocols.patterns import runs

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CODE = re.compile(r"[\w.-]{1,64}\Z", re.ASCII)
_NOT_WORDS = re.compile(r"[^\w.-]+")
_NOT_NAME = re.compile(r"[^\w.-]+")
_ENDS = " ;\r\n\t\0"


class InlineReports:
    """One dialect's one-line answers. `parse` raises RemoteProtocolError, `pack` LocalProtocolError, neither anything else."""

    def __init__(self, layout: Inline, results: Results) -> None:
        self._layout = layout
        self._results = results
        mark, separator, assign = (re.escape(m) for m in (layout.mark, layout.separator, layout.assign))
        self._lead = re.compile(rf"\s*+{re.escape(layout.lead)}\s*+(?:{mark}|\Z)", re.IGNORECASE)
        # An unclosed quote goes on to the end, and what follows a closed one belongs to it: no byte is tried twice.
        quoted = "|".join(q + runs(rf"[^{q}\\]", r"\\.?+") + rf"(?:{q}|\Z)" for q in map(re.escape, layout.quotes))
        self._whole = re.compile(quoted or "(?!)", re.DOTALL)
        parted = {m: re.compile(rf"((?:{quoted or '(?!)'}|)[^{re.escape(m)}]*+)({re.escape(m)}|\Z)", re.DOTALL) for m in (
            layout.assign, *((layout.table.cell_separator, layout.table.row_separator) if layout.table else ()))}
        self._parted, self._cell_unit = parted, parted[layout.assign]
        self._unit = re.compile(rf"\s*+(?>([^\W\d][\w.-]*+)\s*+{assign}\s*+|)((?:{quoted or '(?!)'}|)[^{separator}]*+)({separator}|\Z)",
                                re.DOTALL)
        self._plain = re.compile(f"[{layout.plain}]+\\Z", re.ASCII)
        self._quote = layout.quotes[:1]
        self._mark, self._separator = layout.mark, layout.separator
        self._bare = not layout.quote_always
        # A dialect's names and codes are few; the caches are bounded.
        self._name: Callable[[str], str] = lru_cache(2048)(self._named)
        self._begun: Callable[[str, str], tuple[str, str, str]] = lru_cache(512)(self._beginning)

    # Reading.

    def parse(self, text: str) -> Report | None:
        """Read an answer; None when it is something else. Raises RemoteProtocolError for an answer without result code."""
        layout = self._layout
        lead = self._lead.match(text)
        if lead is None:
            return None
        rest = text[lead.end():].rstrip(_ENDS)
        command = ""
        if layout.echo:
            name, mark, behind = rest.partition(layout.mark)
            if mark and layout.assign not in name:
                command, rest = " ".join(name.upper().split()), behind
        code = ""
        if not layout.code:
            code, _, rest = rest.partition(layout.mark)
            code = code.strip()
        pairs = self._pairs(rest)
        names = {name.upper() for name, _ in pairs}
        if layout.code:
            code = self._unquoted(next((value for name, value in pairs if name.upper() == layout.code.upper()), ""))
        if not code:
            raise RemoteProtocolError(f"an answer has no {layout.code or 'result code'}")
        description = self._unquoted(next((value for name, value in pairs if layout.text and name.upper() == layout.text.upper()), ""))
        taken = {layout.code.upper(), layout.text.upper()} & names
        left = [(name, value) for name, value in pairs if name.upper() not in taken]
        fields, tables = self._body(left)
        return Report(code, description, fields, tables, command, more=self._results.means(code) == "progress")

    def _pairs(self, text: str) -> list[tuple[str, str]]:
        """Names and values as they came, quotes still on."""
        pairs: list[tuple[str, str]] = []
        for name, value, mark in self._unit.findall(text):
            value = value.strip()  # noqa: PLW2901 (only what is inside means anything)
            if name:
                pairs.append((name, value))
            elif value and not self._layout.code:
                pairs.append((value, ""))
            elif value and pairs:
                # A mark inside a text that nobody quoted.
                pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]}{self._layout.separator} {value}")
            if not mark:
                break
        return pairs

    def _unquoted(self, value: str) -> str:
        if not value or value[0] not in self._layout.quotes:
            return value
        whole = self._whole.match(value)
        if whole is None or whole.end() != len(value):
            return value
        inner = value[1:-1] if len(value) > 1 and value[-1] == value[0] else value[1:]
        return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner

    def _body(self, pairs: Sequence[tuple[str, str]]) -> tuple[dict[str, str], Tables]:
        gathered: dict[str, list[str]] = {}
        for name, value in pairs:
            gathered.setdefault(name if not self._layout.upper else name.upper(), []).append(value)
        tables = self._zipped(gathered) if self._layout.table else self._repeated(gathered)
        unquoted = self._unquoted
        return {name: unquoted(values[0]) if len(values) == 1 else ListValue.of(map(unquoted, values))
                for name, values in gathered.items()}, tables

    def _zipped(self, gathered: dict[str, list[str]]) -> Tables:
        layout = self._layout.table
        assert layout is not None
        tables: list[tuple[str, tuple[Row, ...]]] = []
        for key in [k for k in gathered if k == layout.columns or k.endswith(f"_{layout.columns}")]:
            title = key[:-len(layout.columns)].rstrip("_")
            cells = f"{title}_{layout.cells}" if title else layout.cells
            if cells not in gathered:
                continue
            separators = f"[{re.escape(layout.column_separators)}]"
            *others, last = gathered.pop(key)
            for name, mark, value in (other.partition(self._layout.assign) for other in others):
                if mark:  # some write the names of counts and of columns under one name: ATTR=TOTAL=1,..,ATTR=A&B
                    gathered.setdefault(name.strip(), []).append(value)
            listed = self._unquoted(last).strip(layout.column_separators + " ")
            names = [self._unquoted(n.strip()) for n in re.split(separators, listed) if n.strip()]
            rows = [row for text in gathered.pop(cells) for row in self._rows(self._unquoted(text), names)] if names else []
            tables.append((title.lower() or UNTITLED, tuple(rows)))
        return tuple(tables)

    def _rows(self, text: str, names: list[str]) -> list[Row]:
        """Rows by their separator and cells by theirs. Where one is enough for all, or rows' stands for cells' (`A&B` over `1&2`), cells
        are dealt out over the columns.
        """
        layout = self._layout.table
        assert layout is not None
        count = len(names)
        alone = layout.row_separator if layout.cell_separator not in text and count > 1 else layout.cell_separator
        if layout.row_separator in text and alone == layout.cell_separator:
            rows = [self._cells(line, alone) for line in text.split(layout.row_separator) if line.strip()]
        else:
            cells = self._cells(text, alone) if text.strip() else []
            rows = [cells[n:n + count] for n in range(0, len(cells), count)]
        return [dict(zip(names, [*row, *[""] * (count - len(row))], strict=False)) for row in rows]

    def _cells(self, text: str, separator: str) -> list[str]:
        text = text.strip().removesuffix(separator)
        if text[:1] not in self._layout.quotes:
            return [cell.strip() for cell in text.split(separator)]
        cells: list[str] = []
        for cell, mark in self._parted[separator].findall(text):
            cells.append(self._unquoted(cell.strip()))
            if not mark:
                break
        return cells

    def _repeated(self, gathered: dict[str, list[str]]) -> Tables:
        """A name that comes several times with several cells is a table."""
        tables: list[tuple[str, tuple[Row, ...]]] = []
        for name, values in list(gathered.items()):
            if len(values) > 1:
                del gathered[name]
                tables.append((name.lower(), tuple(map(self._cells_of, values))))
        return tuple(tables)

    def _cells_of(self, text: str) -> Row:
        out: dict[str, str] = {}
        for cell, mark in self._cell_unit.findall(text):
            out[str(len(out) + 1)] = self._unquoted(cell.strip())
            if not mark:
                break
        return out

    # Writing.

    def pack(self, report: Report) -> str:
        """Write an answer without its terminator. Raises LocalProtocolError for a code no reader could tell."""
        mark, value_of = self._mark, self._value
        head, coded, texted = self._begun(report.command.partition(mark)[0], report.retcode)
        parts = [coded] if coded else []
        if texted and (report.description or coded):
            parts.append(texted + value_of(report.description))
        parts += [self._name(name) + value_of(value) for name, value in report.fields.items()]
        for title, rows in report.tables:
            parts += self._table(title, rows)
        return f"{head}{mark}{self._separator.join(parts)}" if parts else head

    def _beginning(self, echo: str, retcode: str) -> tuple[str, str, str]:
        """How the answer to a command begins; the parameter with the code, and how the one with the text begins, where there are any."""
        layout = self._layout
        code = self._results.written.get(retcode, retcode)
        if not _CODE.match(code):
            raise LocalProtocolError(f"not a result code: {retcode!r}")
        good = self._results.means(code) in ("success", "progress")
        # What would end the command's name does not belong there.
        name = " ".join(_NOT_WORDS.sub(" ", clean(echo).replace(layout.assign, " ")).split())
        head = layout.mark.join([layout.lead, *([name] if layout.echo else []), *([] if layout.code else [code])])
        return (head, f"{layout.code}{layout.assign}{code}" if layout.code else "",
                f"{layout.text}{layout.assign}" if layout.text and (layout.text_on_success or not good) else "")

    def _named(self, name: str) -> str:
        """A name as it is written, and what stands behind it."""
        return self._spelled(name) + self._layout.assign

    def _spelled(self, name: str) -> str:
        name = _NOT_NAME.sub("_", name) or "_"
        name = f"_{name}" if name[0].isdigit() or name[0] in ".-" else name
        return name.upper() if self._layout.upper else name

    def _value(self, value: str) -> str:
        if not value.isprintable():
            value = clean(value)
        quote = self._quote
        if self._bare and self._plain.match(value):
            return value
        if not quote:
            raise LocalProtocolError("a value holds a character the dialect cannot express")
        if quote not in value and "\\" not in value:
            return f"{quote}{value}{quote}"
        return self._quote + value.replace("\\", "\\\\").replace(self._quote, "\\" + self._quote) + self._quote

    def _table(self, title: str, rows: Sequence[Row]) -> list[str]:
        layout, names = self._layout.table, list(dict.fromkeys(name for row in rows for name in row))
        assign = self._layout.assign
        if layout is None:
            if all(map(str.isdecimal, names)):
                names.sort(key=int)
            written = (assign.join(self._value(row.get(n, "").replace(assign, " ")) for n in names) for row in rows)
            return [self._name(title) + cells for cells in written]
        prefix = "" if title == UNTITLED else f"{self._spelled(title)}_"
        columns = layout.column_separators[0].join(self._cell(n) for n in names)
        cells = layout.row_separator.join(layout.cell_separator.join(self._cell(r.get(n, "")) for n in names) for r in rows)
        return [f"{prefix}{layout.columns}{assign}{self._value(columns)}", f"{prefix}{layout.cells}{assign}{self._value(cells)}"]

    def _cell(self, value: str) -> str:
        layout = self._layout.table
        assert layout is not None
        for mark in {*layout.column_separators, layout.cell_separator, layout.row_separator}:
            value = value.replace(mark, " ")
        return value
