"""The listener: a port that speaks an MML dialect, and the connections it has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ServerFactory

from adapters.endpoints import address_of, closed, listen
from adapters.mml.language import Language, Native, Served
from adapters.mml.server import Connection
from adapters.mml.settings import ListenerSettings
from plugins.api import Failure, Gateway, Kind, Surroundings
from protocols.mapping import Definition
from protocols.mml import Dialect


class MmlListener(ServerFactory):
    """One bound port (a `plugins.api.Service`)."""

    noisy = False

    def __init__(self, name: str, settings: ListenerSettings, gateway: Gateway, around: Surroundings) -> None:
        self.name = name
        self.settings = settings
        self.gateway = gateway
        self.reactor = around.reactor
        self.log = around.log
        definition = Definition.load(around.protocols[settings.protocol]) if settings.protocol is not None else None
        self.dialect = Dialect.load(around.dialects[(definition and definition.dialect) or settings.dialect])
        own = Native(gateway.catalogue, settings.currency, self.dialect)
        self.language: Language = own if definition is None else Served(definition, gateway.catalogue, own)
        self.connections: dict[Connection, None] = {}
        self._site = around.site
        self._serial = count(1)
        self._port: Any = None
        self._state = "stopped"
        self._address = ""
        self._empty: list[Deferred[None]] = []
        self._told: tuple[int, str] = (0, "")

    async def start(self) -> None:
        """Bind. Raises OSError."""
        factory: Any = self  # zope.interface's declarations are invisible to mypy
        self._port = listen(self.reactor, self._site, self.settings.host, self.settings.port, factory, self.settings.tls)
        self._address = address_of(self._port)
        self._state = "listening"

    async def retire(self) -> None:
        """Take no new connections; those that are open go on."""
        self._state = "retired"
        await self._unbind()

    async def drain(self) -> None:
        """Stop accepting, answer what was taken, and close each connection when it is."""
        self._state = "draining"
        await self._unbind()
        for connection in tuple(self.connections):
            connection.end("shutting down")
        if self.connections:
            empty: Deferred[None] = Deferred()
            self._empty.append(empty)
            await empty

    async def stop(self) -> None:
        """Close everything at once."""
        self._state = "stopped"
        await self._unbind()
        for connection in tuple(self.connections):
            connection.abort()

    def status(self) -> Mapping[str, Any]:
        """State, address, connections."""
        return {"state": self._state, "address": self._address, "connections": len(self.connections)}

    def buildProtocol(self, addr: Any) -> Connection:
        """Make the connection of a peer that came in."""
        return Connection(self, f"{addr.host}:{addr.port}")

    def make_room(self, connection: Connection, party: str) -> None:
        """See to it that a party that has just logged in has no more sessions here than it may. Raises Failure(BUSY)."""
        most = self.settings.sessions_per_user
        if most is None:
            return
        others = [c for c in self.connections if c is not connection and c.party == party]
        if len(others) >= most and self.settings.another_login == "refused":
            raise Failure(Kind.BUSY, f"{party} has {len(others)} sessions already; no more are allowed")
        for oldest in others[:len(others) - most + 1]:
            oldest.dismiss("replaced by a newer login")

    def gone(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.pop(connection, None)
        if not self.connections:
            empty, self._empty = self._empty, []
            for waiting in empty:
                waiting.callback(None)

    def next_serial(self) -> int:
        """Number the reports of this listener."""
        return next(self._serial)

    def clock_text(self) -> str:
        """The time as reports tell it (UTC), worked out once a second."""
        now = int(time.time())
        if self._told[0] != now or not self._told[1]:
            self._told = now, time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
        return self._told[1]

    async def _unbind(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await closed(port)
