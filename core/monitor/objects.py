"""What the operator asks about the running system."""

from __future__ import annotations

from core.messages.base import BusinessObject, Identifier, Instant, Text


class GetSystemStatus(BusinessObject):
    """Ask how the gateway is."""


class ListenerStatus(BusinessObject):
    """A bound port."""

    name: Identifier
    protocol: Identifier
    address: Text
    state: Identifier
    sessions: int


class SessionStatus(BusinessObject):
    """An open session."""

    id: Identifier
    protocol: Identifier
    peer: Text
    party: Text | None = None
    state: Identifier
    opened: Instant
    lastActivity: Instant
    inFlight: int


class QueueStatus(BusinessObject):
    """Messages waiting for one bus address, and since when the oldest does (seconds)."""

    name: Identifier
    depth: int
    oldest: float | None = None


class ConnectorStatus(BusinessObject):
    """A way out to a system behind."""

    name: Identifier
    protocol: Identifier
    peer: Text
    state: Identifier
    inFlight: int
    lastError: Text | None = None


class SystemStatus(BusinessObject):
    """How the gateway is, at one moment."""

    version: Identifier
    state: Identifier
    started: Instant
    listener: tuple[ListenerStatus, ...] = ()
    session: tuple[SessionStatus, ...] = ()
    queue: tuple[QueueStatus, ...] = ()
    connector: tuple[ConnectorStatus, ...] = ()
