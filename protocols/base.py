"""The contract of every codec: bytes in, events out; a message in, bytes out. It never raises anything but CodecError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

Incoming = TypeVar("Incoming", covariant=True)
Outgoing = TypeVar("Outgoing", contravariant=True)


class CodecError(Exception):
    """The peer sent, or we were asked to send, what the protocol cannot express.

    `position` is the byte offset in the message where it was noticed, where one is known.
    `fatal` means the stream cannot be followed any further and the connection has to end.
    """

    def __init__(self, message: str, *, position: int | None = None, fatal: bool = False) -> None:
        super().__init__(message if position is None else f"{message} (at byte {position})")
        self.message = message
        self.position = position
        self.fatal = fatal


class RemoteProtocolError(CodecError):
    """The peer broke the protocol."""


class LocalProtocolError(CodecError):
    """We asked for something the protocol cannot say (a terminator inside a value, say); nothing was sent."""


class Codec(Protocol[Incoming, Outgoing]):
    """One side of one connection.

    Splitting the input anywhere gives the same events. Memory is bounded by the limits the codec was made with.
    Errors in what the peer sent come out as events too (so that what was good before them is not lost); only
    `send` raises, LocalProtocolError.
    """

    def receive_data(self, data: bytes) -> Sequence[Incoming]:
        """Take what arrived (b"" for end of stream) and return every event now complete."""

    def send(self, message: Outgoing) -> bytes:
        """Encode one message."""
