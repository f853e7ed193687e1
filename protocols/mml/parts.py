"""An answer that goes in parts, and one that comes so, joined. The clock is the caller's: `give_up` gives what has come."""

from __future__ import annotations

from dataclasses import replace

from protocols.mml.bodies import UNTITLED
from protocols.mml.messages import Report, Row


def parted(report: Report, most: int) -> list[Report]:
    """The parts of an answer, each with at most so many rows; fields stand in the first. The opposite of a `Joiner`."""
    pieces: list[list[tuple[str, tuple[Row, ...]]]] = [[]]
    room = most
    for title, rows in report.tables:
        at = 0
        while True:
            if not room:
                pieces.append([])
                room = most
            here = rows[at:at + room]
            pieces[-1].append((title, here))
            room -= len(here)
            at += len(here)
            if at >= len(rows):
                break
    last = len(pieces) - 1
    return [replace(report, fields=report.fields if not number else {}, tables=tuple(tables), more=number < last)
            for number, tables in enumerate(pieces)]


class Joiner:
    """Joins the parts of one answer. Holds at most `most_rows` rows; what is beyond is dropped and said in `suspect`."""

    def __init__(self, most_rows: int = 100_000) -> None:
        self._most = most_rows
        self._parts: list[Report] = []
        self._rows = 0
        self._dropped = False

    @property
    def waiting(self) -> bool:
        """Whether a part has come and others are to follow."""
        return bool(self._parts)

    def add(self, part: Report) -> Report | None:
        """Take a part; give the whole answer when it was the last."""
        self._rows += sum(len(rows) for _, rows in part.tables) + 1
        if self._rows > self._most and self._parts:
            self._dropped = True
            part = replace(part, tables=(), fields={})
        self._parts.append(part)
        if len(self._parts) > 1 and self._dropped:
            self._parts = [self._join()]
        return None if part.more else self.give_up()

    def give_up(self) -> Report | None:
        """Give what has come, as far as it has come; None when nothing has."""
        whole = self._join() if self._parts else None
        self._parts, self._rows, self._dropped = [], 0, False
        return whole

    def _join(self) -> Report:
        """The last part's result, the first part's head, everybody's fields and tables; tables of the same title are one.

        Parts whose fields say different things are records: each is a row, too, unless it is one in its own part.
        """
        first, last = self._parts[0], self._parts[-1]
        if len(self._parts) == 1:
            return first
        fields: dict[str, str] = {}
        tables: dict[str, list[Row]] = {}
        for part in self._parts:
            fields = {**part.fields, **fields}
        records = any(fields[name] != value for part in self._parts for name, value in part.fields.items())
        for part in self._parts:
            for title, rows in part.tables:
                tables.setdefault(title, []).extend(rows)
            if records and part.fields and not any(row and row.items() <= part.fields.items() for _, rows in part.tables for row in rows):
                tables.setdefault(UNTITLED, []).append(part.fields)
        return replace(last, fields=fields, tables=tuple((title, tuple(rows)) for title, rows in tables.items()),
                       command=first.command or last.command, transaction=last.transaction or first.transaction,
                       source=first.source, time=first.time, serial=first.serial, total=last.total,
                       notes=tuple(note for part in self._parts for note in part.notes)[:1000],
                       suspect="more rows than may be held" if self._dropped else last.suspect)
