"""HTTP for SOAP on the way out: kept connections, bounded answers, and an exact word on whether a request may have left.

A request has not been sent (`NotSent`) until its body is handed to a connection that is up, TLS handshake included. From
then on, whatever goes wrong, it may have reached the peer (`OutcomeUnknown`). Nothing is ever sent twice here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer  # type: ignore[import-untyped]  # ships no types

from adapters.drivers import NotSent, OutcomeUnknown
from adapters.endpoints import client_endpoint
from config.settings import Tls

HEADERS_BYTES = 64 << 10
"""How much an answer may hold beside its body."""
IDLE_SECONDS = 30.0
"""How long a connection without a request is kept: shorter than most servers', so that a request rarely meets a closing one."""


class GivenUp(NotSent):
    """Who asked no longer waits, and nothing has been sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole."""

    status: int
    body: bytes
    content_type: str = ""


@implementer(IBodyProducer)
class _Body:
    """A request's body. `begun` tells that the request is being written."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self.begun = False
        self._body = body

    def startProducing(self, consumer: Any) -> Deferred[None]:
        self.begun = True
        consumer.write(self._body)
        return succeed(None)

    def stopProducing(self) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


@implementer(IHandshakeListener)
class _Guard(ProtocolWrapper):
    """Stands between a connection and HTTP: says when the TLS handshake is done, and drops a peer that answers too much."""

    def __init__(self, factory: Any, wrapped: Any, max_bytes: int) -> None:
        super().__init__(factory, wrapped)
        self._waiting: Deferred[None] | None = None
        self._max_bytes = max_bytes
        self._received = 0

    def shaken(self) -> Deferred[None]:
        """Fires when the handshake is done; given up, the connection goes."""
        self._waiting = Deferred(lambda _: self.transport.abortConnection())  # type: ignore[union-attr]  # TCP's and TLS's have it
        return self._waiting

    def handshakeCompleted(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def write(self, data: bytes) -> None:
        self._received = 0  # one request at a time: what comes from now on answers it
        super().write(data)

    def writeSequence(self, data: Any) -> None:
        self._received = 0
        super().writeSequence(data)

    def dataReceived(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > self._max_bytes:
            self.transport.abortConnection()  # type: ignore[union-attr]  # as above
            return
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.errback(reason)


class _Guarded(WrappingFactory):
    noisy = False

    def __init__(self, wrapped: Any, max_bytes: int) -> None:
        super().__init__(wrapped)
        self._max_bytes = max_bytes

    def buildProtocol(self, addr: Any) -> _Guard:
        return _Guard(self, self.wrappedFactory.buildProtocol(addr), self._max_bytes)


class _Endpoint:
    """An endpoint whose connections are guarded, and up only when their handshake is done."""

    def __init__(self, endpoint: Any, *, secure: bool, max_bytes: int) -> None:
        self._endpoint = endpoint
        self._secure = secure
        self._max_bytes = max_bytes

    def connect(self, factory: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: Any) -> Any:
        guard = await self._endpoint.connect(_Guarded(factory, self._max_bytes))
        if self._secure:
            await guard.shaken()
        return guard.wrappedProtocol


@implementer(IAgentEndpointFactory)
class _Endpoints:
    def __init__(self, reactor: Any, site: Path, tls: Tls | None, timeout: float, max_bytes: int) -> None:
        self._reactor = reactor
        self._site = site
        self._tls = tls
        self._timeout = timeout
        self._max_bytes = max_bytes

    def endpointForURI(self, uri: URI) -> Any:
        secure = uri.scheme == b"https"
        tls = (self._tls or Tls()) if secure else None
        plain = client_endpoint(self._reactor, self._site, uri.host.decode(), uri.port, tls, timeout=self._timeout)
        return _Endpoint(plain, secure=secure, max_bytes=self._max_bytes)


@dataclass(slots=True, eq=False)
class _Collector(Protocol):
    """Collects a body; `done` fires with it."""

    done: Deferred[bytes]
    _chunks: list[bytes] = field(default_factory=list)
    transport: Any = None

    def dataReceived(self, data: bytes) -> None:
        self._chunks.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        # Without a length the body ends with the connection; whether it is whole, the XML in it tells.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._chunks))
        else:
            self.done.errback(reason)


class SoapHttp:
    """Posts to any address; connections are kept per host and port. `tls` is for https addresses, `timeout` (seconds) for
    connecting only, `max_reply` bytes for a whole answer, `keep` how many idle connections are kept for one peer.
    """

    def __init__(self, reactor: Any, site: Path, *, tls: Tls | None, timeout: float, max_reply: int, keep: int) -> None:
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = keep
        self._pool.cachedConnectionTimeout = IDLE_SECONDS  # type: ignore[assignment]  # Twisted's default is an int
        self._pool.retryAutomatically = False
        self._agent = Agent.usingEndpointFactory(reactor, _Endpoints(reactor, site, tls, timeout, max_reply + HEADERS_BYTES), self._pool)
        self._under_way: set[Deferred[Any]] = set()

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Ask once. Raises NotSent or OutcomeUnknown; cancelled, it raises the one that is true and drops the connection."""
        sent = Headers()
        for name, value in headers:
            sent.addRawHeader(name, value)
        producer = _Body(body)
        try:
            response = await self._tracked(self._agent.request(b"POST", url.encode("ascii"), sent, producer))
            data = await self._tracked(_whole(response))
        except Exception as error:
            # CancelledError too: who no longer waits must still hear which of the two it is.
            why = _why(error)
            if producer.begun:
                raise OutcomeUnknown(why) from error
            raise (GivenUp if isinstance(error, CancelledError) else NotSent)(why) from error
        kinds = response.headers.getRawHeaders("content-type") or [""]
        return Answer(response.code, data, str(kinds[0]))

    async def stop(self) -> None:
        """Close every connection; what is under way ends in NotSent or OutcomeUnknown."""
        for waiting in tuple(self._under_way):
            waiting.cancel()
        await self._pool.closeCachedConnections()

    def _tracked(self, waiting: Deferred[Any]) -> Deferred[Any]:
        def gone(result: Any) -> Any:
            self._under_way.discard(waiting)
            return result

        self._under_way.add(waiting)
        return waiting.addBoth(gone)


def _why(error: BaseException) -> str:
    """The reason in a line. Twisted's errors of a broken request only list what was behind them."""
    behind = getattr(error, "reasons", None)
    if behind:
        return _why(behind[0].value)
    if isinstance(error, CancelledError):
        return "given up"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _whole(response: Any) -> Deferred[bytes]:
    def cancel(_: Any) -> None:
        if collector.transport is not None:
            collector.transport.loseConnection()

    done: Deferred[bytes] = Deferred(cancel)
    collector = _Collector(done)
    response.deliverBody(collector)
    return done
