"""Service orders come in: checked, their resources reserved, then allocated and unfolded into work orders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from core.messages.envelope import Envelope
from core.orders.objects import ItemAction
from core.provisioning import work
from core.provisioning.catalog import AllocateStep, Pool, Recipe
from core.provisioning.objects import (
    ContinueServiceOrder,
    ServiceOrder,
    ServiceOrderItem,
    ServiceOrderItemRequest,
    ServiceOrderState,
    SubmitServiceOrder,
)
from core.provisioning.order_book import ALLOCATION_STARTED, OpenOrder, characteristics, history, new_order
from core.provisioning.resources import ReservationState, ResourceState, end_reservation, is_held, move, reserved_values, take, take_next
from core.provisioning.tables import service, service_order, work_order
from core.states import FINAL
from core.unit_of_work import UnitOfWork

S = ServiceOrderState
RESERVATION = "RESERVATION"
"""The characteristic by which an order takes up what a qualification reserved."""


class _Impossible(Exception):
    """An order cannot be carried out; the text says why to a person."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """The handlers for new service orders, with the catalogue they go by."""

    recipes: Mapping[str, Recipe]
    pools: Mapping[str, Pool]

    def submit(self, envelope: Envelope[SubmitServiceOrder], uow: UnitOfWork) -> ServiceOrder:
        """Accept a service order and reserve its resources. The same order again gets the order as it stands."""
        request = envelope.body
        known = uow.execute(select(service_order.c.document).where(
            service_order.c.product_order == (request.productOrder or ""),
            service_order.c.external_id == request.externalId)).scalar()
        if known is not None:
            return ServiceOrder.model_validate_json(known)
        items = tuple(ServiceOrderItem(id=i.id, action=i.action, serviceSpecification=i.serviceSpecification,
                                       state=S.ACKNOWLEDGED, service=i.service, serviceCharacteristic=i.serviceCharacteristic)
                      for i in request.serviceOrderItem)
        order = ServiceOrder(id=uow.new_id(), externalId=request.externalId, productOrder=request.productOrder, orderDate=uow.now,
                             state=S.ACKNOWLEDGED, relatedParty=request.relatedParty, serviceOrderItem=items,
                             stateChange=history(S.ACKNOWLEDGED, uow.now))
        opened = new_order(uow, request, order)
        try:
            self._check(opened)
        except _Impossible as reason:
            opened.move(S.REJECTED, str(reason))
            return opened.order
        try:
            self._reserve(opened)
        except _Impossible as reason:
            work.release_all(opened)
            opened.move(S.IN_PROGRESS)
            opened.move(S.FAILED, str(reason))
            return opened.order
        # Allocation begins with a message of its own: a cancellation that comes before it finds nothing to undo.
        uow.send("provisioning", ContinueServiceOrder(serviceOrder=order.id), key=order.id)
        return opened.order

    def go_on(self, envelope: Envelope[ContinueServiceOrder], uow: UnitOfWork) -> None:
        """Begin a new order, or try again the step of one that is held."""
        order = OpenOrder.find(uow, envelope.body.serviceOrder)
        if order is None or order.order.state in FINAL:
            return
        if order.order.state == S.ACKNOWLEDGED:
            self._begin(order)
        work.proceed(order)

    def _check(self, order: OpenOrder) -> None:
        if len({i.action for i in order.request.serviceOrderItem}) > 1:
            raise _Impossible("the items of one service order must all have the same action")
        if len({i.id for i in order.request.serviceOrderItem}) < len(order.request.serviceOrderItem):
            raise _Impossible("two items have the same id")
        for item in order.request.serviceOrderItem:
            if item.action is ItemAction.MODIFY:
                raise _Impossible(f"item {item.id}: a service cannot be modified; remove it and add another")
            if item.quantity != 1:
                raise _Impossible(f"item {item.id}: quantity must be 1; every service is an item of its own")
            if item.action is ItemAction.ADD and item.serviceSpecification not in self.recipes:
                raise _Impossible(f"item {item.id}: no recipe {item.serviceSpecification}; "
                                  f"there are {', '.join(sorted(self.recipes))}")
            if item.action is ItemAction.DELETE:
                self._check_removal(order, item)

    @staticmethod
    def _check_removal(order: OpenOrder, item: ServiceOrderItemRequest) -> None:
        row = order.uow.execute(select(service.c.state, service.c.party).where(service.c.id == (item.service or ""))).first()
        if row is None or row.party != order.request.relatedParty.id:
            raise _Impossible(f"item {item.id}: no service {item.service or '(none named)'} of this party")
        if row.state != "active":
            raise _Impossible(f"item {item.id}: service {item.service} is {row.state}, only an active one can be removed")

    def _reserve(self, order: OpenOrder) -> None:
        uow, items = order.uow, []
        for item, asked in zip(order.order.serviceOrderItem, order.request.serviceOrderItem, strict=True):
            if item.action is ItemAction.DELETE:
                items.append(item)
                continue
            recipe = self.recipes[item.serviceSpecification]
            given = {c.name: c.value for c in asked.serviceCharacteristic}
            service_id = uow.new_id()
            reserved = given.pop(RESERVATION, None)
            if reserved is not None and not is_held(uow, reserved):
                raise _Impossible(f"item {item.id}: reservation {reserved} is unknown or has ended")
            values = {**recipe.defaults, **(reserved_values(uow, reserved) if reserved else {}), **given}
            # Written first, so that what it pre-occupies can be released by its id whatever happens next.
            items.append(item.model_copy(update={"service": service_id}))
            rest = order.order.serviceOrderItem[len(items):]
            order.order = order.order.model_copy(update={"serviceOrderItem": (*items, *rest)})
            for step in recipe.allocations:
                values[step.characteristic] = self._own(uow, step, values.get(step.characteristic), service_id, reserved)
            if reserved is not None:
                end_reservation(uow, reserved, ReservationState.ALLOCATED)
            items[-1] = items[-1].model_copy(update={"serviceCharacteristic": characteristics(values)})
            uow.insert(service, id=service_id, party=order.request.relatedParty.id, specification=recipe.id, state="reserved",
                       service_order=order.id, characteristics=json.dumps(values))
        order.order = order.order.model_copy(update={"serviceOrderItem": tuple(items)})
        order.save()

    def _own(self, uow: UnitOfWork, step: AllocateStep, given: str | None, service_id: str, reserved: str | None) -> str:
        pool = self.pools[step.pool] if step.pool else None
        if given is not None:
            if not take(uow, step.characteristic, given, service_id, reserved=reserved,
                        pool=pool.id if pool and given in pool else None):
                raise _Impossible(f"{step.characteristic} {given} is taken already")
            return given
        if pool is None:
            raise _Impossible(f"{step.characteristic} must be given")
        value = take_next(uow, pool, service_id)
        if value is None:
            raise _Impossible(f"pool {pool.id} has no free {step.characteristic} left")
        return value

    def _begin(self, order: OpenOrder) -> None:
        """Allocate what was reserved and write the work orders, in the recipes' order."""
        uow = order.uow
        order.move(S.IN_PROGRESS)
        order.pass_milestone(ALLOCATION_STARTED)
        if order.order.serviceOrderItem[0].action is ItemAction.DELETE:
            order.end_in(S.COMPLETED)
            for item in reversed(order.order.serviceOrderItem):
                done = uow.execute(select(work_order).where(work_order.c.service == item.service, work_order.c.undo_of.is_(None),
                                                            work_order.c.state == S.COMPLETED)
                                   .order_by(work_order.c.sequence.desc())).all()
                work.plan_undo(order, done)
            return
        sequence = 0
        for item in order.order.serviceOrderItem:
            assert item.service is not None  # given when its resources were reserved
            move(uow, item.service, ResourceState.ALLOCATED)
            values = {c.name: c.value for c in item.serviceCharacteristic}
            for step in self.recipes[item.serviceSpecification].work:
                sequence += 1
                work.add(uow, order.id, sequence, item=item.id, service=item.service, element=step.element,
                         command=_filled(step.do.command, step.do.filled(values)),
                         undo=_filled(step.undo.command, step.undo.filled(values)) if step.undo else None)


def _filled(command: str, parameters: Mapping[str, str]) -> str:
    return json.dumps({"command": command, "parameters": parameters})
