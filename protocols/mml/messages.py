"""What passes over an MML connection, free of any one dialect's layout."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from protocols.base import CodecError

Row = Mapping[str, str]
Tables = tuple[tuple[str, tuple[Row, ...]], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """All values from `first` to `last` (ITU-T Z.315: `first&&last`)."""

    first: str
    last: str


class ListValue(str):
    """Several values under one parameter, `A&B&&D`. It is a text, as it stands in the command; `items` are its values and ranges.

    A plain text that holds the separator is one value and is sent quoted; to send a list, make one with `of`.
    """

    __slots__ = ("items",)
    items: tuple[str | Range, ...]

    @classmethod
    def of(cls, items: Iterable[str | Range], separator: str = "&", range_separator: str = "&&") -> Self:
        """Make a list of values and ranges."""
        kept = tuple(items)
        self = cls(separator.join(i if isinstance(i, str) else f"{i.first}{range_separator}{i.last}" for i in kept))
        self.items = kept
        return self


class Nested(str):
    """A value with parts of its own (JSON, XML), as a text in JSON. `value` is the dict or list, whose leaves are texts."""

    __slots__ = ("value",)
    value: Mapping[str, Any] | Sequence[Any]

    @classmethod
    def of(cls, value: Mapping[str, Any] | Sequence[Any]) -> Self:
        """Make one."""
        self = cls(json.dumps(value, ensure_ascii=False))
        self.value = value
        return self


@dataclass(slots=True)
class Command:
    """One command: `name` is its words in capitals, joined by a space; `raw` is the command as it came, with secrets masked.

    A parameter without a name is called by its position: `1`, `2` in the first block, `2-1` for the first of the second block;
    a name in a later block has the block's number before it too (`2-NAME`). An empty position, the default, is left out.
    A value may be a `ListValue` or `Nested`. `session` and `transaction` are the identifiers of a frame or record or, as
    `transaction`, TL1's ctag; `tid` and `aid` are TL1's target and access identifier. All are empty where the dialect has none.
    `suspect` says why a message that was let through is doubtful (a wrong checksum, where the dialect only warns).
    """

    name: str
    parameters: tuple[tuple[str, str], ...] = ()
    raw: str = field(default="", compare=False)
    session: str = ""
    transaction: str = ""
    dialogue: str = field(default="", compare=False)
    tid: str = ""
    aid: str = ""
    suspect: str = field(default="", compare=False)


@dataclass(slots=True)
class Report:
    """The answer to a command, or a part of it: `more` is true while parts follow, `total` is their number where the peer tells it.

    `time` and `source` fill a text report's first line; `via` is the source of the report around it (an element manager's).
    `notes` are lines that belong to no field and no table.
    """

    retcode: str
    description: str = ""
    fields: Row = field(default_factory=dict)
    tables: Tables = ()
    command: str = ""
    session: str = ""
    transaction: str = ""
    dialogue: str = "DLGCON"
    source: str = "UIP"
    time: str = ""
    serial: int = 0
    more: bool = False
    total: int = 0
    via: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    suspect: str = field(default="", compare=False)


class Alarm(str):
    """What an element said unasked: an alarm or event report, a banner. It is the whole text; the attributes are what could be read.

    `severity` is TL1's alarm code (`*C`, `**`, `*`, `A`) or the mark the dialect declares; `kind` is `alarm` when such a mark was
    found, else `text`. `name` is the rest of the mark's line.
    """

    __slots__ = ("fields", "kind", "name", "serial", "severity", "source", "tables", "time")
    kind: str
    severity: str
    serial: str
    name: str
    source: str
    time: str
    fields: Row
    tables: Tables

    @classmethod
    def of(cls, text: str, *, kind: str = "text", severity: str = "", serial: str = "", name: str = "", source: str = "",
           time: str = "", fields: Row | None = None, tables: Tables = ()) -> Self:
        """Make one; what is not known stays empty."""
        self = cls(text)
        self.kind, self.severity, self.serial, self.name = kind, severity, serial, name
        self.source, self.time, self.fields, self.tables = source, time, fields or {}, tables
        return self


@dataclass(frozen=True, slots=True)
class Prompt:
    """The peer waits for input: `text` is the prompt as the dialect declares it."""

    text: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The peer has taken a command and will answer later (TL1 `IP ctag`, in progress) or will not (`PF`, `NA`, `NG`, `RL`)."""

    code: str
    transaction: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat. `either` is sent back unchanged by the side that did not ask; some records tell a question from an answer."""

    kind: Literal["either", "question", "answer"] = "either"


@dataclass(frozen=True, slots=True)
class Malformed:
    """What could not be read. `session` and `transaction` are known when only the body or the checksum was wrong."""

    error: CodecError
    session: str = ""
    transaction: str = ""
    raw: str = ""
