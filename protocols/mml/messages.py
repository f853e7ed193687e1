"""What passes over an MML connection, free of any one dialect's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocols.base import CodecError


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `name` is verb and object in capitals; `raw` is the command as it came, with secrets masked.

    `session` and `transaction` are a frame's identifiers, empty where the dialect has none.
    """

    name: str
    parameters: tuple[tuple[str, str], ...] = ()
    raw: str = field(default="", compare=False)
    session: str = ""
    transaction: str = ""
    dialogue: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a command. `time` and `source` fill a text report's first line."""

    retcode: str
    description: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[tuple[str, tuple[Mapping[str, str], ...]], ...] = ()
    command: str = ""
    session: str = ""
    transaction: str = ""
    dialogue: str = "DLGCON"
    source: str = "UIP"
    time: str = ""
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat frame; a server echoes it unchanged."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """What could not be read. `session` and `transaction` are known when only the body or the checksum was wrong."""

    error: CodecError
    session: str = ""
    transaction: str = ""
    raw: str = ""
