"""A product order in hand: read, moved from state to state, and written back with its events, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import bindparam, select, update

from core.credit.objects import ReleaseCredit
from core.messages.base import Characteristic, Money, StateChange, as_json, one_line
from core.orders.objects import (
    CancelProductOrderTask,
    ItemAction,
    Milestone,
    ProductOrder,
    ProductOrderItem,
    ProductOrderState,
    ProductOrderStateChangeEvent,
)
from core.orders.tables import product, product_order
from core.states import FINAL, check
from core.unit_of_work import UnitOfWork

CREDIT_APPROVED = "creditApproved"
SERVICE_ORDER_ISSUED = "serviceOrderIssued"
SERVICE_ACTIVATED = "serviceActivated"
BILLING_STARTED = "billingStarted"

PRODUCT = "PRODUCT"
"""The characteristic that names the product an item deletes."""
ACTIVE, PENDING_TERMINATE, TERMINATED = "active", "pendingTerminate", "terminated"
"""What a product may be (TMF637 ProductStatusType)."""

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
        self._stored = (order, pending_cancel)

    @classmethod
    def find(cls, uow: UnitOfWork, order_id: str) -> OpenOrder | None:
        """Read an order and keep others from it until the commit; None when there is none."""
        row = uow.first(_lock, {"order": order_id})
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
        change = StateChange(state=state, changeDate=now, reason=reason and one_line(reason))
        self.change(state=state, stateChange=(*self.order.stateChange, change))
        if state in FINAL:
            self.change(completionDate=now)
            if state is not ProductOrderState.COMPLETED:
                self._give_back()
        self.uow.publish(ProductOrderStateChangeEvent(productOrder=self.order), key=self.id)

    def _give_back(self) -> None:
        """The order comes to nothing: the credit it was given is free again, and what it was to remove stays."""
        if self.reached(CREDIT_APPROVED):
            release_credit(self.uow, self.order.relatedParty.id, self.id)
        removed = [named for item in self.order.productOrderItem if item.action is ItemAction.DELETE
                   and (named := product_named(item.productCharacteristic)) is not None]
        if removed:
            self.uow.execute(update(product).where(product.c.id.in_(removed), product.c.status == PENDING_TERMINATE)
                             .values(status=ACTIVE))

    def reach(self, name: str, message: str | None = None) -> None:
        """Note a milestone; once."""
        if not any(m.name == name for m in self.order.milestone):
            reached = Milestone(id=name, name=name, status="completed", milestoneDate=self.uow.now,
                                message=message and one_line(message))
            self.change(milestone=(*self.order.milestone, reached))

    def reached(self, name: str) -> bool:
        """Whether the order has passed this milestone."""
        return any(m.name == name for m in self.order.milestone)

    def save(self) -> None:
        """Write the order back, if anything about it has changed."""
        if self._stored == (self.order, self.pending_cancel):
            return
        self._stored = (self.order, self.pending_cancel)
        self.uow.execute(update(product_order).where(product_order.c.id == self.id).values(
            state=self.order.state, document=document(self.order),
            pending_cancel=self.pending_cancel.model_dump_json(exclude_none=True) if self.pending_cancel else None))


def document(order: ProductOrder) -> str:
    """Return the order as it is stored."""
    return as_json(order)


def href(order_id: str) -> str:
    """Return the reference TMF622 gives a product order."""
    return f"/productOrderingManagement/v4/productOrder/{order_id}"


def product_named(characteristics: Sequence[Characteristic]) -> str | None:
    """Return the id of the product that an item deletes."""
    return next((c.value for c in characteristics if c.name == PRODUCT), None)


def release_credit(uow: UnitOfWork, customer: str, order_id: str, amount: Money | None = None) -> None:
    """Have credit take back what it committed to this customer for this order, or `amount` of it."""
    uow.send("credit", ReleaseCredit(party=customer, purpose=order_id, amount=amount), key=order_id)
