"""A wire between us and the broker that can be cut, frozen, made deaf, or spoken into."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

from tests.end_to_end.running import free_port


class _Side(Protocol):
    """One end; what it receives goes to `other`, if the proxy lets it."""

    def __init__(self, proxy, *, broker):
        self.proxy = proxy
        self.broker = broker
        self.other = None
        self.early = []

    def connectionMade(self):
        self.proxy.sides.add(self)
        if not self.broker:
            other = _Side(self.proxy, broker=True)
            other.other = self
            connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", 5672), other).addCallbacks(
                self._joined, lambda _: self.transport.abortConnection())

    def _joined(self, other):
        self.other = other
        for data in self.early:
            other.transport.write(data)

    def dataReceived(self, data):
        if self.proxy.frozen or (self.broker and self.proxy.deaf):
            self.proxy.swallowed += len(data)
        elif self.other is None:
            self.early.append(data)
        else:
            self.other.transport.write(data)

    def connectionLost(self, reason=None):
        self.proxy.sides.discard(self)
        if self.other is not None and self.other in self.proxy.sides and not self.proxy.frozen:
            self.other.transport.abortConnection()


class Proxy:
    """`frozen`: nothing passes, though both ends stay connected; `deaf`: nothing passes from the broker to us."""

    def __init__(self):
        self.sides = set()
        self.frozen = False
        self.deaf = False
        self.swallowed = 0
        self.accepted = 0
        self._listening = None
        self.port = free_port()

    def listen(self, tls=None):
        factory = Factory.forProtocol(Protocol)
        factory.buildProtocol = lambda address: self._accept()
        if tls is None:
            self._listening = reactor.listenTCP(self.port, factory, interface="127.0.0.1")
        else:
            self._listening = reactor.listenSSL(self.port, factory, tls, interface="127.0.0.1")
        self.port = self._listening.getHost().port

    def _accept(self):
        self.accepted += 1
        return _Side(self, broker=False)

    def heal(self):
        """Let everything pass again; connections that were frozen are lost, as after a partition."""
        self.frozen = self.deaf = False

    def cut(self):
        for side in list(self.sides):
            side.transport.abortConnection()

    def say(self, data):
        """Send our side bytes as if they came from the broker."""
        for side in self.sides:
            if not side.broker:
                side.transport.write(data)

    async def close(self):
        if self._listening is not None:
            await self._listening.stopListening()
            self._listening = None
        self.frozen = False
        self.cut()
        while self.sides:
            turn = Deferred()
            reactor.callLater(0.01, turn.callback, None)
            await turn
