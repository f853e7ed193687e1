"""What the operator asks about the running system, subscriptions to events, and reports."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from core.messages.base import BusinessObject, Identifier, Instant, Parameter, Text


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


class Subscribe(BusinessObject):
    """Be told of events (TMF hub). `query` chooses them, as in `eventType=ProductOrderStateChangeEvent`.

    `callback` is where they go: `https://...` (webhook), `soap:https://...`, or `amqp:<queue>`.
    """

    query: Annotated[Text, Parameter("FILTER"), Field(min_length=1)]
    callback: Annotated[Text, Field(min_length=1)]


class Unsubscribe(BusinessObject):
    """Be told no more."""

    id: Annotated[Identifier, Parameter("SUBSID")]


class SubscriptionState(StrEnum):
    """`suspended`: the callback has failed for too long; it is tried again by itself."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


class Subscription(BusinessObject):
    """Who is told of what (TMF EventSubscription)."""

    id: Identifier
    query: Text
    callback: Text
    state: SubscriptionState
    creationDate: Instant


class RunReport(BusinessObject):
    """Make a report over the half-open period from `periodStart` to `periodEnd`."""

    name: Annotated[Identifier, Parameter("REPORT")]
    periodStart: Annotated[Instant, Parameter("FROM")]
    periodEnd: Annotated[Instant, Parameter("TO")]


class ReportRow(BusinessObject):
    """One row; its cells in the order of the report's columns."""

    cell: tuple[Text, ...] = ()


class Report(BusinessObject):
    """A table of figures."""

    name: Identifier
    periodStart: Instant
    periodEnd: Instant
    reportDate: Instant
    column: tuple[Text, ...] = ()
    row: tuple[ReportRow, ...] = ()
