"""What both sides of a connection that carries records share: a record's kind, id and session; its frame; heartbeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from protocols.base import CodecError, LocalProtocolError, RemoteProtocolError
from protocols.mml.bodies import UNTITLED
from protocols.mml.dialect import Dialect
from protocols.mml.messages import Command, Heartbeat, ListValue, Malformed, Nested, Range
from protocols.records.cutters import cutter_for, write_prefix
from protocols.records.documents import put, taken
from protocols.records.forms import form_of

Path = tuple[str, ...]

NOBODY = frozenset({"", "0", "00000000"})
"""What stands for the number of a session that there is not yet."""


class Opened(NamedTuple):
    """A record, and what every record says about itself."""

    kind: str
    id: str
    session: str
    fields: dict[str, Any]


class Side:
    """One side. `server` decides which layouts are those of what comes."""

    def __init__(self, dialect: Dialect, *, server: bool) -> None:
        assert dialect.record is not None
        self.dialect = dialect
        record = self._record = dialect.record
        self._frame = record.frame
        self._flat = record.format in {"delimited", "fixed"}
        self._form, fixed = form_of(dialect, record, server=server)
        self._cutter = cutter_for(record.frame, dialect.max_bytes, fixed.head if fixed else 0, fixed.size if fixed else len)
        self._kind, self._id, self._session, self._code, self._text, self._more = map(self._path, (
            record.kind, record.id, record.session, record.code, record.text, record.more.field if record.more else ""))
        document = record.document
        self._constants = [(self._path(path), value) for path, value in document.constants.items()]
        self._commands_stand = self._path(document.fields)
        self._answers_stand = self._commands_stand if document.answer_fields is None else self._path(document.answer_fields)
        self._ended = False

    def _path(self, text: str) -> Path:
        """A path as names; in flat records a name is a name, whatever is in it."""
        return () if not text else (text,) if self._flat else tuple(text.split("."))

    def _events(self, data: bytes, read: Callable[[bytes], Any]) -> list[Any]:
        """Cut records and read them; blank ones mean nothing. After a fatal fault nothing more comes."""
        events: list[Any] = []
        if self._ended:
            return events
        for cut in self._cutter.cut(data):
            try:
                if isinstance(cut, CodecError):
                    raise cut
                event = read(cut) if cut.strip() else None
            except CodecError as error:
                event = Malformed(error)
                self._ended = error.fatal
            if event is not None:
                events.append(event)
            if self._ended:
                break
        return events

    def _open(self, data: bytes) -> Opened | None:
        """Read one record. Raises RemoteProtocolError."""
        heard = self._form.read(data)
        if heard is None:
            return None
        kind, fields = heard
        for path, value in self._constants:
            if taken(fields, path) not in (None, value):
                raise RemoteProtocolError(f"{'.'.join(path)} is not {value!r}")
        kind = kind or self._record.command or single(taken(fields, self._kind))
        return Opened(kind, single(taken(fields, self._id)), single(taken(fields, self._session)), fields)

    def _inside(self, fields: dict[str, Any], where: Sequence[str]) -> dict[str, Any]:
        """The message's own fields, out of the record's."""
        if not where:
            return fields
        inner = taken(fields, where)
        if isinstance(inner, dict):
            return {**fields, **inner}
        return fields if inner in (None, "") else {**fields, UNTITLED if isinstance(inner, list) else "value": inner}

    def _heartbeat(self, kind: str) -> Heartbeat | None:
        beat = self._record.heartbeat
        if beat is None or kind not in (beat.kind, beat.answer):
            return None
        return Heartbeat("either") if not beat.answer else Heartbeat("question" if kind == beat.kind else "answer")

    def _beat(self, beat: Heartbeat) -> bytes:
        declared = self._record.heartbeat
        if declared is None:
            raise LocalProtocolError("the dialect has no heartbeat")
        return self._said(declared.answer or declared.kind if beat.kind == "answer" else declared.kind, "", "", (), {})

    def _said(self, kind: str, number: str, session: str, about: Sequence[tuple[Path, str]], fields: Mapping[str, Any],
              where: Path = ()) -> bytes:
        """Write one record: what it says about itself, and its fields at their place. Raises LocalProtocolError."""
        if not kind:
            raise LocalProtocolError("a record needs a kind")
        told: dict[str, Any] = {}
        for path, value in self._constants:
            put(told, path, value)
        if self._kind:
            put(told, self._kind, kind)
        elif self._record.command and kind != self._record.command:
            raise LocalProtocolError(f"every record stands for {self._record.command}")
        if self._id and number:
            put(told, self._id, number)
        if self._session and session not in NOBODY:
            put(told, self._session, session)
        for path, value in about:
            put(told, path, value)
        if where and fields:
            put(told, where, dict(fields))
        else:
            for name, field in fields.items():
                put(told, (name,), field)
        return b"".join(map(self._framed, self._form.write(kind, told)))

    def _framed(self, record: bytes) -> bytes:
        frame = self._frame
        if len(record) > self.dialect.max_bytes:
            raise LocalProtocolError(f"longer than {self.dialect.max_bytes} bytes")
        if frame.kind == "marks":
            start, stop = frame.start.encode(), frame.stop.encode()
            if start in record or stop in record:
                raise LocalProtocolError("a value holds the mark that begins or ends a record")
            return start + record + stop
        if frame.kind == "length":
            prefix = write_prefix(frame.length, len(record))
            if prefix is None:
                raise LocalProtocolError("longer than the length can tell")
            return prefix + record
        if frame.kind == "line" and (b"\n" in record or record.endswith(b"\r")):
            raise LocalProtocolError("a value holds a line end")
        return record + frame.line_end.encode() if frame.kind == "line" else record

    def _command(self, data: bytes) -> Command | Heartbeat | Malformed | None:
        """Read a record as a command. Raises RemoteProtocolError."""
        opened = self._open(data)
        if opened is None:
            return None
        if beat := self._heartbeat(opened.kind):
            return beat
        if not opened.kind:
            return Malformed(RemoteProtocolError(f"a record has no {self._record.kind}, its kind"), opened.session, opened.id)
        fields = self._inside(opened.fields, self._commands_stand)
        parameters = tuple([(name, value if type(value) is str else Nested.of(value)) for name, value in fields.items()])
        return Command(opened.kind, parameters, opened.kind, opened.session, opened.id)

    def _value(self, value: str) -> Any:
        """A value as its form has it. Raises LocalProtocolError."""
        nested = list(map(_item, value.items)) if isinstance(value, ListValue) else value.value if isinstance(value, Nested) else value
        if self._flat and not isinstance(nested, str):
            raise LocalProtocolError("a value has parts of its own, which the record has no room for")
        return nested


def single(value: Any) -> str:
    """A text, or nothing where something else stands."""
    return value if isinstance(value, str) else ""


def _item(item: str | Range) -> str:
    return item if isinstance(item, str) else f"{item.first}-{item.last}"
