"""Report blocks (`+++ ... ---    END`) and framed answers (`ACK:...`), to and from `Report`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.messages import Report
from protocols.mml.text import parse_command, quoted

_HEAD = re.compile(r"\+\+\+\s+(\S.*?)\s+(\d{4}-\d\d-\d\d[ T]\S+)\s*\Z")
_SERIAL = re.compile(r"(?:O&M|SMU)\s+#(\d+)")
_RETCODE = re.compile(r"RETCODE\s*=\s*(\S+)(?:\s+(.*))?\Z")
_FIELD = re.compile(r"\s*(\S.*?)\s+=  ?(.*)\Z")
_CELL = re.compile(r"\S+(?: \S+)*")
_COUNT = re.compile(r"\([^()=]*=\s*\d+\)\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")

Rows = tuple[Mapping[str, str], ...]


def pack_report(report: Report) -> str:
    """Write a report block with CR LF line ends."""
    code = report.retcode
    lines = [f"+++    {report.source}        {report.time}", f"O&M    #{report.serial}", f"%%{_clean(report.command)}%%",
             f"RETCODE = {code}  {_clean(report.description)}".rstrip(), ""]
    if report.fields:
        wide = max(map(len, report.fields))
        lines += ["Result", "------", *(f"{name:>{wide + 2}}  =  {_clean(value)}" for name, value in report.fields.items()), ""]
    for title, rows in report.tables:
        lines += _table(title, rows)
    return "\r\n".join([*lines, "---    END", ""])


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _table(title: str, rows: Rows) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    # two or more spaces part the columns, so inside a cell they become one; a cell is never empty
    cells = [[" ".join(_clean(row.get(name, "")).split()) or "-" for name in names] for row in rows]
    wide = [max(len(name), *(len(c[i]) for c in cells)) for i, name in enumerate(names)] if cells else []
    lines = ["  ".join(text.ljust(w) for text, w in zip(line, wide, strict=True)).rstrip() for line in [names, *cells]]
    return [title, "-" * len(title), *lines, f"(Number of results = {len(rows)})", ""]


def parse_report(text: str) -> Report | None:
    """Read a report block up to its END line; None for a block without a result code (an alarm).

    Raises RemoteProtocolError when a table's row does not fit its columns.
    """
    source = time = command = ""
    serial = 0
    lines = text.splitlines()
    for number, line in enumerate(lines):
        line = line.strip()  # noqa: PLW2901 (only the stripped line means anything here)
        if found := _HEAD.match(line):
            source, time = found[1], found[2]
        elif found := _SERIAL.match(line):
            serial = int(found[1][:18])
        elif line.startswith("%%"):
            command = line.strip("%")
        elif found := _RETCODE.match(line):
            fields, tables = _body(lines[number + 1:])
            return Report(found[1], found[2] or "", fields, tables, command, source=source, time=time, serial=serial)
    return None


def _body(lines: list[str]) -> tuple[dict[str, str], tuple[tuple[str, Rows], ...]]:
    fields: dict[str, str] = {}
    tables: list[tuple[str, Rows]] = []
    title, names, rows = "", list[str](), list[dict[str, str]]()
    for line, following in zip(lines, [*lines[1:], ""], strict=False):  # after the last line, or none at all, comes nothing
        stripped = line.strip()
        if not stripped or set(stripped) == {"-"} and len(stripped) > 1 or _COUNT.match(stripped):
            if rows:
                tables.append((title, tuple(rows)))
            if not set(stripped) == {"-"}:
                names, rows = [], []
        elif following.strip() and set(following.strip()) == {"-"} and not names:
            title = stripped
        elif not names and (found := _FIELD.match(line)):
            fields[found[1]] = found[2].strip()
        elif not names:
            names = _CELL.findall(line)
        else:
            cells = _CELL.findall(line)
            if len(cells) != len(names):
                raise RemoteProtocolError(f"table {title!r}: a row has {len(cells)} cells under {len(names)} columns")
            rows.append(dict(zip(names, cells, strict=True)))
    return fields, tuple(tables)


def pack_answer(report: Report) -> str:
    """Write a framed body. A table becomes ATTR (columns joined by &) and RESULT (cells by |, rows by &)."""
    parts = [f"RETN={report.retcode}", f"DESC={_always_quoted(report.description)}"]
    parts += [f"{name.upper()}={_always_quoted(value)}" for name, value in report.fields.items()]
    for title, rows in report.tables:
        names = list(dict.fromkeys(name for row in rows for name in row))
        parts.append(f"{title.upper()}_ATTR={_always_quoted('&'.join(names))}")
        parts.append(f"{title.upper()}_RESULT={_always_quoted('&'.join('|'.join(_cell(r.get(n, '')) for n in names) for r in rows))}")
    return f"ACK:{_clean(report.command)}:" + ",".join(parts)


def _cell(value: str) -> str:
    return value.replace("&", " ").replace("|", " ")


def _always_quoted(value: str) -> str:
    written = quoted(_clean(value))
    return written if written.startswith('"') else f'"{written}"'


def parse_answer(body: str) -> Report:
    """Read a framed body. Raises RemoteProtocolError."""
    kind, _, rest = body.strip().rstrip(";").partition(":")
    name, _, parameters = rest.partition(":")
    if kind.strip().upper() != "ACK":
        raise RemoteProtocolError("an answer begins ACK:")
    fields = dict(parse_command(f"ACK:{parameters}", frozenset()).parameters)
    retcode = fields.pop("RETN", None)
    if retcode is None:
        raise RemoteProtocolError("an answer has no RETN")
    tables = []
    for column in [f for f in fields if f == "ATTR" or f.endswith("_ATTR")]:
        title = column[:-5]
        result = fields.get(f"{title}_RESULT" if title else "RESULT")
        if result is not None:
            names = fields.pop(column).split("&")
            cells = fields.pop(f"{title}_RESULT" if title else "RESULT")
            tables.append((title.lower(), tuple(dict(zip(names, row.split("|"), strict=False)) for row in cells.split("&") if row)))
    return Report(retcode, fields.pop("DESC", ""), fields, tuple(tables), " ".join(name.upper().split()))


def required(report: Report) -> Report:
    """Refuse to send what no reader could tell apart. Raises LocalProtocolError."""
    if not report.retcode or not report.retcode.isalnum():
        raise LocalProtocolError(f"not a result code: {report.retcode!r}")
    return report
