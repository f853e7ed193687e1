"""Service ordering, qualification and resource commands, as TMF641, TMF645 and TMF652 name them."""

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
    Quantity,
    RelatedParty,
    StateChange,
    Text,
)
from core.orders.objects import ItemAction, Milestone, ProductOrderState

ServiceOrderState = ProductOrderState
"""TMF641's states are TMF622's: one table in `core.states` serves product, service, resource and work orders."""


class ServiceOrderItemRequest(BusinessObject):
    """One service to add, change or remove. `serviceSpecification` names the recipe that unfolds it; `service` the existing
    service that a change or removal is for.
    """

    id: Identifier
    action: ItemAction
    quantity: Quantity = 1
    serviceSpecification: Identifier
    service: Identifier | None = None
    serviceCharacteristic: tuple[Characteristic, ...] = ()


class SubmitServiceOrder(BusinessObject):
    """orders -> provisioning: deliver these services. Progress comes back as ServiceOrder events."""

    externalId: Identifier
    productOrder: Identifier | None = None
    relatedParty: RelatedParty
    serviceOrderItem: Annotated[tuple[ServiceOrderItemRequest, ...], Field(min_length=1)]
    requestedCompletionDate: Instant | None = None


class ServiceOrderItem(BusinessObject):
    """One line of a service order with what became of it. `serviceCharacteristic` holds allocated values too (MSISDN, IMSI)."""

    id: Identifier
    action: ItemAction
    serviceSpecification: Identifier
    state: ServiceOrderState
    service: Identifier | None = None
    serviceCharacteristic: tuple[Characteristic, ...] = ()


class ServiceOrder(BusinessObject):
    """An order for services and its whole history. `message` tells a person why it failed or was rejected."""

    id: Identifier
    externalId: Identifier
    productOrder: Identifier | None = None
    state: ServiceOrderState
    orderDate: Instant
    completionDate: Instant | None = None
    relatedParty: RelatedParty
    serviceOrderItem: tuple[ServiceOrderItem, ...]
    stateChange: tuple[StateChange, ...] = ()
    milestone: tuple[Milestone, ...] = ()
    message: Text | None = None


class ServiceOrderStateChangeEvent(Event):
    """A service order changed state."""

    serviceOrder: ServiceOrder


class ServiceOrderMilestoneEvent(Event):
    """A service order reached a milestone (`allocationStarted`, `endToEndTestPassed`)."""

    serviceOrder: ServiceOrder


class ServiceOrderJeopardyEvent(Event):
    """A service order stands still and needs a person: one of its steps could not be undone (TMF641)."""

    serviceOrder: ServiceOrder
    workOrder: Identifier
    message: Text


class ContinueServiceOrder(BusinessObject):
    """provisioning -> itself: go on with the order where it stands; after a pause, try the step that is held again."""

    serviceOrder: Identifier


class ExpireReservation(BusinessObject):
    """provisioning -> itself: the reservation has run out; release what it still holds."""

    reservation: Identifier


class CancelServiceOrder(BusinessObject):
    """orders -> provisioning: assess and, if granted, carry out the cancellation of the order with this product order id."""

    productOrder: Identifier
    cancellationReason: Text


class CancelServiceOrderTask(BusinessObject):
    """provisioning -> orders: the assessment. When granted and `undoing`, ServiceOrder events tell when it is cancelled."""

    productOrder: Identifier
    granted: bool
    undoing: bool = False
    message: Text | None = None


class QualifyService(BusinessObject):
    """Ask whether an offering can be delivered. `reserve` keeps the resources for a limited time."""

    productOffering: Annotated[Identifier, Parameter("OFFER")]
    place: Text | None = None
    reserve: bool = False
    serviceCharacteristic: tuple[Characteristic, ...] = ()


class QualificationResult(StrEnum):
    """TMF645 qualificationResult."""

    QUALIFIED = "qualified"
    UNQUALIFIED = "unqualified"


class AlternateOffering(BusinessObject):
    """An offering that could be delivered instead."""

    productOffering: Identifier
    name: Text


class ServiceQualification(BusinessObject):
    """The answer: qualified, or the reason and what else there is."""

    id: Identifier
    productOffering: Identifier
    qualificationResult: QualificationResult
    reason: Text | None = None
    alternateOffering: tuple[AlternateOffering, ...] = ()
    reservation: Identifier | None = None
    reservationExpires: Instant | None = None
    serviceCharacteristic: tuple[Characteristic, ...] = ()
    qualificationDate: Instant


class ResourceCommand(BusinessObject):
    """Outbound: one command for a network element, in business terms. Goes to `connector.<element>`; the element's driver
    (protocols/*.yaml) turns `command` and `parameter` into what the element understands, and knows how to ask whether it
    has been applied already. It asks first when the command is `repeated`: an earlier one may have reached the element.
    """

    workOrder: Identifier
    command: Identifier
    parameter: tuple[Characteristic, ...] = ()
    repeated: bool = False


class ResourceCommandResult(BusinessObject):
    """What the element did. `done` is true also when a query showed that it had been applied before. A refusal for good
    comes back as a Fault of code `state`, an element out of reach for too long as one of code `unavailable`.
    """

    workOrder: Identifier
    done: bool
    code: Text | None = None
    text: Text | None = None
    parameter: tuple[Characteristic, ...] = ()
