"""The connector's side: one peer kept connected, and asked; an `adapters.drivers.Client`."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.protocol import ClientFactory

from adapters.drivers import NotSent, OutcomeUnknown
from adapters.endpoints import client_endpoint
from adapters.mml.link import Link, LoginRefused
from adapters.mml.settings import ConnectorSettings
from plugins.api import Surroundings
from protocols.base import LocalProtocolError
from protocols.mapping import Definition
from protocols.mml import Command, Dialect, Report


def client_for(name: str, settings: ConnectorSettings, around: Surroundings) -> MmlClient:
    """Make the client of a connector from its section and its protocol file. Raises KeyError, DefinitionError, DialectError."""
    definition = Definition.load(around.protocols[settings.protocol])
    if definition.dialect is None:
        raise KeyError(f"protocol {settings.protocol} names no dialect")
    dialect = Dialect.load(around.dialects[definition.dialect])
    return MmlClient(name, settings, around, dialect, timeout=definition.timeout, window=definition.window)


class MmlClient(ClientFactory):
    """Keeps one connection to a peer: connects, logs in, notices its death, connects again after a growing pause.

    `timeout` (seconds) bounds each answer. `window` commands may be outstanding where the dialect tells answers apart by
    transaction; one where it does not.
    """

    noisy = False

    def __init__(self, name: str, settings: ConnectorSettings, around: Surroundings, dialect: Dialect, *, timeout: float,
                 window: int = 1, spread: random.Random | None = None) -> None:
        self.name = name
        self.settings = settings
        self.dialect = dialect
        self.timeout = timeout
        self.reactor = around.reactor
        self.log = around.log.bind(connector=name)
        self.alarms = 0
        self.peer = f"{settings.host}:{settings.port}"
        self._site = around.site
        self._turns = DeferredSemaphore(window if dialect.framing == "framed" else 1)
        self._spread = spread or random.Random()  # noqa: S311 (spreads load; hides nothing)
        self._link: Link | None = None
        self._connecting: Deferred[Any] | None = None
        self._again: Any = None
        self._failures = 0
        self._running = False
        self._last_error: str | None = None

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._running = True
        self._connect()

    async def stop(self) -> None:
        """Close everything at once."""
        self._running = False
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            self._link.drop("stopped")

    def status(self) -> Mapping[str, Any]:
        """`peer`, `state` (up, connecting, waiting or stopped), the last error, and how many alarms the peer has sent."""
        if not self._running:
            state = "stopped"
        elif self._link is not None and self._link.ready:
            state = "up"
        else:
            state = "waiting" if self._again is not None and self._again.active() else "connecting"
        return {"peer": self.peer, "state": state, "last_error": self._last_error, "alarms": self.alarms}

    async def request(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask once: {command, fields} to {retcode, description, fields, tables}. Raises NotSent or OutcomeUnknown.

        When the peer says that the session is lost it has done nothing, so after a new login the command is sent again, once.
        """
        command = Command(message["command"], tuple((name, str(value)) for name, value in message["fields"].items()))
        lost = self.dialect.results.session_lost
        await self._turns.acquire()
        try:
            link = self._ready_link()
            answer = await link.ask(command)
            if answer.retcode in lost:
                await link.log_in_again()
                answer = await link.ask(command)
        except LocalProtocolError as error:
            raise NotSent(f"cannot be said: {error.message}") from error
        finally:
            self._turns.release()
        return as_reply(answer)

    def _ready_link(self) -> Link:
        if self._link is None or not self._link.ready:
            raise NotSent("not connected")
        return self._link

    # Staying connected.

    def _connect(self) -> None:
        settings = self.settings
        endpoint = client_endpoint(self.reactor, self._site, settings.host, settings.port, settings.tls,
                                   timeout=settings.connect_timeout)
        self._connecting = endpoint.connect(self)
        self._connecting.addCallbacks(self._connected, lambda failure: self._failed(failure.getErrorMessage()))

    def buildProtocol(self, addr: Any) -> Link:  # noqa: ARG002 (Twisted tells where)
        """Make the protocol of a new connection."""
        return Link(self)

    def _connected(self, link: Link) -> None:
        self._connecting = None
        self._link = link
        Deferred.fromCoroutine(self._greet(link)).addErrback(
            lambda failure: self.log.error("logging in failed", exc_info=failure.value))

    async def _greet(self, link: Link) -> None:
        try:
            await link.log_in()
        except (LoginRefused, NotSent, OutcomeUnknown) as error:
            link.drop(str(error) or "no answer to the login")
            return
        self._failures = 0
        self._last_error = None
        self.log.info("connected", peer=self.peer)

    def lost(self, link: Link, reason: str) -> None:
        """A connection is gone: connect again."""
        if link is self._link:
            self._link = None
            self._failed(reason)

    def _failed(self, reason: str) -> None:
        self._connecting = None
        if not self._running:
            return
        self._last_error = reason[:255]
        pause = self.pause()
        self._failures += 1
        self.log.warning("not connected", peer=self.peer, reason=reason, again_in=round(pause, 2))
        self._again = self.reactor.callLater(pause, self._connect)

    def pause(self) -> float:
        """Seconds until the next try: twice as long each time up to a bound, spread by half so that not all come at once."""
        longest: float = min(self.settings.reconnect_to, self.settings.reconnect_from * 2 ** min(self._failures, 30))
        return longest * self._spread.uniform(0.5, 1)

    def alarm(self, text: str) -> None:
        """Note what the peer said unasked."""
        self.alarms += 1
        self.log.info("alarm", text=" ".join(text.split())[:300])


def as_reply(answer: Report) -> dict[str, Any]:
    """A report as the plain dict in which a protocol file's paths are looked up."""
    return {"retcode": answer.retcode, "description": answer.description, "fields": dict(answer.fields),
            "tables": {title: [dict(row) for row in rows] for title, rows in answer.tables}}
