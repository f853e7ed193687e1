"""Cancelling product orders: at once while nothing has been issued, else as provisioning assesses it."""

from __future__ import annotations

from core.messages.envelope import Envelope
from core.messages.failures import Failure, Fault, Kind
from core.orders.objects import CancelProductOrder, CancelProductOrderTask, ProductOrderState, TaskState
from core.orders.order_book import SERVICE_ACTIVATED, SERVICE_ORDER_ISSUED, OpenOrder, PendingCancel
from core.provisioning.objects import CancelServiceOrder, CancelServiceOrderTask
from core.unit_of_work import ANSWER_LATER, AnswerLater, UnitOfWork

State = ProductOrderState


def cancel(command: Envelope[CancelProductOrder], uow: UnitOfWork) -> CancelProductOrderTask | AnswerLater:
    """Assess a cancellation. Raises Failure(NOT_FOUND), or Failure(STATE) when the order ended in another way already.

    Once the service is active it is assessed and denied, also when the order is completed: products are ordered away, not cancelled.
    """
    asked = command.body
    opened = OpenOrder.find(uow, asked.id)
    if opened is None or opened.party != command.party:
        raise Failure(Kind.NOT_FOUND, f"no product order {asked.id}", "id")
    task_id = f"CT{uow.new_id()}"
    task = CancelProductOrderTask(
        id=task_id, href=f"/productOrderingManagement/v4/cancelProductOrder/{task_id}", productOrder=asked.id,
        state=TaskState.ACKNOWLEDGED, cancellationReason=asked.cancellationReason)
    if opened.state is State.COMPLETED or (opened.reached(SERVICE_ACTIVATED) and not opened.is_final):
        return _denied(task, "the service is active: this is the point of no return; order its removal (action delete) instead")
    if opened.is_final or opened.pending_cancel is not None or opened.state is State.PENDING_CANCELLATION:
        raise Failure(Kind.STATE, f"order {asked.id} is {opened.state} and cannot be cancelled", "id")
    if not opened.reached(SERVICE_ORDER_ISSUED):
        _cancelled(opened, asked.cancellationReason)
        uow.cancel_timer(f"start {opened.id}")
        opened.save()
        return _granted(task, opened)
    opened.pending_cancel = PendingCancel(**task.model_dump(), request=command.message_id, back=opened.state)
    opened.move(State.ASSESSING_CANCELLATION, asked.cancellationReason)
    uow.send("provisioning", CancelServiceOrder(productOrder=opened.id, cancellationReason=asked.cancellationReason),
             key=opened.id, reply_to="orders")
    opened.save()
    return ANSWER_LATER


def assessed(command: Envelope[CancelServiceOrderTask], uow: UnitOfWork) -> None:
    """Provisioning has assessed: begin to wait for the undoing, or go back to where the order was."""
    opened = OpenOrder.find(uow, command.body.productOrder)
    if opened is None or opened.pending_cancel is None:
        return
    if command.body.granted:
        _answer_granted(opened)
    else:
        _back(opened, _denied(_task(opened.pending_cancel), command.body.message or "denied"))
    opened.save()


def not_assessed(opened: OpenOrder, fault: Fault) -> None:
    """Provisioning could not assess: the task ends with an error, the order goes on."""
    assert opened.pending_cancel is not None
    task = _task(opened.pending_cancel).model_copy(update={"state": TaskState.TERMINATED_WITH_ERROR, "message": fault.message})
    _back(opened, task)


def overtaken(opened: OpenOrder, message: str) -> None:
    """The order's delivery has ended before its cancellation was assessed: it is denied, whatever the assessment says later."""
    if opened.pending_cancel is not None:
        _back(opened, _denied(_task(opened.pending_cancel), message))


def cancelled_by_provisioning(opened: OpenOrder) -> None:
    """All that was done for the order has been undone. The news may come before the assessment's own answer."""
    if opened.pending_cancel is not None:
        _answer_granted(opened)
    if opened.state is State.PENDING_CANCELLATION:
        reason = next((c.reason for c in reversed(opened.order.stateChange) if c.state == State.ASSESSING_CANCELLATION), None)
        _cancelled(opened, reason)


def _answer_granted(opened: OpenOrder) -> None:
    pending = opened.pending_cancel
    assert pending is not None
    opened.move(State.PENDING_CANCELLATION, pending.cancellationReason)
    opened.pending_cancel = None
    opened.uow.answer(pending.request, _granted(_task(pending), opened))


def _back(opened: OpenOrder, answer: CancelProductOrderTask) -> None:
    pending = opened.pending_cancel
    assert pending is not None
    opened.move(pending.back, answer.message)
    opened.pending_cancel = None
    opened.uow.answer(pending.request, answer)


def _cancelled(opened: OpenOrder, reason: str | None) -> None:
    if opened.state is State.ACKNOWLEDGED:
        opened.move(State.PENDING, reason)  # TMF622 has no way from acknowledged to cancelled but through pending
    opened.move(State.CANCELLED, reason)
    opened.change(cancellationDate=opened.uow.now, cancellationReason=reason)


def _granted(task: CancelProductOrderTask, opened: OpenOrder) -> CancelProductOrderTask:
    """Granted; the date is that of the end, so it is known only where nothing has to be undone first."""
    ended = opened.uow.now if opened.is_final else None
    return task.model_copy(update={"state": TaskState.DONE, "granted": True, "effectiveCancellationDate": ended})


def _denied(task: CancelProductOrderTask, message: str) -> CancelProductOrderTask:
    return task.model_copy(update={"state": TaskState.DONE, "granted": False, "message": message})


def _task(pending: PendingCancel) -> CancelProductOrderTask:
    return CancelProductOrderTask(**pending.model_dump(exclude={"request", "back"}))
