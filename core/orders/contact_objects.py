"""Who talks to us and what they want: interactions (TMF683) and the requests that they lead to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from core.messages.base import (
    BusinessObject,
    Characteristic,
    Event,
    Identifier,
    Instant,
    Parameter,
    RelatedParty,
    StateChange,
    Text,
)


class Direction(StrEnum):
    """Who began it (TMF683 direction)."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class RecordInteraction(BusinessObject):
    """Keep a contact with a party. A party never heard of before becomes a prospect."""

    relatedParty: RelatedParty
    channel: Identifier
    direction: Direction
    description: Annotated[Text | None, Parameter("DESC")] = None
    reason: Text | None = None
    interactionDate: Annotated[Instant | None, Parameter("DATE")] = None


class Interaction(BusinessObject):
    """One contact (TMF683 PartyInteraction). Written once, never changed. `relatedEntity` is the id of what it was about."""

    id: Identifier
    href: Text
    relatedParty: RelatedParty
    channel: Identifier
    direction: Direction
    description: Text | None = None
    reason: Text | None = None
    interactionDate: Instant
    creationDate: Instant
    relatedEntity: Identifier | None = None


class ListInteractions(BusinessObject):
    """Read a party's contacts, the newest first; `before` pages on: the date of the last one seen."""

    party: Annotated[Identifier, Parameter("CUSTID")]
    channel: Identifier | None = None
    direction: Direction | None = None
    before: Instant | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class Interactions(BusinessObject):
    """A page of a party's contacts."""

    interaction: tuple[Interaction, ...] = ()


class RequestStatus(StrEnum):
    """Derived from what fulfils the request; `completed`, `unfulfilled` and `cancelled` are final."""

    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "inProgress"
    PENDING = "pending"
    COMPLETED = "completed"
    UNFULFILLED = "unfulfilled"
    CANCELLED = "cancelled"


class SubmitRequest(BusinessObject):
    """Ask for something that is no order yet. `intent` names the process it is for (order, inquiry, information, ...)."""

    relatedParty: RelatedParty
    intent: Identifier
    externalId: Annotated[Identifier | None, Parameter("EXTID")] = None
    description: Annotated[Text | None, Parameter("DESC")] = None
    channel: Identifier | None = None
    requestCharacteristic: tuple[Characteristic, ...] = ()


class RelatedActivity(BusinessObject):
    """What a request has set off: an order, a ticket, a work order. `type` is the class of the object `id` names."""

    id: Identifier
    type: Identifier
    state: Identifier


class CustomerRequest(BusinessObject):
    """A request and what fulfils it; closed when all of that has ended."""

    id: Identifier
    href: Text
    externalId: Identifier | None = None
    relatedParty: RelatedParty
    intent: Identifier
    description: Text | None = None
    channel: Identifier | None = None
    requestCharacteristic: tuple[Characteristic, ...] = ()
    status: RequestStatus
    statusReason: Text | None = None
    requestDate: Instant
    completionDate: Instant | None = None
    fulfilledBy: tuple[RelatedActivity, ...] = ()
    stateChange: tuple[StateChange, ...] = ()


class GetRequest(BusinessObject):
    """Read a request by its id."""

    id: Annotated[Identifier, Parameter("REQUESTID")]


class InteractionCreateEvent(Event):
    """A contact was kept."""

    interaction: Interaction


class CustomerRequestStateChangeEvent(Event):
    """A request's status changed."""

    customerRequest: CustomerRequest
