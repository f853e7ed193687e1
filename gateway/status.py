"""How the gateway is at this moment: the answer to GetSystemStatus, and what /ready and the console show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any, Protocol

from core.messages.envelope import Envelope
from core.monitor.objects import ConnectorStatus, ListenerStatus, QueueStatus, SessionStatus, SystemStatus
from gateway.parts import Parts
from gateway.sessions import Sessions
from gateway.workmates import Workmates
from plugins.api import Connector, Service

_LETS_IN = {"listening", "consuming"}


class Queues(Protocol):
    """The part of the store that knows what waits."""

    def queues(self) -> Sequence[tuple[str, int, float | None]]:
        """Return for each bus address with waiting messages: address, how many, and the age of the oldest in seconds."""


class Status:
    """Looks at the running parts when asked; keeps nothing."""

    def __init__(self, *, sessions: Sessions, parts: Parts, queues: Queues, utcnow: Callable[[], datetime],
                 seconds: Callable[[], float], workmates: Workmates) -> None:
        self._workmates = workmates
        self._sessions = sessions
        self._parts = parts
        self._queues = queues
        self._utcnow = utcnow
        self._seconds = seconds
        self._started = utcnow()
        self.state = "starting"

    def read(self) -> SystemStatus:
        """Return the whole status."""
        sessions = list(self._sessions)
        return SystemStatus(
            version=version("uip-gateway"),
            state=self.state,
            started=self._started,
            listener=tuple(self._listener(part.transport, part.service, sum(s.protocol == part.service.name for s in sessions))
                           for part in self._parts.listeners.values()),
            session=tuple(SessionStatus(id=s.id, protocol=s.protocol, peer=s.peer, party=s.party, state=s.state,
                                        opened=self._instant(s.opened), lastActivity=self._instant(s.last_activity),
                                        inFlight=s.in_flight) for s in sessions[:1000]),
            queue=tuple(QueueStatus(name=name, depth=depth, oldest=oldest) for name, depth, oldest in self._queues.queues()),
            connector=tuple(self._connector(part.transport, part.service) for part in self._parts.connectors.values()),
        )

    def read_all(self) -> SystemStatus:
        """Return the status with that of the other workers, where there are any."""
        return self._workmates.status(self.read(), self._utcnow().timestamp())

    async def receive(self, _envelope: Envelope[Any]) -> SystemStatus:
        """Answer GetSystemStatus on the bus."""
        return self.read_all()

    def unready(self) -> list[str]:
        """Say what keeps the gateway from taking requests; empty when it is ready."""
        reasons = [] if self.state == "running" else [f"gateway is {self.state}"]
        reasons += [f"listener {name} is {state}" for name, part in self._parts.listeners.items()
                    if (state := part.service.status()["state"]) not in _LETS_IN]
        return reasons

    def _instant(self, seconds: float) -> datetime:
        return self._utcnow() - timedelta(seconds=self._seconds() - seconds)

    @staticmethod
    def _listener(protocol: str, service: Service, sessions: int) -> ListenerStatus:
        told = service.status()
        return ListenerStatus(name=service.name, protocol=protocol, address=str(told.get("address", "")), state=told["state"],
                              sessions=sessions)

    @staticmethod
    def _connector(protocol: str, connector: Connector) -> ConnectorStatus:
        told = connector.status()
        return ConnectorStatus(name=connector.name, protocol=protocol, peer=str(told.get("peer", "")), state=told["state"],
                               inFlight=int(told.get("in_flight", 0)), lastError=told.get("last_error"))
