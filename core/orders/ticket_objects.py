"""Trouble tickets and bill inquiries, as TMF621 names them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from core.messages.base import (
    BusinessObject,
    Event,
    Identifier,
    Instant,
    Money,
    Parameter,
    RelatedParty,
    StateChange,
    Text,
)


class TicketState(StrEnum):
    """TMF621 TroubleTicketStatusType, and `reopened`: the customer did not confirm that it is resolved."""

    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "inProgress"
    PENDING = "pending"
    HELD = "held"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Severity(StrEnum):
    """How much it hurts (TMF621 severity)."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"


class OpenTicket(BusinessObject):
    """Report a trouble or question a bill. `disputedItem` are ids of the bill's charges; none means the whole bill."""

    relatedParty: RelatedParty
    ticketType: Annotated[Identifier, Parameter("TYPE")]
    externalId: Annotated[Identifier | None, Parameter("EXTID")] = None
    description: Annotated[Text | None, Parameter("DESC")] = None
    severity: Severity = Severity.MINOR
    disputedBill: Annotated[Identifier | None, Parameter("BILLNO")] = None
    disputedItem: Annotated[tuple[Identifier, ...], Parameter("ITEMS"), Field(max_length=100)] = ()
    relatedEntity: Annotated[Identifier | None, Parameter("ENTITY")] = None


class TicketNote(BusinessObject):
    """What somebody wrote on a ticket."""

    date: Instant
    author: Text
    text: Text


class TroubleTicket(BusinessObject):
    """A ticket and its whole history. `disputedAmount` is not due while the ticket is open; `adjustment` ids what was granted."""

    id: Identifier
    href: Text
    externalId: Identifier | None = None
    ticketType: Identifier
    description: Text | None = None
    severity: Severity
    state: TicketState
    creationDate: Instant
    resolutionDate: Instant | None = None
    relatedParty: RelatedParty
    disputedBill: Identifier | None = None
    disputedItem: tuple[Identifier, ...] = ()
    disputedAmount: Money | None = None
    relatedEntity: Identifier | None = None
    rootCause: Text | None = None
    adjustment: tuple[Identifier, ...] = ()
    note: tuple[TicketNote, ...] = ()
    stateChange: tuple[StateChange, ...] = ()


class AmendTicket(BusinessObject):
    """Add to a ticket or correct it; what is not given stays."""

    id: Annotated[Identifier, Parameter("TICKETID")]
    description: Annotated[Text | None, Parameter("DESC")] = None
    severity: Severity | None = None
    disputedItem: Annotated[tuple[Identifier, ...], Parameter("ITEMS"), Field(max_length=100)] = ()
    note: Text | None = None


class CancelTicket(BusinessObject):
    """Withdraw a ticket."""

    id: Annotated[Identifier, Parameter("TICKETID")]
    cancellationReason: Annotated[Text, Parameter("REASON"), Field(min_length=1)]


class ConfirmTicket(BusinessObject):
    """Say whether the resolution is accepted: the ticket closes, or is reopened."""

    id: Annotated[Identifier, Parameter("TICKETID")]
    accepted: bool = True
    note: Text | None = None


class GetTicket(BusinessObject):
    """Read a ticket by its id."""

    id: Annotated[Identifier, Parameter("TICKETID")]


class TroubleTicketStateChangeEvent(Event):
    """A ticket changed state."""

    troubleTicket: TroubleTicket
