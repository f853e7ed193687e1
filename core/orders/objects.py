"""Product ordering as TMF622 names it: what a party asks for, and the order that promises it."""

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


class ItemAction(StrEnum):
    """What to do with the product (TMF622 OrderItemActionType)."""

    ADD = "add"
    MODIFY = "modify"
    DELETE = "delete"


class ProductOrderState(StrEnum):
    """TMF622 ProductOrderStateType. How one follows another is the table in `core.states`."""

    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"
    PENDING = "pending"
    HELD = "held"
    IN_PROGRESS = "inProgress"
    ASSESSING_CANCELLATION = "assessingCancellation"
    PENDING_CANCELLATION = "pendingCancellation"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    FAILED = "failed"
    PARTIAL = "partial"


class ProductOrderItemRequest(BusinessObject):
    """One line of a new order."""

    id: Annotated[Identifier, Parameter("ITEMID")] = "1"
    action: ItemAction = ItemAction.ADD
    quantity: Annotated[Quantity, Parameter("QTY")] = 1
    productOffering: Annotated[Identifier, Parameter("OFFER")]
    productCharacteristic: tuple[Characteristic, ...] = ()


class SubmitProductOrder(BusinessObject):
    """Ask for products. Accepted means durable: the order it becomes is stored before the answer leaves."""

    externalId: Annotated[Identifier, Parameter("EXTID")]
    relatedParty: RelatedParty
    productOrderItem: Annotated[tuple[ProductOrderItemRequest, ...], Field(min_length=1, max_length=100)]
    account: Identifier | None = None
    requestedStartDate: Annotated[Instant | None, Parameter("STARTDATE")] = None
    requestedCompletionDate: Annotated[Instant | None, Parameter("COMPLETIONDATE")] = None
    priority: Annotated[int | None, Field(ge=0, le=4)] = None
    note: Text | None = None


class ProductOrderItem(BusinessObject):
    """One line of an order with what became of it."""

    id: Identifier
    action: ItemAction
    quantity: Quantity
    productOffering: Identifier
    productCharacteristic: tuple[Characteristic, ...] = ()
    state: ProductOrderState
    serviceOrder: Identifier | None = None
    product: Identifier | None = None


class Milestone(BusinessObject):
    """A point the order has reached (TMF622 ProductOrderMilestone)."""

    id: Identifier
    name: Identifier
    status: Identifier
    milestoneDate: Instant
    message: Text | None = None


class JeopardyAlert(BusinessObject):
    """A warning that a committed date is at risk (TMF622 ProductOrderJeopardyAlert)."""

    id: Identifier
    name: Identifier
    alertDate: Instant
    message: Text | None = None


class ProductOrder(BusinessObject):
    """An order and its whole history."""

    id: Identifier
    href: Text
    externalId: Identifier
    state: ProductOrderState
    orderDate: Instant
    completionDate: Instant | None = None
    relatedParty: RelatedParty
    productOrderItem: tuple[ProductOrderItem, ...]
    account: Identifier | None = None
    requestedStartDate: Instant | None = None
    requestedCompletionDate: Instant | None = None
    priority: int | None = None
    note: Text | None = None
    cancellationDate: Instant | None = None
    cancellationReason: Text | None = None
    stateChange: tuple[StateChange, ...] = ()
    milestone: tuple[Milestone, ...] = ()
    jeopardyAlert: tuple[JeopardyAlert, ...] = ()


class GetProductOrder(BusinessObject):
    """Read an order by its id, or by the external id its party gave it (the newest one of that name)."""

    id: Annotated[Identifier | None, Parameter("ORDERID")] = None
    externalId: Annotated[Identifier | None, Parameter("EXTID")] = None


class AmendProductOrder(BusinessObject):
    """Change an order that is under way; what is not given stays as it is."""

    id: Annotated[Identifier, Parameter("ORDERID")]
    requestedStartDate: Annotated[Instant | None, Parameter("STARTDATE")] = None
    requestedCompletionDate: Annotated[Instant | None, Parameter("COMPLETIONDATE")] = None
    priority: Annotated[int | None, Field(ge=0, le=4)] = None
    note: Text | None = None


class CancelProductOrder(BusinessObject):
    """Ask for an order's cancellation; whether it is granted depends on how far it has come."""

    id: Annotated[Identifier, Parameter("ORDERID")]
    cancellationReason: Annotated[Text, Parameter("REASON"), Field(min_length=1)]


class TaskState(StrEnum):
    """TMF622 task states. `done` means assessed, not granted."""

    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "inProgress"
    DONE = "done"
    TERMINATED_WITH_ERROR = "terminatedWithError"


class CancelProductOrderTask(BusinessObject):
    """The assessment of a cancellation (TMF622 CancelProductOrder)."""

    id: Identifier
    href: Text
    productOrder: Identifier
    state: TaskState
    cancellationReason: Text
    granted: bool | None = None
    message: Text | None = None
    effectiveCancellationDate: Instant | None = None


class ProductOrderCreateEvent(Event):
    """An order was accepted."""

    productOrder: ProductOrder


class ProductOrderStateChangeEvent(Event):
    """An order or one of its items changed state."""

    productOrder: ProductOrder


class StartProductOrder(BusinessObject):
    """orders -> itself: an accepted order's time has come, or its credit check is to be tried again."""

    productOrder: Identifier
