"""Both sides of an MML connection, free of sockets and clocks. The dialect decides whether text or frames are spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocols.base import CodecError, LocalProtocolError, RemoteProtocolError
from protocols.mml.dialect import Dialect
from protocols.mml.messages import Command, Heartbeat, Malformed, Report
from protocols.mml.reports import pack_answer, pack_report, parse_answer, parse_report, required
from protocols.mml.streams import FLAG, Cut, FrameCutter, ReportCutter, TextCutter, checksum
from protocols.mml.text import pack_command, parse_command

HEARTBEAT = b"`SC`0004HBHBB7BDB7BD"


class _Frames:
    """Header and body of one frame, by the dialect's field list."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._slices: dict[str, slice] = {}
        at = 8
        for part in dialect.header:
            self._slices[part.name] = slice(at, at + part.width)
            at += part.width
        self._body = at

    def read(self, frame: bytes) -> tuple[dict[str, str], str]:
        """Raises RemoteProtocolError."""
        if len(frame) < self._body + 8:
            raise RemoteProtocolError("the frame is shorter than its header")
        return ({name: frame[where].decode("ascii", "replace").strip() for name, where in self._slices.items()},
                frame[self._body:-8].decode(self._dialect.charset, "replace").strip(" \0"))

    def sound(self, frame: bytes) -> bool:
        """Whether the checksum is right; one sent without its leading zeros still is."""
        return self._dialect.checksum == "ignore" or frame[-8:].strip().upper().rjust(8, b"0") == checksum(frame[8:-8])

    def write(self, body: str, **fields: str) -> bytes:
        """Raises LocalProtocolError when the body or a field is too long."""
        data = body.encode(self._dialect.charset, "replace")
        data += b" " * (-len(data) % 4)
        head = "".join(self._padded(p.name, fields.get(p.name, p.value), p.width) for p in self._dialect.header)
        covered = head.encode("ascii", "replace") + data
        if len(covered) > 65_000 or len(covered) + 16 > self._dialect.max_bytes:
            raise LocalProtocolError("longer than a frame may be")
        return b"%b%04X%b%b" % (FLAG, len(covered), covered, checksum(covered))

    @staticmethod
    def _padded(name: str, value: str, width: int) -> str:
        if len(value) > width:
            raise LocalProtocolError(f"header field {name} is longer than {width}")
        return value.ljust(width)


class _Side:
    def __init__(self, dialect: Dialect, cutter: TextCutter | ReportCutter | FrameCutter) -> None:
        self.dialect = dialect
        self._frames = _Frames(dialect) if dialect.framing == "framed" else None
        self._cutter = cutter
        self._ended = False

    def _events(self, data: bytes, text: Callable[[str], Any], framed: Callable[[dict[str, str], str], Any]) -> Iterator[Any]:
        if self._ended:
            return
        for cut in self._cutter.cut(data):
            event = self._event(cut, text, framed)
            if event is None:
                continue
            yield event
            if isinstance(event, Malformed) and event.error.fatal:
                self._ended = True
                return

    def _event(self, cut: Cut, text: Callable[[str], Any], framed: Callable[[dict[str, str], str], Any]) -> Any:
        head: dict[str, str] = {}
        try:
            if isinstance(cut, CodecError):
                raise cut
            if self._frames is None:
                return text(cut.decode(self.dialect.charset, "replace"))
            if cut.upper() == HEARTBEAT:
                return Heartbeat()
            head, body = self._frames.read(cut)
            if not self._frames.sound(cut):
                raise RemoteProtocolError("wrong checksum")
            return framed(head, body)
        except CodecError as error:
            return Malformed(error, head.get("session", ""), head.get("transaction", ""))


class MmlServerCodec(_Side):
    """The server's side: commands in, reports out."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, FrameCutter(dialect.max_bytes) if dialect.framing == "framed" else TextCutter(dialect.max_bytes))

    def receive_data(self, data: bytes) -> list[Command | Heartbeat | Malformed]:
        """Take what arrived; give every command, heartbeat and fault now complete. After a fatal fault nothing more comes."""
        return list(self._events(data, self._text, self._framed))

    def _text(self, text: str) -> Command | None:
        return parse_command(text, self.dialect.mask) if text.strip() else None

    def _framed(self, head: dict[str, str], body: str) -> Command:
        read = parse_command(body.rstrip("; \r\n"), self.dialect.mask)
        return Command(read.name, read.parameters, read.raw, head["session"], head["transaction"], head["dialogue"].upper())

    def send(self, message: Report | Heartbeat) -> bytes:
        """Encode an answer. Raises LocalProtocolError."""
        if isinstance(message, Heartbeat):
            return HEARTBEAT
        report = required(message)
        if self._frames is None:
            return pack_report(report).encode(self.dialect.charset, "replace")
        return self._frames.write(pack_answer(report), session=report.session, transaction=report.transaction,
                                  dialogue=report.dialogue, word="TXEND")


class MmlClientCodec(_Side):
    """The client's side: commands out, reports in. A block without a result code comes out as its text: an alarm."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, FrameCutter(dialect.max_bytes) if dialect.framing == "framed" else ReportCutter(dialect.max_bytes))

    def receive_data(self, data: bytes) -> list[Report | str | Heartbeat | Malformed]:
        """Take what arrived; give every report, alarm, heartbeat and fault now complete."""
        return list(self._events(data, lambda text: parse_report(text) or text, self._framed))

    @staticmethod
    def _framed(head: dict[str, str], body: str) -> Report:
        read = parse_answer(body)
        return Report(read.retcode, read.description, read.fields, read.tables, read.command, head["session"],
                      head["transaction"], head["dialogue"].upper())

    def send(self, message: Command | Heartbeat) -> bytes:
        """Encode a command. Raises LocalProtocolError; then nothing may be sent."""
        if isinstance(message, Heartbeat):
            return HEARTBEAT
        body = pack_command(message)
        if self._frames is None:
            return (body + ";\r\n").encode(self.dialect.charset, "replace")
        return self._frames.write(body, session=message.session, transaction=message.transaction,
                                  dialogue=message.dialogue or "DLGCON")
