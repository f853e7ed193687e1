"""Bytes out at once: what the socket takes need not wait for another turn of the reactor."""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp


def send(transport: Any, data: bytes) -> None:
    """Write to a transport: what the socket takes goes out now, the rest, and all on any other transport, as Twisted does it.

    Twisted's `write` only keeps the bytes until the reactor has asked whether the socket is ready, which it nearly always is.
    An error is left to Twisted, which meets it again and ends the connection.
    """
    if isinstance(transport, tcp.Connection) and transport.connected and not transport.TLS and not _keeps(transport):
        sent = transport.writeSomeData(data)
        if isinstance(sent, int):
            data = data[sent:]
    if data:
        transport.write(data)


def _keeps(transport: tcp.Connection) -> bool:
    """Whether bytes wait already, which go out first. Twisted has no public question for it."""
    return bool(transport.dataBuffer or transport._tempDataBuffer)
