"""What one MML dialect looks like on the wire, as an operator declares it: the root of a dialect file."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from protocols.mml.alarms import AlarmRules
from protocols.mml.frame_model import Frame, HeaderField
from protocols.mml.grammar import CommandGrammar
from protocols.mml.problems import DialectError, checked
from protocols.mml.record_model import RecordGrammar
from protocols.mml.report_model import ReportGrammar
from protocols.mml.results import Results
from protocols.mml.session import Login, Part, Session
from protocols.mml.stream_model import Stream

__all__ = ["Dialect", "DialectError", "HeaderField", "Login", "Results"]


class Dialect(Part):
    """One dialect. Usable as server and as client."""

    name: str = Field(alias="dialect", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="the name other files call it by")
    framing: Literal["text", "framed", "records"] = Field(
        description="commands and reports in a stream of text, in frames with a length, or as records without a command language")
    charset: str = Field(default="utf-8", description="a name Python knows, ASCII-compatible (utf-8, latin-1, gbk, big5)")
    decoding: Literal["replace", "refuse"] = Field(default="replace", description="what to do with bytes that are not of the charset")
    max_bytes: int = Field(default=65_536, ge=256, le=16_777_216, description="the longest command and the longest report, bytes")
    stream: Stream = Field(default=Stream(), description="framing: text. Where commands and reports end")
    frame: Frame | None = Field(default=None, description="framing: framed. Flag, length, header, checksum, heartbeat")
    record: RecordGrammar | None = Field(default=None, description="framing: records. Delimited, fixed, JSON or XML")
    command: CommandGrammar = Field(default=CommandGrammar(), description="how a command is written")
    report: ReportGrammar = Field(default=ReportGrammar(form="inline"), description="text and framed: how an answer is written; must be "
                                                                                    "given there")
    results: Results = Field(default=Results(), description="what result codes and texts mean")
    mask: frozenset[str] = Field(default=frozenset(),
        description="parameters whose values never appear in logs and echoes; `COMMAND:NAME` for one command's only")
    session: Session = Field(default=Session(), description="how a conversation runs")
    alarms: AlarmRules = Field(default=AlarmRules(), description="what becomes of alarms: where their fields come from")

    @field_validator("charset")
    @classmethod
    def _usable_charset(cls, value: str) -> str:
        try:
            codecs.lookup(value)
            fits = 'A;\r\n"'.encode(value) == b'A;\r\n"' and isinstance(b"A".decode(value), str)
        except (LookupError, TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise ValueError(f"{value} is not a charset that contains ASCII")
        return value

    @model_validator(mode="after")
    def _records_whole(self) -> Self:
        if (self.framing == "records") != (self.record is not None):
            raise ValueError("`framing: records` needs a `record` section, and only that has one")
        if self.record is None:
            return self
        given = {"stream", "frame", "report"} & self.model_fields_set
        if given:
            raise ValueError(f"records have no `{min(given)}`: `record` says all")
        session, record = self.session, self.record
        if session.login.dialogue or session.prompts or session.greeting or session.telnet or session.echo:
            raise ValueError("records have no prompts: `session` cannot have `login.dialogue`, `prompts`, `greeting`, `telnet` or `echo`")
        if session.correlation == "echo" or (session.correlation != "order" and not record.id):
            raise ValueError("`session.correlation` of records is order, or transaction or ctag with `record.id`")
        if session.keepalive.send == "heartbeat" and record.heartbeat is None:
            raise ValueError("`session.keepalive: {send: heartbeat}` needs `record.heartbeat`")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.framing != "records" and "report" not in self.model_fields_set:
            raise ValueError("report: must be given; it says how an answer is written")
        if self.framing == "framed" and self.frame is None:
            raise ValueError("`framing: framed` needs a `frame` section")
        if self.framing == "framed" and self.frame is not None and self.session.correlation in ("transaction", "ctag") and not any(
                f.filled_from == "transaction" for f in self.frame.header):
            raise ValueError("frame.header: lacks a field whose source is `transaction`, by which answers find their commands; "
                             "without one, `session.correlation` is order")
        if self.framing == "framed" and self.report.form != "inline":
            raise ValueError("in frames a report is one line: `report: {form: inline}`")
        if self.framing == "text" and self.report.form == "lines" and not (self.stream.report_ends or self.stream.prompt_ends):
            raise ValueError("a report in lines needs `stream.report_ends` or `stream.prompt_ends`")
        record = self.record
        parted = bool(record.more) if record is not None else self.report.form == "lines" and (
            bool(self.report.more) or any(end.more for end in self.stream.report_ends))
        if self.session.part_rows and not parted:
            raise ValueError("`session.part_rows` needs what says that more follows: `report.more`, an end with `more`, or `record.more`")
        if self.stream.prompt_ends and not self.session.prompts:
            raise ValueError("`stream.prompt_ends` needs `session.prompts`")
        return self

    @cached_property
    def login(self) -> Login:
        """The session's login with its names as a command that was read has them: in capitals, but for records."""
        said = self.session.login
        if self.framing == "records":
            return said
        return said.model_copy(update={name: getattr(said, name).upper() for name in ("command", "user", "secret")})

    @cached_property
    def logout(self) -> str:
        """The session's logout command, as one that was read is named."""
        return self.session.logout if self.framing == "records" else self.session.logout.upper()

    @property
    def numbers_sessions(self) -> bool:
        """Whether every message carries its session's number, which the answer to the login gives."""
        return self.framing == "framed" or (self.record is not None and bool(self.record.session))

    @cached_property
    def header_width(self) -> int:
        """Bytes of a frame's header between the length and the body; 0 without frames."""
        return 0 if self.frame is None else sum(f.width for f in self.frame.header)

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Dialect:
        """Check a parsed dialect file. Raises DialectError with every mistake, its path and the nearest right name."""
        return checked(cls, data)
