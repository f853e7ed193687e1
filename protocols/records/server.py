"""The server's side: commands in, answers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocols.base import LocalProtocolError
from protocols.mml.dialect import Dialect
from protocols.mml.messages import Acknowledgement, Alarm, Command, Heartbeat, Malformed, Prompt, Report
from protocols.records.side import Path, Side


class RecordServerCodec(Side):
    """Reads commands and writes answers."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, server=True)

    def receive_data(self, data: bytes) -> list[Command | Heartbeat | Malformed]:
        """Take what arrived; give every command, heartbeat and fault now complete. After a fatal fault nothing more comes."""
        return self._events(data, self._command)

    def send(self, message: Report | Alarm | Acknowledgement | Prompt | Heartbeat) -> bytes:
        """Encode an answer, an event or a heartbeat. Raises LocalProtocolError."""
        if isinstance(message, Heartbeat):
            return self._beat(message)
        if isinstance(message, Alarm) and self._record.events:
            fields = {name: self._value(value) for name, value in message.fields.items()}
            return self._said(self._record.events[0].rstrip("*"), message.serial, "", (), fields, self._answers_stand)
        if not isinstance(message, Report):
            raise LocalProtocolError("the dialect has answers only")
        code = self.dialect.results.written.get(message.retcode, message.retcode)
        if not code:
            raise LocalProtocolError("an answer has no result code")
        kind = self._record.answer.replace("{command}", message.command) if message.command else self._record.refusal
        about = self._about(message, code)
        try:
            return b"".join([*self._rows(message), self._answer(message, kind, about, self._fields(message))])
        except LocalProtocolError:
            if self.dialect.results.means(code) in {"success", "progress"}:
                raise
            # That it is refused is told even where there is no room for more.
            return self._answer(message, kind, about, {})

    def _answer(self, report: Report, kind: str, about: Sequence[tuple[Path, str]], fields: dict[str, Any]) -> bytes:
        return self._said(kind, report.transaction, report.session, about, fields, self._answers_stand)

    def _about(self, report: Report, code: str) -> list[tuple[Path, str]]:
        """Code, text, and whether more follows."""
        about = [] if code == self._record.assumed else [(self._code, code)]
        if self._text and report.description:
            about.append((self._text, " ".join(report.description.split()) if self._flat else report.description))
        if report.more and self._record.more is None:
            raise LocalProtocolError("the dialect has no answers in parts")
        if report.more and self._record.more is not None:
            about.append((self._more, self._record.more.value))
        return about

    def _fields(self, report: Report) -> dict[str, Any]:
        fields: dict[str, Any] = {name: self._value(value) for name, value in report.fields.items()}
        if not self._flat:
            fields |= {title: [{n: self._value(v) for n, v in row.items()} for row in rows] for title, rows in report.tables}
        return fields

    def _rows(self, report: Report) -> list[bytes]:
        """The rows of an answer's tables as records of their own, where records are flat."""
        if not self._flat or not report.tables:
            return []
        declared = self._record.rows
        if declared is None or (len(report.tables) > 1 and not declared.title):
            raise LocalProtocolError("the dialect has no tables" if declared is None else "the dialect has one table an answer")
        return [self._said(declared.kind, report.transaction, report.session, [((declared.title,), title)] if declared.title else (), row)
                for title, rows in report.tables for row in rows]
