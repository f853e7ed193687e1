"""A product order in hand: read, moved from state to state, and written back with its events, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, select, update

from core.messages.base import StateChange
from core.orders.objects import (
    CancelProductOrderTask,
    Milestone,
    ProductOrder,
    ProductOrderItem,
    ProductOrderState,
    ProductOrderStateChangeEvent,
)
from core.orders.tables import product_order
from core.states import FINAL, check
from core.unit_of_work import UnitOfWork

CREDIT_APPROVED = "creditApproved"
SERVICE_ORDER_ISSUED = "serviceOrderIssued"
SERVICE_ACTIVATED = "serviceActivated"
BILLING_STARTED = "billingStarted"

_read = select(product_order.c.document, product_order.c.party, product_order.c.pending_cancel).where(
    product_order.c.id == bindparam("order"))
_lock = _read.with_for_update()


class PendingCancel(CancelProductOrderTask):
    """A cancellation whose assessment is under way: the task, who waits for it, and the state to go back to if denied."""

    request: str
    back: ProductOrderState


class OpenOrder:
    """An order that this transaction works on. Nothing is written before `save`."""

    def __init__(self, uow: UnitOfWork, order: ProductOrder, party: str, pending_cancel: PendingCancel | None) -> None:
        self.uow = uow
        self.order = order
        self.party = party
        self.pending_cancel = pending_cancel

    @classmethod
    def find(cls, uow: UnitOfWork, order_id: str) -> OpenOrder | None:
        """Read an order and keep others from it until the commit; None when there is none."""
        row = uow.execute(_lock, {"order": order_id}).first()
        if row is None:
            return None
        pending = PendingCancel.model_validate_json(row.pending_cancel) if row.pending_cancel else None
        return cls(uow, ProductOrder.model_validate_json(row.document), row.party, pending)

    @property
    def id(self) -> str:
        """The order's id."""
        return self.order.id

    @property
    def state(self) -> ProductOrderState:
        """The order's state."""
        return self.order.state

    @property
    def is_final(self) -> bool:
        """Whether nothing can happen to the order any more."""
        return self.order.state in FINAL

    def change(self, **changes: Any) -> None:
        """Change fields of the order."""
        self.order = self.order.model_copy(update=changes)

    def change_items(self, changed: Callable[[ProductOrderItem], ProductOrderItem]) -> None:
        """Replace every item by what `changed` makes of it."""
        self.change(productOrderItem=tuple(changed(item) for item in self.order.productOrderItem))

    def move(self, state: ProductOrderState, reason: str | None = None) -> None:
        """Bring the order to `state`, its unfinished items with it, and tell about it.

        Raises Failure(STATE) when the table does not allow it. Nothing happens when it is there already.
        """
        if self.order.state == state:
            return
        check(self.order.state, state)
        now = self.uow.now
        self.change_items(lambda item: item if item.state in FINAL else item.model_copy(update={"state": state}))
        self.change(state=state, stateChange=(*self.order.stateChange, StateChange(state=state, changeDate=now, reason=reason)))
        if state in FINAL:
            self.change(completionDate=now)
        self.uow.publish(ProductOrderStateChangeEvent(productOrder=self.order), key=self.id)

    def reach(self, name: str, message: str | None = None) -> None:
        """Note a milestone; once."""
        if not any(m.name == name for m in self.order.milestone):
            reached = Milestone(id=name, name=name, status="completed", milestoneDate=self.uow.now, message=message)
            self.change(milestone=(*self.order.milestone, reached))

    def reached(self, name: str) -> bool:
        """Whether the order has passed this milestone."""
        return any(m.name == name for m in self.order.milestone)

    def save(self) -> None:
        """Write the order back."""
        self.uow.execute(update(product_order).where(product_order.c.id == self.id).values(
            state=self.order.state, document=document(self.order),
            pending_cancel=self.pending_cancel.model_dump_json(exclude_none=True) if self.pending_cancel else None))


def document(order: ProductOrder) -> str:
    """Return the order as it is stored."""
    return order.model_dump_json(exclude_none=True)


def href(order_id: str) -> str:
    """Return the reference TMF622 gives a product order."""
    return f"/productOrderingManagement/v4/productOrder/{order_id}"


__all__ = ["BILLING_STARTED", "CREDIT_APPROVED", "SERVICE_ACTIVATED", "SERVICE_ORDER_ISSUED", "OpenOrder", "PendingCancel",
           "document", "href"]
