"""The client's side: commands out, answers in. What is no answer comes out as an `Alarm`, which is its text."""

from __future__ import annotations

import re
from typing import Any

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.bodies import UNTITLED
from protocols.mml.dialect import Dialect
from protocols.mml.messages import Alarm, Command, Heartbeat, Malformed, Nested, Report, Row
from protocols.records.documents import taken
from protocols.records.side import Opened, Side, single

_MOST_ROWS = 100_000
"""Rows that may wait for the answers they belong to."""


class RecordClientCodec(Side):
    """Writes commands and reads answers. Rows that are records of their own are kept until their answer comes."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, server=False)
        before, command, after = self._record.answer.partition("{command}")
        self._answers = re.compile(f"{re.escape(before)}(.*){re.escape(after)}") if command else None
        self._rows: dict[str, list[tuple[str, Row]]] = {}
        self._held = 0

    def receive_data(self, data: bytes) -> list[Report | Alarm | Heartbeat | Malformed]:
        """Take what arrived; give every answer, event, heartbeat and fault now complete. After a fatal fault nothing more comes."""
        return self._events(data, self._heard)

    def _heard(self, data: bytes) -> Report | Alarm | Heartbeat | None:
        opened = self._open(data)
        if opened is None:
            return None
        if beat := self._heartbeat(opened.kind):
            return beat
        record, kind = self._record, opened.kind
        if record.rows is not None and kind == record.rows.kind:
            self._keep(opened, record.rows.title)
            return None
        unasked = any(kind == event or (event.endswith("*") and kind.startswith(event[:-1])) for event in record.events)
        code = "" if unasked else single(taken(opened.fields, self._code)) or record.assumed
        if code:
            return self._report(opened, code)
        return Alarm.of(data.decode(self.dialect.charset, "replace"), kind="alarm", serial=opened.id, name=kind, fields={
            name: value if isinstance(value, str) else Nested.of(value)
            for name, value in self._inside(opened.fields, self._answers_stand).items()})

    def _keep(self, opened: Opened, title: str) -> None:
        self._held += 1
        if self._held > _MOST_ROWS:
            raise RemoteProtocolError(f"more than {_MOST_ROWS} rows wait for their answer", fatal=True)
        called = opened.fields.pop(title, "") if title else ""
        self._rows.setdefault(opened.id, []).append((called or UNTITLED, opened.fields))

    def _report(self, opened: Opened, code: str) -> Report:
        record = self._record
        text = single(taken(opened.fields, self._text))
        more = record.more is not None and single(taken(opened.fields, self._more)) == record.more.value
        tables: dict[str, list[Row]] = {}
        rows = self._rows.pop(opened.id, [])
        self._held -= len(rows)
        for title, row in rows:
            tables.setdefault(title, []).append(row)
        fields: dict[str, str] = {}
        for name, value in self._inside(opened.fields, self._answers_stand).items():
            if isinstance(value, str):
                fields[name] = value
            elif isinstance(value, list) and all(map(_is_row, value)):
                tables[name] = value
            else:
                fields[name] = Nested.of(value)
        command = self._answers.fullmatch(opened.kind) if self._answers is not None and opened.kind != record.refusal else None
        return Report(code, text, fields, tuple((title, tuple(listed)) for title, listed in tables.items()),
                      "" if command is None else command[1], opened.session, opened.id,
                      more=more or self.dialect.results.means(code) == "progress")

    def send(self, message: Command | Heartbeat) -> bytes:
        """Encode a command. Raises LocalProtocolError; then nothing may be sent."""
        if isinstance(message, Heartbeat):
            return self._beat(message)
        fields = {name: self._value(value) for name, value in message.parameters}
        if len(fields) != len(message.parameters):
            raise LocalProtocolError("a field is given twice")
        return self._said(message.name, message.transaction, message.session, (), fields, self._commands_stand)

    def line(self, text: str) -> bytes:
        """Never anything: records have no login by prompts. Raises LocalProtocolError."""
        raise LocalProtocolError(f"{len(text)} characters are no record")

    def whole(self, text: str) -> bytes:
        """A whole command as an operator wrote it (keepalive, pre-commands), checked. Raises LocalProtocolError."""
        try:
            read = Side(self.dialect, server=True)._command(text.encode(self.dialect.charset, "replace"))
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.message) from None
        if not isinstance(read, Command):
            raise LocalProtocolError("not a command")
        return self.send(read)


def _is_row(item: Any) -> bool:
    return isinstance(item, dict) and all(isinstance(value, str) for value in item.values())
