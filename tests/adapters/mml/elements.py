"""A network element on a real socket, whose every answer the test gives, and a client under test beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import structlog
from structlog.testing import CapturingLogger
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock

from adapters.mml.connector import MmlClient
from adapters.mml.settings import ConnectorSettings
from plugins.api import Catalogue, Surroundings
from protocols.dialects import server_codec
from protocols.mml import Command, Dialect, Heartbeat, Report
from tests.adapters.mml.bed import DIALECTS, ROOT, pause


def changed(name: str, session: dict[str, Any] | None = None) -> Dialect:
    """A bundled dialect with parts of its session section changed."""
    data = DIALECTS[name]
    return Dialect.load({**data, "session": {**data["session"], **(session or {})}})


class Timers:
    """The reactor, whose timers run only when the test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.callLater = self.clock.callLater
        self.seconds = self.clock.seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class Element(ServerFactory):
    """Listens; `script` answers each command with a Report, bytes, or None for silence."""

    noisy = False

    def __init__(self, dialect: Dialect, script: Callable[[Command], Report | bytes | None] | None = None) -> None:
        self.dialect = dialect
        self.script = script or (lambda command: done(command))
        self.heard: list[Command] = []
        self.hearers: list[Peer] = []
        self.peers: list[Peer] = []
        self.logins = 0
        self.heartbeats = 0
        self.answers_heartbeats = True
        self.port: Any = None

    def listen(self, port: int = 0) -> None:
        self.port = reactor.listenTCP(port, self, interface="127.0.0.1")  # type: ignore[attr-defined]

    async def close(self) -> None:
        await maybeDeferred(self.port.stopListening)
        for peer in tuple(self.peers):
            peer.transport.abortConnection()
        while self.peers:
            await pause()

    def buildProtocol(self, addr: Any) -> Peer:
        return Peer(self)


class Peer(TwistedProtocol):
    def __init__(self, element: Element) -> None:
        self.element = element
        self.codec = server_codec(element.dialect)

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.element.peers.append(self)

    def dataReceived(self, data: bytes) -> None:
        for event in self.codec.receive_data(data):
            if isinstance(event, Heartbeat):
                self.element.heartbeats += 1
                if self.element.answers_heartbeats:
                    self.transport.write(self.codec.send(Heartbeat("answer")))
                continue
            assert isinstance(event, Command), event
            if event.name == self.element.dialect.login.command:
                self.element.logins += 1
            self.element.heard.append(event)
            self.element.hearers.append(self)
            self.say(self.element.script(event))

    def say(self, answer: Report | bytes | None) -> None:
        if answer is not None:
            self.transport.write(answer if isinstance(answer, bytes) else self.codec.send(answer))

    def connectionLost(self, reason: Any = None) -> None:
        self.element.peers.remove(self)


def done(command: Command, retcode: str = "0", **fields: str) -> Report:
    session = "0000ABCD" if command.name in ("LOGIN", "LGI") else command.session
    return Report(retcode, "as you say", fields, (), command.name, session, command.transaction)


class Pair:
    """An element and a client; the client's timers are `clock`'s."""

    def __init__(self, dialect: str = "huawei-text", script: Any = None, *, timeout: float = 5, window: int = 8, listening: bool = True,
                 session: dict[str, Any] | None = None, budget: Any = None, **settings: Any) -> None:
        self.timers = Timers()
        self.clock = self.timers.clock
        self.dialect = changed(dialect, session)
        self.element = Element(self.dialect, script)
        self.alarms: list[Any] = []
        self._budget = budget
        self.said = CapturingLogger()
        self._listening = listening
        self._settings = {"protocol": "x", "user": "gate", "secret": "very-secret", **settings}
        self._timeout, self._window = timeout, window

    async def __aenter__(self) -> Self:
        self.element.listen()
        port = self.element.port.getHost().port
        if not self._listening:
            await self.element.port.stopListening()
        around = Surroundings(reactor=self.timers, site=ROOT, catalogue=Catalogue(()), dialects=DIALECTS, protocols={},
                              log=structlog.wrap_logger(self.said, processors=[]), report_alarm=self.alarms.append)
        settings = ConnectorSettings.model_validate({**self._settings, "port": port})
        self.client = MmlClient("hlr", settings, around, self.dialect, timeout=self._timeout, window=self._window,
                                budget=self._budget)
        self.port = port
        await self.client.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.stop()
        await self.element.close()

    async def up(self) -> Self:
        await self.until(lambda: self.client.status()["state"] == "up")
        return self

    async def until(self, wanted: Callable[[], Any]) -> None:
        for _ in range(500):
            if wanted():
                return
            await pause(0.002)
        raise AssertionError(self.client.status())

    def ask(self, command: str = "LST SUB", **fields: str) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.client.request({"command": command, "fields": fields}))
