"""A closed loop: so many connections, each sending its next request when the answer to the one before is whole.

Plain sockets and one `select` loop, so that the load costs far less than what is measured.
"""

from __future__ import annotations

import selectors
import socket
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

_STALLED_SECONDS = 20.0


class BadAnswer(Exception):
    """An answer that is not the one the load asks for: a figure made of it would mean nothing."""


class Exchange(Protocol):
    """How one protocol asks and how an answer ends. Kept free of parsing: only what is needed to tell right from wrong."""

    def opening(self) -> bytes:
        """What a connection says first (a login); answered once before the clock runs. May be empty."""

    def request(self, number: int) -> bytes:
        """The request of that number, different from all others."""

    def answer(self, buffer: bytearray) -> int:
        """The length of the whole answer at the start of the buffer, 0 while it is not whole. Raises BadAnswer."""


@dataclass(slots=True)
class Sample:
    """What was measured: seconds of each request, and how long all took."""

    latencies: array[float] = field(default_factory=lambda: array("d"))
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def add(self, other: Sample) -> None:
        """Take in what was measured at another time."""
        self.latencies.extend(other.latencies)
        self.seconds += other.seconds

    def percentile(self, share: float) -> float:
        """The time in seconds within which that share (0 to 1) of the requests was answered."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection:
    __slots__ = ("buffer", "sent", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_STALLED_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.sent = 0.0


def drive(address: tuple[str, int], exchange: Exchange, *, connections: int, seconds: float, most: int = 10_000_000, first: int = 0,
          tick: Callable[[int], None] = lambda _: None) -> Sample:
    """Load `address` for so many seconds or requests, whichever ends first. `tick` is called about once a second with the
    number answered so far. Raises BadAnswer, ConnectionError, or TimeoutError when nothing is answered any more.
    """
    opened = [_Connection(address) for _ in range(connections)]
    try:
        for connection in opened:
            _open(connection, exchange.opening(), exchange)
        return _loop(opened, exchange, seconds, most, first, tick)
    finally:
        for connection in opened:
            connection.socket.close()


def _open(connection: _Connection, opening: bytes, exchange: Exchange) -> None:
    if not opening:
        return
    connection.socket.sendall(opening)
    while not (end := exchange.answer(connection.buffer)):
        data = connection.socket.recv(65_536)
        if not data:
            raise ConnectionError("closed at the login")
        connection.buffer += data
    del connection.buffer[:end]


def _loop(opened: list[_Connection], exchange: Exchange, seconds: float, most: int, first: int, tick: Callable[[int], None]) -> Sample:
    selector = selectors.DefaultSelector()
    sample = Sample()
    latencies, clock = sample.latencies, time.perf_counter
    begun = clock()
    until, next_tick = begun + seconds, begun + 1.0
    asked = 0
    for connection in opened[:most]:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.sent = clock()
        connection.socket.sendall(exchange.request(first + asked))
        asked += 1
    in_flight = asked
    while in_flight:
        ready = selector.select(_STALLED_SECONDS)
        if not ready:
            raise TimeoutError(f"no answer for {_STALLED_SECONDS:.0f} seconds")
        for key, _ in ready:
            connection = key.data
            data = connection.socket.recv(262_144)
            if not data:
                raise ConnectionError("the server closed a connection")
            connection.buffer += data
            end = exchange.answer(connection.buffer)
            if not end:
                continue
            now = clock()
            latencies.append(now - connection.sent)
            del connection.buffer[:end]
            if asked < most and now < until:
                connection.sent = now
                connection.socket.sendall(exchange.request(first + asked))
                asked += 1
            else:
                in_flight -= 1
        if clock() > next_tick:
            tick(len(latencies))
            next_tick += 1.0
    sample.seconds = clock() - begun
    return sample
