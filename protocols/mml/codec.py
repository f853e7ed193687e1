"""Both sides of an MML connection, free of sockets and clocks. The dialect decides everything that is spoken."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from protocols.base import CodecError, LocalProtocolError, RemoteProtocolError
from protocols.mml.dialect import Dialect
from protocols.mml.frames import FrameCutter, Header, Piece
from protocols.mml.inline import InlineReports
from protocols.mml.language import Language
from protocols.mml.lines import LineReports
from protocols.mml.messages import Acknowledgement, Alarm, Command, Heartbeat, Malformed, Prompt, Report
from protocols.mml.spaced import SpacedLanguage
from protocols.mml.streams import Cut, LineCutter, TextCutter

HEARTBEAT = b"`SC`0004HBHBB7BDB7BD"
"""The heartbeat of the published frame; a dialect declares its own in `frame.heartbeat`."""

ServerEvent = Command | Heartbeat | Malformed
ClientEvent = Report | Alarm | Prompt | Acknowledgement | Heartbeat | Malformed


def _report_cutter(dialect: Dialect) -> LineCutter:
    stream, session = dialect.stream, dialect.session
    return LineCutter(dialect.max_bytes, stream.report_ends, prompts=session.expected, prompt_ends=stream.prompt_ends,
                      texts=[t.text for t in dialect.results.texts], opens=stream.opens, charset=dialect.charset)


def _line_reports(dialect: Dialect) -> LineReports:
    return LineReports(dialect.report, dialect.results, _report_cutter(dialect), dialect.charset, dialect.stream.line_end)


class _Side:
    """What both sides share."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._charset, self._limit = dialect.charset, dialect.max_bytes
        self._errors = "strict" if dialect.decoding == "refuse" else "replace"
        spaced = dialect.command.parameter.isspace()
        self._language = (SpacedLanguage if spaced else Language)(dialect.command, dialect.mask)
        self._header = Header(dialect.frame, dialect.charset, dialect.decoding, dialect.max_bytes) if dialect.frame else None
        self._ended = False

    @property
    def _framed(self) -> bool:
        return self.dialect.framing == "framed"

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode(self._charset, self._errors)
        except UnicodeDecodeError as error:
            raise RemoteProtocolError(f"not {self._charset}", position=error.start) from None

    def _encoded(self, text: str, *, exact: bool) -> bytes:
        """Encode what is sent. A command must come over as it is; in a report a strange character may become `?`."""
        try:
            data = text.encode(self._charset, "strict" if exact else "replace")
        except UnicodeEncodeError:
            raise LocalProtocolError(f"a value holds a character that {self._charset} has not") from None
        if len(data) > self._limit:
            raise LocalProtocolError(f"longer than {self._limit} bytes")
        return data

    def _heartbeat(self) -> bytes:
        if self.dialect.frame is None or not self.dialect.frame.heartbeat:
            raise LocalProtocolError("the dialect has no heartbeat")
        return self.dialect.frame.heartbeat.encode()

    def _failed(self, error: CodecError, head: dict[str, str] | None = None) -> Malformed:
        self._ended = self._ended or error.fatal
        head = head or {}
        return Malformed(error, head.get("session", ""), head.get("transaction", ""))

    def _unframed(self, piece: Piece) -> tuple[dict[str, str], str, str] | Malformed:
        """Header, body and what is doubtful about a frame."""
        assert self._header is not None
        assert self.dialect.frame is not None
        head: dict[str, str] = {}
        try:
            head, body = self._header.read(piece.covered)
            if not piece.sound and self.dialect.frame.checksum.policy == "enforce":
                raise RemoteProtocolError("wrong checksum")
            return head, self._header.text(body), "" if piece.sound else "wrong checksum"
        except CodecError as error:
            return self._failed(error, head)


class MmlServerCodec(_Side):
    """The server's side: commands in, reports out."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._frames = FrameCutter(dialect.frame, dialect.max_bytes) if self._framed and dialect.frame else None
        command, stream = dialect.command, dialect.stream
        self._texts = TextCutter(dialect.max_bytes, [*stream.terminators, *(["\n"] if stream.line_ends_command else [])],
                                 quotes=command.quote, escape=command.escape, comments=command.comments, charset=dialect.charset)
        self._inline = InlineReports(dialect.report.inline, dialect.results) if dialect.report.form == "inline" else None
        self._lines = _line_reports(dialect) if self._inline is None else None
        # What stands behind every answer, looked up once: attributes of pydantic's models cost more than they look.
        session = dialect.session
        self._prompt = session.prompts[0] if session.prompts and session.prompt_written else ""
        self._ends = {more: next((e.line for e in stream.report_ends if e.more == more), stream.report_ends[0].line) + stream.line_end
                      for more in (False, True)} if stream.report_ends else {}
        self._lead = dialect.report.lead
        self._closing = stream.report_terminators[0] + stream.line_end + self._prompt

    def receive_data(self, data: bytes) -> list[ServerEvent]:
        """Take what arrived; give every command, heartbeat and fault now complete. After a fatal fault nothing more comes."""
        events: list[ServerEvent] = []
        if self._ended:
            return events
        if self._frames is not None:
            return [self._failed(piece) if isinstance(piece, CodecError) else self._framed_command(piece)
                    for piece in self._frames.cut(data)]
        for cut in self._texts.cut(data):
            if isinstance(cut, CodecError):
                events.append(self._failed(cut))
            elif cut.data and not cut.data.isspace():
                try:
                    events.append(self._language.parse(self._decoded(cut.data)))
                except CodecError as error:
                    events.append(self._failed(error))
        return events

    def _framed_command(self, piece: Piece) -> ServerEvent:
        if piece.heartbeat:
            return Heartbeat()
        opened = self._unframed(piece)
        if isinstance(opened, Malformed):
            return opened
        head, body, suspect = opened
        try:
            read = self._language.parse(body.rstrip("; \r\n"))
        except CodecError as error:
            return self._failed(error, head)
        read.session, read.dialogue, read.suspect = head.get("session", ""), head.get("dialogue", "").upper(), suspect
        read.transaction = head.get("transaction", "") or read.transaction
        return read

    def send(self, message: Report | Alarm | Acknowledgement | Prompt | Heartbeat) -> bytes:
        """Encode an answer, an alarm, an acknowledgement, a prompt or a heartbeat. Raises LocalProtocolError."""
        if isinstance(message, Heartbeat):
            return self._heartbeat()
        if self._frames is not None:
            return self._framed_report(message)
        if isinstance(message, Prompt):
            return self._encoded(message.text, exact=True)
        if self._inline is not None:
            if not isinstance(message, Report):
                raise LocalProtocolError("the dialect has answers only")
            return self._encoded(self._inline.pack(message) + self._closing, exact=False)
        assert self._lines is not None
        if isinstance(message, Acknowledgement):
            prompts = self.dialect.session.prompts
            return self._encoded(self._lines.writer.acknowledgement(message) + (prompts[0] if prompts else ""), exact=False)
        if isinstance(message, Alarm):
            text, ended, more = self._lines.writer.alarm(message), False, False
        else:
            text, ended, more = *self._lines.writer.report(message), message.more
        end = self._ends[more] if self._ends and not ended else ""
        return self._encoded(f"{self._lead}{text}{end}{self._prompt}", exact=False)

    def _framed_report(self, message: object) -> bytes:
        assert self._header is not None
        assert self._inline is not None
        assert self.dialect.frame is not None
        if not isinstance(message, Report):
            raise LocalProtocolError("the dialect has answers only")
        body = self._encoded(self._inline.pack(message), exact=False)
        return self._header.write(body, {"session": message.session, "transaction": message.transaction, "dialogue": message.dialogue,
                                         "word": self.dialect.frame.report_word})


class MmlClientCodec(_Side):
    """The client's side: commands out, reports in. What is no report comes out as an `Alarm`, which is its text."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._frames = FrameCutter(dialect.frame, dialect.max_bytes) if self._framed and dialect.frame else None
        inline, stream = dialect.report.inline, dialect.stream
        self._inline = InlineReports(inline, dialect.results) if dialect.report.form == "inline" else None
        self._lines = _line_reports(dialect) if self._inline is None else None
        self._cutter: TextCutter | LineCutter = _report_cutter(dialect) if self._inline is None else TextCutter(
            dialect.max_bytes, stream.report_terminators, quotes=inline.quotes, comments=False, charset=dialect.charset,
            quote_ends_line=False, prompts=dialect.session.expected)
        self._sent: deque[str] = deque(maxlen=max(dialect.session.window, 4))
        self._previous: Report | None = None
        self._texts = [(" ".join(t.text.lower().split()), t.code) for t in dialect.results.texts]

    def receive_data(self, data: bytes) -> list[ClientEvent]:
        """Take what arrived; give every report, alarm, prompt, acknowledgement, heartbeat and fault now complete."""
        events: list[ClientEvent] = []
        if self._ended:
            return events
        if self._frames is not None:
            return [self._failed(piece) if isinstance(piece, CodecError) else self._framed_answer(piece)
                    for piece in self._frames.cut(data)]
        for cut in self._cutter.cut(data or b"\n"):
            try:
                if isinstance(cut, CodecError):
                    raise cut
                event = self._answer(cut)
            except CodecError as error:
                event = self._failed(error)
            if event is not None:
                events.append(event)
        return events

    def _answer(self, cut: Cut) -> ClientEvent | None:
        if cut.ended == "prompt" and not cut.data:
            return Prompt(cut.mark)
        text = self._decoded(cut.data)
        if cut.ended == "text":
            return self._from_text(text)
        if self._inline is not None:
            return self._inline_answer(text)
        assert self._lines is not None
        event = self._lines.parse(text, cut.ended, self._previous)
        if isinstance(event, Report):
            self._previous = event if event.more else None
        return event

    def _inline_answer(self, text: str) -> ClientEvent | None:
        assert self._inline is not None
        if not text.strip(" \t\r\n\0"):
            return None
        report = self._inline.parse(text)
        if report is not None:
            return report
        said = " ".join(text.split())
        if self.dialect.session.echo and said in self._sent:
            self._sent.remove(said)
            return None
        return self._from_text(text) or Alarm.of(text)

    def _from_text(self, text: str) -> Report | None:
        """The report that a plain text stands for."""
        said = " ".join(text.split())
        code = next((code for beginning, code in self._texts if said.lower().startswith(beginning)), None)
        return None if code is None else Report(code, said)

    def _framed_answer(self, piece: Piece) -> ClientEvent:
        assert self._inline is not None
        if piece.heartbeat:
            return Heartbeat()
        opened = self._unframed(piece)
        if isinstance(opened, Malformed):
            return opened
        head, body, suspect = opened
        try:
            read = self._inline.parse(body) or self._from_text(body)
            if read is None:
                raise RemoteProtocolError(f"an answer begins {self.dialect.report.inline.lead}")
        except CodecError as error:
            return self._failed(error, head)
        return replace(read, session=head.get("session", ""), transaction=head.get("transaction", ""),
                       dialogue=head.get("dialogue", "").upper(), suspect=suspect)

    def send(self, message: Command | Heartbeat) -> bytes:
        """Encode a command. Raises LocalProtocolError; then nothing may be sent."""
        if isinstance(message, Heartbeat):
            return self._heartbeat()
        text = self._language.pack(message)
        if self._frames is not None:
            assert self._header is not None
            assert self.dialect.frame is not None
            return self._header.write(self._encoded(text, exact=True), {
                "session": message.session, "transaction": message.transaction,
                "dialogue": message.dialogue or self.dialect.frame.command_dialogue, "word": self.dialect.frame.command_word})
        stream = self.dialect.stream
        # Where a line end closes a command, one is enough: two would be another command, an empty one.
        end = stream.line_end if stream.line_end.endswith(stream.terminators[0]) else stream.terminators[0] + stream.line_end
        data = self._encoded(text + end, exact=True)
        if self.dialect.session.echo:
            self._sent.append(" ".join(text.split()))
        return data

    def line(self, text: str) -> bytes:
        """A line that is no command, as a login by prompts wants it. Raises LocalProtocolError for a text of several lines."""
        if any(ord(c) < 32 or c == "\x7f" for c in text):
            raise LocalProtocolError("a line holds a control character")
        return self._encoded(text + self.dialect.stream.line_end, exact=True)

    def whole(self, text: str) -> bytes:
        """A whole command as an operator wrote it (keepalive, pre-commands), checked. Raises LocalProtocolError."""
        try:
            return self.send(self._language.parse(text))
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.message) from None


def events(codec: MmlServerCodec | MmlClientCodec, chunks: Iterable[bytes]) -> list[object]:
    """Feed chunks to a codec, one after the other; for tests and command-line tools."""
    return [event for chunk in chunks for event in codec.receive_data(chunk)]
