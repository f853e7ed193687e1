"""From service order to completed product order: services become products, products are billed, the order is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select, update

from core.billing.objects import ProductBilling, StartProductBilling, StopProductBilling
from core.messages.envelope import Envelope
from core.messages.failures import Fault
from core.orders.cancelling import cancelled_by_provisioning, overtaken
from core.orders.catalog import Offering
from core.orders.objects import ItemAction, JeopardyAlert, ProductOrderItem, ProductOrderState
from core.orders.order_book import (
    ACTIVE,
    BILLING_STARTED,
    SERVICE_ACTIVATED,
    TERMINATED,
    OpenOrder,
    product_named,
    release_credit,
)
from core.orders.tables import product
from core.provisioning.objects import (
    ServiceOrder,
    ServiceOrderItem,
    ServiceOrderJeopardyEvent,
    ServiceOrderStateChangeEvent,
)
from core.states import roll_up
from core.unit_of_work import UnitOfWork

State = ProductOrderState


def in_jeopardy(command: Envelope[ServiceOrderJeopardyEvent], uow: UnitOfWork) -> None:
    """Warn on the order that its service order stands still and needs a person."""
    event = command.body
    opened = OpenOrder.find(uow, event.serviceOrder.productOrder or "")
    if opened is None or opened.is_final or any(alert.id == event.workOrder for alert in opened.order.jeopardyAlert):
        return
    alert = JeopardyAlert(id=event.workOrder, name="serviceOrderJeopardy", alertDate=uow.now, message=event.message)
    opened.change(jeopardyAlert=(*opened.order.jeopardyAlert, alert))
    opened.save()


def billing_done(command: Envelope[ProductBilling], uow: UnitOfWork) -> None:
    """Charging of one product has begun (or ended): its item is completed, and with the last item the order."""
    opened = OpenOrder.find(uow, command.key)
    if opened is None or opened.is_final or not opened.reached(SERVICE_ACTIVATED):
        return
    done = command.body.product
    opened.change_items(lambda item: item.model_copy(update={"state": State.COMPLETED}) if item.product == done else item)
    final = roll_up([item.state for item in opened.order.productOrderItem])
    if final is not None:
        opened.reach(BILLING_STARTED)
        _resume(opened)
        opened.move(final)
    opened.save()


def failed_behind(opened: OpenOrder, fault: Fault) -> None:
    """Another core refused for good what the order needs: say so on the order, never silently."""
    if opened.reached(SERVICE_ACTIVATED):
        opened.move(State.HELD, f"the service is active but cannot be billed: {fault.message}")
    else:
        _resume(opened)
        opened.move(State.FAILED, fault.message)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The handlers that follow a service order, with the offerings."""

    offerings: Mapping[str, Offering]

    def service_order_event(self, command: Envelope[ServiceOrderStateChangeEvent], uow: UnitOfWork) -> None:
        """Follow what a service order does."""
        self._follow(command.body.serviceOrder, uow)

    def service_order_accepted(self, command: Envelope[ServiceOrder], uow: UnitOfWork) -> None:
        """Note the service order that provisioning made of ours; it may have failed already."""
        self._follow(command.body, uow)

    def _follow(self, service_order: ServiceOrder, uow: UnitOfWork) -> None:
        opened = OpenOrder.find(uow, service_order.productOrder or "")
        if opened is None or opened.is_final:
            return
        opened.change_items(lambda item: item if item.serviceOrder else item.model_copy(update={"serviceOrder": service_order.id}))
        match service_order.state:
            case State.COMPLETED:
                self._activated(opened, service_order)
            case State.FAILED | State.REJECTED | State.PARTIAL:
                _failed(opened, service_order)
            case State.CANCELLED:
                cancelled_by_provisioning(opened)
            case State.HELD | State.IN_PROGRESS if opened.pending_cancel is not None:
                opened.pending_cancel = opened.pending_cancel.model_copy(update={"back": service_order.state})
            case State.HELD if opened.state is State.IN_PROGRESS:
                opened.move(State.HELD, service_order.stateChange[-1].reason)
            case State.IN_PROGRESS:
                _resume(opened)
        opened.save()

    def _activated(self, opened: OpenOrder, service_order: ServiceOrder) -> None:
        """Enter the products in the inventory and have them billed; once, whatever is told twice."""
        if opened.reached(SERVICE_ACTIVATED):
            return
        overtaken(opened, "the service is active; order its removal (action delete) instead")
        _resume(opened)
        opened.reach(SERVICE_ACTIVATED)
        made: dict[str, str] = {}
        for index, item in enumerate(opened.order.productOrderItem, 1):
            services = [s for s in service_order.serviceOrderItem if s.id.partition(".")[0] == str(index)]
            made[item.id] = (self._removed(opened, item) if item.action is ItemAction.DELETE
                             else _added(opened, item, services))
        opened.change_items(lambda item: item.model_copy(update={"product": made[item.id]}))

    def _removed(self, opened: OpenOrder, item: ProductOrderItem) -> str:
        uow = opened.uow
        product_id = product_named(item.productCharacteristic)
        assert product_id is not None  # checked when the order was accepted
        row = uow.execute(select(product.c.product_order, product.c.quantity).where(product.c.id == product_id)).one()
        uow.execute(update(product).where(product.c.id == product_id).values(status=TERMINATED, end_date=uow.now.isoformat()))
        uow.send("billing", StopProductBilling(product=product_id, productOrder=opened.id, activeTo=uow.now),
                 key=opened.id, reply_to="orders")
        offering = self.offerings.get(item.productOffering)
        if offering is not None:
            exposure = offering.exposure.model_copy(update={"value": offering.exposure.value * row.quantity})
            release_credit(uow, opened.order.relatedParty.id, row.product_order, exposure)
        return product_id


def _resume(opened: OpenOrder) -> None:
    if opened.state is State.HELD:
        opened.move(State.IN_PROGRESS)


def _failed(opened: OpenOrder, service_order: ServiceOrder) -> None:
    overtaken(opened, "the order has failed")
    _resume(opened)
    if opened.state is State.IN_PROGRESS:
        opened.move(State.FAILED, service_order.message or f"service order {service_order.id} {service_order.state}")


def _added(opened: OpenOrder, item: ProductOrderItem, services: list[ServiceOrderItem]) -> str:
    uow, order = opened.uow, opened.order
    product_id = f"PR{uow.new_id()}"
    uow.insert(product, id=product_id, product_order=order.id, product_offering=item.productOffering, quantity=item.quantity,
               customer=order.relatedParty.id, services=json.dumps([s.service for s in services]), status=ACTIVE,
               start_date=uow.now.isoformat(), end_date=None)
    uow.send("billing", StartProductBilling(
        product=product_id, productOffering=item.productOffering, productOrder=order.id, relatedParty=order.relatedParty,
        account=order.account, quantity=item.quantity, activeFrom=uow.now,
        characteristic=services[0].serviceCharacteristic if services else ()), key=order.id, reply_to="orders")
    return product_id
