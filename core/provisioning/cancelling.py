"""Cancelling service orders: one assessment per product order, by how far its service orders have come."""

from __future__ import annotations

from sqlalchemy import select

from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.orders.objects import ItemAction
from core.provisioning import work
from core.provisioning.objects import CancelServiceOrder, CancelServiceOrderTask, ServiceOrderState
from core.provisioning.order_book import ALLOCATION_STARTED, TEST_PASSED, OpenOrder
from core.provisioning.tables import service_order
from core.states import FINAL
from core.unit_of_work import UnitOfWork

S = ServiceOrderState


def cancel(envelope: Envelope[CancelServiceOrder], uow: UnitOfWork) -> CancelServiceOrderTask:
    """Assess and, if granted, begin. Raises Failure(NOT_FOUND) when the product order has no service order.

    Before allocation (W1) all is released at once; before the end-to-end test has passed (W2) what was done is undone;
    after it (W3) the answer is no, for all service orders of the product order alike.
    """
    product_order, reason = envelope.body.productOrder, envelope.body.cancellationReason
    ids = uow.execute(select(service_order.c.id).where(service_order.c.product_order == product_order)
                      .order_by(service_order.c.id)).scalars().all()
    orders = [order for order_id in ids if (order := OpenOrder.find(uow, order_id))]
    if not orders:
        raise Failure(Kind.NOT_FOUND, f"product order {product_order} has no service order", "productOrder")
    why_not = next((text for order in orders if (text := _denial(order))), None)
    if why_not is not None:
        return CancelServiceOrderTask(productOrder=product_order, granted=False, message=why_not)
    for order in orders:
        _begin(order, reason)
    undoing = any(order.order.state not in FINAL for order in orders)
    return CancelServiceOrderTask(productOrder=product_order, granted=True, undoing=undoing)


def _denial(order: OpenOrder) -> str | None:
    if order.reached(TEST_PASSED) or order.order.state == S.COMPLETED:
        return "the end-to-end test has passed: this is the point of no return, order the service's removal instead"
    if order.order.serviceOrderItem[0].action is ItemAction.DELETE and order.reached(ALLOCATION_STARTED):
        return "the service is being removed already"
    if order.ends_in == S.FAILED or order.order.state in {S.FAILED, S.REJECTED, S.PARTIAL}:
        return "the order has failed already"
    return None


def _begin(order: OpenOrder, reason: str) -> None:
    if order.order.state in FINAL or order.ends_in == S.CANCELLED or order.order.state == S.PENDING_CANCELLATION:
        return
    was = order.order.state
    if was == S.ACKNOWLEDGED:
        order.move(S.PENDING, reason)  # from where an order that has not begun may be cancelled
    order.move(S.ASSESSING_CANCELLATION, reason)
    order.move(S.PENDING_CANCELLATION, reason)
    if was == S.ACKNOWLEDGED:
        if order.order.serviceOrderItem[0].action is not ItemAction.DELETE:  # a removal not begun leaves its service as it is
            work.release_all(order)
        order.move(S.CANCELLED, reason)
    elif work.under_way(order):
        work.drop_undispatched(order)  # the one under way is awaited, then undone with the rest
    else:
        work.undo(order, S.CANCELLED, reason)


__all__ = ["cancel"]
