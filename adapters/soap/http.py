"""HTTP/1.1 for SOAP: one lean server protocol over llhttp's parser (`requests`), which answers in order and keeps time.

twisted.web costs twice as much a request as everything SOAP does; a SOAP port needs a small part of HTTP, and that strictly.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Protocol
from wsgiref.handlers import format_date_time

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from zope.interface import implementer  # type: ignore[import-untyped]  # ships no types

from adapters.sending import send
from adapters.soap.requests import Request, RequestReader

LINGER_SECONDS: Final = 2.0
"""How long a refused sender is listened to, so that it reads the refusal before the connection goes."""
FIRST_REQUEST_SECONDS: Final = 1.0
"""How long a peer that has just connected is waited for when the port drains: it was let in, so it is answered."""

_STATUS_LINES = {s.value: b"HTTP/1.1 %d %b\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus}


@dataclass(slots=True)
class Response:
    """An answer. `headers` are whole lines, each ended by CRLF; `close` ends the connection after it."""

    status: int
    body: bytes = b""
    content_type: bytes = b"text/plain; charset=utf-8"
    headers: bytes = b""
    close: bool = False


class Handler(Protocol):
    """What answers requests; one for all connections of a port."""

    def connected(self, connection: Connection) -> None:
        """A peer has come."""

    def answer(self, connection: Connection, request: Request) -> Coroutine[Any, Any, Response]:
        """Answer a request; one at a time on each connection."""

    def refuse(self, status: int, reason: str, head: Request | None) -> Response:
        """Answer what cannot be read to its end: not HTTP (400), too slow (408), too large (413, 431)."""

    def lost(self, connection: Connection) -> None:
        """The peer has gone; what it asked for goes on."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Connection(TwistedProtocol):
    """One peer. `conversation` is the handler's own."""

    factory: HttpFactory
    transport: Any
    conversation: Any = None

    def __init__(self) -> None:
        self._busy = self._stuck = self._closing = self._paused = self._answering = False
        self._ended = self._producing = self._answered_once = False
        self.deadline: float | None = None

    @property
    def peer(self) -> str:
        """Where the peer is, as host:port."""
        address = self.transport.getPeer()
        return f"{address.host}:{address.port}"

    def close(self, _reason: str = "") -> None:
        """End the conversation: at once, or after the answer that is being made."""
        self._closing = True
        if not self._busy:
            self._lose()

    @property
    def owed(self) -> bool:
        """Whether an answer is being made, a request is on its way, or the peer has come but not had time to ask."""
        return not self._ended and (self._busy or self._reader.in_message or not (self._answered_once or self._closing))

    def wind_up(self) -> None:
        """End the conversation with the next answer, or now when the peer is owed none."""
        if not self.owed:
            self.close()
        elif not (self._busy or self._reader.in_message):
            self.deadline = self.factory.now + FIRST_REQUEST_SECONDS

    def _lose(self) -> None:
        self._drop_producer()
        self.transport.loseConnection()

    def _drop_producer(self) -> None:
        """A transport whose producer pauses does not close."""
        if self._producing:
            self._producing = False
            self.transport.unregisterProducer()

    # What Twisted tells us

    def connectionMade(self) -> None:
        """Twisted's: a peer has connected."""
        self._reader = RequestReader(self.factory.max_request)
        self._waiting = self._reader.whole
        self.factory.connections.add(self)
        if len(self.factory.connections) > self.factory.max_connections:
            self._refuse(503, "too many connections")
            return
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, streaming=True)
        self._producing = True
        self.deadline = self.factory.now + self.factory.idle_timeout
        self.factory.handler.connected(self)

    def dataReceived(self, data: bytes) -> None:
        """Twisted's: bytes have arrived."""
        reader = self._reader
        if self._ended or self._closing or reader.refusal is not None:
            return
        begun = reader.begun
        reader.feed(data)
        if not self._busy:
            if reader.begun != begun:
                self.deadline = self.factory.now + self.factory.request_timeout
            if reader.expected():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._closing = reader.upgrade  # what follows is not HTTP/1.1; the request itself is answered
        self._next()

    def readConnectionLost(self) -> None:
        """Twisted's: the peer sends no more, but may still read."""
        self.close()

    def writeConnectionLost(self) -> None:
        """Twisted's: we have said our last word."""

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002  # Twisted's signature
        """Twisted's: the connection is gone."""
        self._ended = True
        self._waiting.clear()
        self.factory.connections.discard(self)
        self.factory.settle()
        self.factory.handler.lost(self)

    def pauseProducing(self) -> None:
        """Twisted's: the peer does not read its answers. No more are made, and it has so long to go on."""
        self._stuck = True
        self.deadline = self.factory.now + self.factory.request_timeout

    def resumeProducing(self) -> None:
        """Twisted's: the peer reads again."""
        self._stuck = False
        if not self._ended and not self._busy:
            self.deadline = self.factory.now + self.factory.idle_timeout
            self._next()

    def stopProducing(self) -> None:
        """Twisted's: the transport wants no more."""

    def timed_out(self) -> None:
        """The deadline has passed: cut the slow, say goodbye to the idle."""
        self.deadline = None
        if self._ended or self._stuck:
            self._ended = True
            self.transport.abortConnection()
        elif self._reader.in_message:
            self._refuse(408, "the request did not arrive in time")
        else:
            self.close("idle")

    # Answering

    def _next(self) -> None:
        """Answer what waits, one after the other; stop reading while something waits."""
        if self._answering:  # an answer came at once: the loop below goes on
            return
        self._answering = True
        while self._waiting and not (self._busy or self._stuck or self._ended):
            request, keep_alive = self._waiting.popleft()
            self._busy = True
            self.deadline = None
            self.factory.busy += 1
            Deferred.fromCoroutine(self.factory.handler.answer(self, request)).addCallbacks(
                self._answered, self._failed, (request, keep_alive))
        self._answering = False
        refusal = self._reader.refusal
        if refusal is not None and not (self._waiting or self._busy or self._ended):
            self._refuse(*refusal)
        waits = bool(self._waiting) or self._stuck
        if waits is not self._paused and not self._ended:
            self._paused = waits
            if waits:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def _answered(self, response: Response, request: Request, keep_alive: bool) -> None:
        self._answer_made()
        if self._ended:
            return
        self._closing = self._closing or response.close or not keep_alive or self.factory.draining
        self._write(response, body=request.method != b"HEAD")
        if self._closing:
            self._ended = True
            self._waiting.clear()
            if keep_alive and not self.factory.draining:
                self._lose_gently()
            else:
                self._lose()
            return
        if not self._stuck:
            self.deadline = self.factory.now + (self.factory.request_timeout if self._reader.in_message else self.factory.idle_timeout)
        self._next()

    def _failed(self, failure: Any) -> None:
        """The handler answers its own failures; what comes here is a mistake in it."""
        self._answer_made()
        self.factory.log.error("the answer to a request failed", exc_info=failure.value)
        if not self._ended:
            self._refuse(500, "internal error")

    def _answer_made(self) -> None:
        self._busy = False
        self._answered_once = True
        self.factory.busy -= 1
        self.factory.settle()

    def _write(self, response: Response, *, body: bool = True) -> None:
        connection = b"Connection: close\r\n" if self._closing else b"Connection: keep-alive\r\n"
        send(self.transport, b"%bContent-Type: %b\r\nContent-Length: %d\r\nDate: %b\r\n%b%b\r\n%b" % (
            _STATUS_LINES[response.status], response.content_type, len(response.body), self.factory.date, connection,
            response.headers, response.body if body else b""))

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what is not read to its end, and close so that the peer can read the answer."""
        self._closing = self._ended = True
        self._waiting.clear()
        self._write(self.factory.handler.refuse(status, reason, self._reader.head()))
        self._lose_gently()

    def _lose_gently(self) -> None:
        """End a conversation that the peer would go on with: closing over what it is still sending could destroy our last answer."""
        self._drop_producer()
        self.transport.resumeProducing()
        self.deadline = self.factory.now + LINGER_SECONDS
        half_close = getattr(self.transport, "loseWriteConnection", None)
        (half_close or self.transport.loseConnection)()  # TLS knows no half


@dataclass(eq=False)
class HttpFactory(Factory):
    """Makes connections, keeps their time, and knows when nothing is being answered any more. Times are in seconds."""

    handler: Handler
    reactor: Any
    log: Any
    max_request: int
    max_connections: int
    request_timeout: float
    idle_timeout: float
    connections: set[Connection] = field(default_factory=set)
    busy: int = 0
    draining: bool = False
    now: float = 0.0
    date: bytes = b""
    noisy = False
    _ticking: Any = None
    _idle: list[Deferred[None]] = field(default_factory=list)

    protocol: Any = Connection

    def start(self) -> None:
        """Begin to keep time, second by second: precise enough for these limits, and it costs a request nothing."""
        self.now = self.reactor.seconds()
        self.date = format_date_time(time.time()).encode()
        for connection in tuple(self.connections):
            if connection.deadline is not None and connection.deadline <= self.now:
                connection.timed_out()
        self._ticking = self.reactor.callLater(1.0, self.start)

    def settle(self) -> None:
        """Tell who waits for the drain when nobody is owed an answer any more."""
        if self._idle and not self.busy and not any(connection.owed for connection in self.connections):
            waiting, self._idle = self._idle, []
            for each in waiting:
                each.callback(None)

    async def drain(self) -> None:
        """Close what is idle; return when every request that has come, or is on its way, is answered."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.wind_up()
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        self.settle()
        await idle

    def stop(self) -> None:
        """Close everything at once."""
        if self._ticking is not None and self._ticking.active():
            self._ticking.cancel()
        for connection in tuple(self.connections):
            connection.transport.abortConnection()
