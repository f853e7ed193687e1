"""Work orders: one after the other to the elements, and back again in strict reverse order when it has to be.

One work order of a service order is under way at a time. What an element answers, or a timer that tries a held one
again, moves the service order on; each is harmless when it comes twice or late, since only the work order that is under
way listens.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, func, select, update

from core.messages.envelope import Envelope
from core.messages.failures import Fault, Kind
from core.provisioning.objects import (
    ContinueServiceOrder,
    ResourceCommand,
    ResourceCommandResult,
    ServiceOrderJeopardyEvent,
    ServiceOrderState,
)
from core.provisioning.order_book import TEST_PASSED, OpenOrder, characteristics
from core.provisioning.resources import ResourceState
from core.provisioning.resources import move as move_resources
from core.provisioning.tables import service, work_order
from core.unit_of_work import UnitOfWork

S = ServiceOrderState
_TEMPORARY = frozenset({Kind.UNAVAILABLE, Kind.BUSY, Kind.TIMEOUT, Kind.INTERNAL})
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)


def proceed(order: OpenOrder) -> None:
    """Send the next work order, unless one is under way; finish the service order when none is left.
    An order with a step that could not be undone stays where it is.
    """
    uow = order.uow
    failed_undo = uow.execute(select(work_order.c.id).where(
        work_order.c.service_order == order.id, work_order.c.undo_of.is_not(None), work_order.c.state == S.FAILED)).first()
    if failed_undo is not None:
        return
    waiting = uow.execute(
        select(work_order).where(work_order.c.service_order == order.id,
                                 work_order.c.state.in_([S.ACKNOWLEDGED, S.IN_PROGRESS, S.HELD]))
        .order_by(work_order.c.sequence).limit(1)).first()
    if waiting is None:
        _finish(order)
    elif waiting.state != S.IN_PROGRESS:
        _dispatch(order, waiting)


def element_answered(envelope: Envelope[ResourceCommandResult | Fault], uow: UnitOfWork) -> None:
    """Take what an element (or the connector on its behalf) answered to a work order's command."""
    row = uow.execute(select(work_order).where(work_order.c.message_id == envelope.causation_id)).first()
    order = OpenOrder.find(uow, row.service_order) if row is not None else None
    if row is None or order is None:
        return
    state = uow.execute(select(work_order.c.state).where(work_order.c.id == row.id)).scalar_one()  # again, under the lock
    if state != S.IN_PROGRESS:
        return
    body = envelope.body
    if isinstance(body, Fault) and body.code in _TEMPORARY:
        _unknown(order, row, body.message)
    elif isinstance(body, Fault) or not body.done:
        _refused(order, row, body.message if isinstance(body, Fault) else body.text or body.code or "refused")
    else:
        _set(uow, row.id, S.COMPLETED)
        if order.ends_in is None and order.order.state == S.PENDING_CANCELLATION:
            undo(order, S.CANCELLED)
        else:
            if order.order.state == S.HELD:
                _resume(order)
            proceed(order)


def drop_undispatched(order: OpenOrder) -> None:
    """Cancel every work order that no element has heard of."""
    order.uow.execute(update(work_order).where(work_order.c.service_order == order.id, work_order.c.state == S.ACKNOWLEDGED)
                      .values(state=S.CANCELLED))


def under_way(order: OpenOrder) -> bool:
    """Whether an element's answer is awaited."""
    return order.uow.execute(select(work_order.c.id).where(work_order.c.service_order == order.id,
                                                           work_order.c.state == S.IN_PROGRESS)).first() is not None


def undo(order: OpenOrder, ends_in: ServiceOrderState, message: str | None = None) -> None:
    """Drop what has not begun, undo what was done in strict reverse order, and end the order in `ends_in`.

    A held step may or may not have reached its element, so it is undone as well; its undo asks the element first.
    """
    drop_undispatched(order)
    done = order.uow.execute(select(work_order).where(work_order.c.service_order == order.id, work_order.c.undo_of.is_(None),
                                                      work_order.c.state.in_([S.COMPLETED, S.HELD]))
                             .order_by(work_order.c.sequence.desc())).all()
    plan_undo(order, done)
    order.uow.cancel_timer(_timer(order))
    if order.order.state == S.HELD:
        _resume(order)
    order.end_in(ends_in, message)
    proceed(order)


def plan_undo(order: OpenOrder, done: Any) -> None:
    """Write an undo work order for each of `done`, in that order, where undoing it takes a command."""
    uow = order.uow
    last = uow.execute(select(func.max(work_order.c.sequence)).where(work_order.c.service_order == order.id)).scalar() or 0
    for row in done:
        unsure = row.state == S.HELD
        if unsure:
            _set(uow, row.id, S.CANCELLED)
        if row.undo is None:
            continue
        last += 1
        # A try counted in advance makes the undo of an unsure step ask the element before it acts.
        add(uow, order.id, last, item=row.item, service=row.service, element=row.element, command=row.undo, undo=None,
            undo_of=row.id, tries=int(unsure))


def release_all(order: OpenOrder) -> None:
    """Terminate the order's services and free their resources."""
    _bring_services(order, ResourceState.UNALLOCATED, "terminated")


def add(uow: UnitOfWork, order_id: str, sequence: int, **columns: Any) -> None:
    """Write a work order that waits for its turn."""
    uow.insert(work_order, **{"id": f"{order_id}-{sequence}", "service_order": order_id, "sequence": sequence,
                              "state": S.ACKNOWLEDGED, "undo_of": None, "message_id": None, "tries": 0, "message": None,
                              **columns})


def _dispatch(order: OpenOrder, row: Row[Any]) -> None:
    command = json.loads(row.command)
    body = ResourceCommand(workOrder=row.id, command=command["command"], parameter=characteristics(command["parameters"]),
                           repeated=row.tries > 0)
    sent = order.uow.send(f"connector.{row.element}", body, key=order.id, reply_to="provisioning")
    _set(order.uow, row.id, S.IN_PROGRESS, message_id=sent, tries=row.tries + 1)


def _unknown(order: OpenOrder, row: Row[Any], why: str) -> None:
    """Nobody knows whether the element acted: wait and ask it, or, when the order is to go, make it undone."""
    uow = order.uow
    _set(uow, row.id, S.HELD, message=why)
    if order.ends_in is None and order.order.state == S.PENDING_CANCELLATION:
        undo(order, S.CANCELLED)
        return
    if row.undo_of is not None:
        _alarm(order, row, why)
    order.move(S.HELD, why)
    pause = min(_FIRST_PAUSE * 2 ** min(row.tries - 1, 10), _LONGEST_PAUSE)
    uow.at(uow.now + pause, _timer(order), "provisioning", ContinueServiceOrder(serviceOrder=order.id), key=order.id)


def _refused(order: OpenOrder, row: Row[Any], why: str) -> None:
    """The element will not do it, now or later."""
    if row.undo_of is not None:
        # Whatever follows in reverse order rests on this step, so nothing more is undone before a person has looked.
        _set(order.uow, row.id, S.FAILED, message=why)
        order.move(S.HELD, why)
        _alarm(order, row, why)
        return
    _set(order.uow, row.id, S.FAILED, message=why)
    cancelling = order.order.state == S.PENDING_CANCELLATION
    undo(order, S.CANCELLED if cancelling else S.FAILED, None if cancelling else why)


def _resume(order: OpenOrder) -> None:
    """Bring a held order back to what it was doing."""
    if order.ends_in == S.CANCELLED:
        order.move(S.ASSESSING_CANCELLATION)
        order.move(S.PENDING_CANCELLATION)
    else:
        order.move(S.IN_PROGRESS)


def _finish(order: OpenOrder) -> None:
    working = order.ends_in is None
    if working:
        order.pass_milestone(TEST_PASSED)
        _bring_services(order, ResourceState.IN_USE, "active")
    else:
        release_all(order)
    order.move(order.ends_in or S.COMPLETED, order.order.message)


def _bring_services(order: OpenOrder, resources: ResourceState, state: str) -> None:
    for service_id in [item.service for item in order.order.serviceOrderItem if item.service]:
        move_resources(order.uow, service_id, resources)
        order.uow.execute(update(service).where(service.c.id == service_id).values(state=state))


def _alarm(order: OpenOrder, row: Row[Any], why: str) -> None:
    order.uow.publish(ServiceOrderJeopardyEvent(serviceOrder=order.order, workOrder=row.id, message=why), key=order.id)


def _set(uow: UnitOfWork, work_order_id: str, state: ServiceOrderState, **columns: Any) -> None:
    uow.execute(update(work_order).where(work_order.c.id == work_order_id).values(state=state, **columns))


def _timer(order: OpenOrder) -> str:
    return f"provisioning.continue.{order.id}"




__all__ = ["add", "drop_undispatched", "element_answered", "plan_undo", "proceed", "release_all", "under_way", "undo"]
