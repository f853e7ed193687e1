"""A service order in hand: read, moved from state to state, and written back with its events, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from core.messages.base import Characteristic, StateChange, one_line
from core.orders.objects import Milestone
from core.provisioning.objects import (
    ServiceOrder,
    ServiceOrderMilestoneEvent,
    ServiceOrderState,
    ServiceOrderStateChangeEvent,
    SubmitServiceOrder,
)
from core.provisioning.tables import service_order
from core.states import FINAL, check
from core.unit_of_work import UnitOfWork

ALLOCATION_STARTED = "allocationStarted"
TEST_PASSED = "endToEndTestPassed"
# TMF641 knows no way from a cancellation under way but its end; ours may also come to stand: an undo that does not succeed.
_STUCK = (ServiceOrderState.PENDING_CANCELLATION, ServiceOrderState.HELD)


@dataclass(slots=True)
class OpenOrder:
    """A service order that this transaction works on. `ends_in` is set while it is being undone (or, for a removal, while
    what it removes is): the state it ends in once nothing is left to undo.
    """

    uow: UnitOfWork
    order: ServiceOrder
    request: SubmitServiceOrder
    ends_in: ServiceOrderState | None = None

    @classmethod
    def find(cls, uow: UnitOfWork, order_id: str) -> OpenOrder | None:
        """Read an order and keep others from it until the commit; None when there is none."""
        row = uow.execute(select(service_order).where(service_order.c.id == order_id).with_for_update()).first()
        if row is None:
            return None
        return cls(uow, ServiceOrder.model_validate_json(row.document), SubmitServiceOrder.model_validate_json(row.actions),
                   ServiceOrderState(row.ends_in) if row.ends_in else None)

    @property
    def id(self) -> str:
        """The order's id."""
        return self.order.id

    def reached(self, milestone: str) -> bool:
        """Whether the order has passed this milestone."""
        return any(m.name == milestone for m in self.order.milestone)

    def insert(self) -> None:
        """Write a new order and tell about it."""
        self.uow.insert(service_order, id=self.id, external_id=self.order.externalId,
                        product_order=self.order.productOrder or "", state=self.order.state, ends_in=None,
                        document=self.order.model_dump_json(exclude_none=True),
                        actions=self.request.model_dump_json(exclude_none=True))
        self.uow.publish(ServiceOrderStateChangeEvent(serviceOrder=self.order), key=self.id)

    def move(self, state: ServiceOrderState, message: str | None = None) -> None:
        """Bring the order and its items to `state`, write it and tell about it. Nothing happens when it is there already.

        Raises Failure(STATE) where the table of states knows no such step.
        """
        if self.order.state == state:
            return
        if (self.order.state, state) != _STUCK:
            check(self.order.state, state)
        now = self.uow.now
        items = tuple(i.model_copy(update={"state": state}) for i in self.order.serviceOrderItem)
        reason = message and one_line(message)
        self._change(state=state, serviceOrderItem=items, message=(reason if state in FINAL else None) or self.order.message,
                     completionDate=now if state in FINAL else None,
                     stateChange=(*self.order.stateChange, StateChange(state=state, changeDate=now, reason=reason)))
        self.uow.publish(ServiceOrderStateChangeEvent(serviceOrder=self.order), key=self.id)

    def pass_milestone(self, name: str) -> None:
        """Note that the order has reached a point and tell about it; once."""
        if self.reached(name):
            return
        reached = Milestone(id=name, name=name, status="completed", milestoneDate=self.uow.now)
        self._change(milestone=(*self.order.milestone, reached))
        self.uow.publish(ServiceOrderMilestoneEvent(serviceOrder=self.order), key=self.id)

    def end_in(self, state: ServiceOrderState, message: str | None = None) -> None:
        """Say where the order ends once all is undone, and why."""
        self.ends_in = state
        self._change(message=(message and one_line(message)) or self.order.message)

    def _change(self, **changes: object) -> None:
        self.order = self.order.model_copy(update=changes)
        self.save()

    def save(self) -> None:
        """Write the order as it is in hand."""
        self.uow.execute(update(service_order).where(service_order.c.id == self.id).values(
            state=self.order.state, ends_in=self.ends_in, document=self.order.model_dump_json(exclude_none=True)))


def new_order(uow: UnitOfWork, request: SubmitServiceOrder, order: ServiceOrder) -> OpenOrder:
    """Write a new order and tell about it."""
    opened = OpenOrder(uow, order, request)
    opened.insert()
    return opened


def history(state: ServiceOrderState, now: datetime, reason: str | None = None) -> tuple[StateChange, ...]:
    """The first entry of a new order's history."""
    return (StateChange(state=state, changeDate=now, reason=reason),)


def characteristics(values: dict[str, str]) -> tuple[Characteristic, ...]:
    """Named values as business objects."""
    return tuple(Characteristic(name=n, value=v) for n, v in values.items())
