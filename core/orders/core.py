"""The order core, put together: its handlers by message type, its tables, what it hears."""

from __future__ import annotations

from collections.abc import Mapping

from core.messages.envelope import Envelope
from core.messages.failures import Fault
from core.orders import cancelling, delivery
from core.orders.catalog import Offering
from core.orders.objects import ProductOrderState
from core.orders.order_book import OpenOrder
from core.orders.ordering import Ordering
from core.orders.tables import metadata
from core.unit_of_work import Core, UnitOfWork


def build(offerings: Mapping[str, Offering]) -> Core:
    """Make the core. `offerings` are by id."""
    ordering, deliveries = Ordering(offerings), delivery.Delivery(offerings)

    def refused(command: Envelope[Fault], uow: UnitOfWork) -> None:
        """Another core refused a request of ours; the order it was for (the message's key) tells by its state which."""
        opened = OpenOrder.find(uow, command.key)
        if opened is None or opened.is_final:
            return
        if opened.state in {ProductOrderState.ACKNOWLEDGED, ProductOrderState.PENDING}:
            ordering.credit_failed(command, opened)
        elif opened.pending_cancel is not None:
            cancelling.not_assessed(opened, command.body)
        else:
            delivery.failed_behind(opened, command.body)
        opened.save()

    return Core("orders", {
        "SubmitProductOrder": ordering.submit,
        "GetProductOrder": ordering.get,
        "CancelProductOrder": cancelling.cancel,
        "StartProductOrder": ordering.start,
        "CreditDecision": ordering.credit_decided,
        "ServiceOrder": deliveries.service_order_accepted,
        "ServiceOrderStateChangeEvent": deliveries.service_order_event,
        "ServiceOrderJeopardyEvent": delivery.in_jeopardy,
        "CancelServiceOrderTask": cancelling.assessed,
        "ProductBilling": delivery.billing_done,
        "Fault": refused,
    }, metadata, subscriptions=frozenset({"ServiceOrderStateChangeEvent", "ServiceOrderJeopardyEvent"}))
