"""Accepting, starting and reading product orders."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import bindparam, select, update

from core.credit.objects import AuthorizeCredit, CreditDecision, Decision
from core.messages.base import Money, StateChange
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Fault, Kind
from core.orders.catalog import Offering
from core.orders.objects import (
    GetProductOrder,
    ItemAction,
    ProductOrder,
    ProductOrderCreateEvent,
    ProductOrderItem,
    ProductOrderItemRequest,
    ProductOrderState,
    StartProductOrder,
    SubmitProductOrder,
)
from core.orders.order_book import (
    ACTIVE,
    CREDIT_APPROVED,
    PENDING_TERMINATE,
    PRODUCT,
    SERVICE_ORDER_ISSUED,
    OpenOrder,
    document,
    href,
    product_named,
    release_credit,
)
from core.orders.tables import product, product_order
from core.provisioning.objects import ServiceOrderItemRequest, SubmitServiceOrder
from core.unit_of_work import UnitOfWork

_RETRY_CREDIT = timedelta(seconds=30)
_WAITING = frozenset({ProductOrderState.ACKNOWLEDGED, ProductOrderState.PENDING})

_by_id = select(product_order.c.document).where(product_order.c.id == bindparam("order"), product_order.c.party == bindparam("of"))
_by_external_id = select(product_order.c.document).where(
    product_order.c.external_id == bindparam("external"), product_order.c.party == bindparam("of")).order_by(
    product_order.c.id.desc()).limit(1)


class Ordering:
    """Handlers for orders up to the moment the service order is issued."""

    def __init__(self, offerings: Mapping[str, Offering]) -> None:
        self._offerings = offerings

    def submit(self, command: Envelope[SubmitProductOrder], uow: UnitOfWork) -> ProductOrder:
        """Accept an order: store it acknowledged, and start it now or at its requested start."""
        request = command.body
        self._check(command, uow)
        state = ProductOrderState.ACKNOWLEDGED
        order_id = f"PO{uow.new_id()}"
        order = ProductOrder(
            id=order_id, href=href(order_id), state=state, orderDate=uow.now, externalId=request.externalId,
            relatedParty=request.relatedParty, account=request.account, requestedStartDate=request.requestedStartDate,
            requestedCompletionDate=request.requestedCompletionDate, priority=request.priority, note=request.note,
            productOrderItem=tuple(
                ProductOrderItem(id=item.id, action=item.action, quantity=item.quantity, productOffering=item.productOffering,
                                 productCharacteristic=item.productCharacteristic, state=state)
                for item in request.productOrderItem),
            stateChange=(StateChange(state=state, changeDate=uow.now),))
        uow.insert(product_order, id=order_id, party=command.party, external_id=order.externalId, state=state,
                   document=document(order), pending_cancel=None)
        uow.publish(ProductOrderCreateEvent(productOrder=order), key=order_id)
        start = StartProductOrder(productOrder=order_id)
        if request.requestedStartDate is not None and request.requestedStartDate > uow.now:
            uow.at(request.requestedStartDate, f"start {order_id}", "orders", start, key=order_id)
        else:
            uow.send("orders", start, key=order_id)
        return order

    def start(self, command: Envelope[StartProductOrder], uow: UnitOfWork) -> None:
        """Have the order's credit checked; it waits where it is until it has credit. A removal needs none and goes on."""
        opened = OpenOrder.find(uow, command.body.productOrder)
        if opened is None or opened.state not in _WAITING:
            return
        order = opened.order
        if order.productOrderItem[0].action is ItemAction.DELETE:
            self._issue(opened)
            opened.save()
            return
        uow.send("credit", AuthorizeCredit(relatedParty=order.relatedParty, amount=self._exposure(order), purpose=order.id),
                 key=order.id, reply_to="orders")

    def credit_decided(self, command: Envelope[CreditDecision], uow: UnitOfWork) -> None:
        """Go on, stop, or wait for a person, as the decision says."""
        opened = OpenOrder.find(uow, command.key)
        decision = command.body
        approved = decision.decision in {Decision.APPROVE, Decision.APPROVE_WITH_TERMS}
        if opened is None:
            return
        if opened.state not in _WAITING:
            if approved and opened.is_final and opened.state is not ProductOrderState.COMPLETED:
                release_credit(uow, opened.order.relatedParty.id, opened.id)  # cancelled while credit was being decided
            return
        match decision.decision:
            case Decision.REFUSE:
                opened.move(ProductOrderState.REJECTED, f"credit refused{_why(decision)}")
            case Decision.REFER:
                opened.move(ProductOrderState.PENDING, f"credit referred to a person{_why(decision)}")
                if decision.degraded:
                    self._ask_again(opened)
            case Decision.APPROVE | Decision.APPROVE_WITH_TERMS:
                opened.reach(CREDIT_APPROVED, "; ".join(decision.terms) or None)
                self._issue(opened, "credit approved")
        opened.save()

    def credit_failed(self, command: Envelope[Fault], opened: OpenOrder) -> None:
        """Credit could not be asked: say so on the order, and ask again in a while."""
        opened.move(ProductOrderState.PENDING, f"credit could not be checked: {command.body.message}")
        self._ask_again(opened)

    def _issue(self, opened: OpenOrder, reason: str | None = None) -> None:
        opened.move(ProductOrderState.IN_PROGRESS, reason)
        opened.reach(SERVICE_ORDER_ISSUED)
        opened.uow.send("provisioning", self._service_order(opened.order, opened.uow), key=opened.id, reply_to="orders")

    @staticmethod
    def _ask_again(opened: OpenOrder) -> None:
        """What the world outside could not decide now is tried again by itself."""
        opened.uow.at(opened.uow.now + _RETRY_CREDIT, f"start {opened.id}", "orders", StartProductOrder(productOrder=opened.id),
                      key=opened.id)

    @staticmethod
    def get(command: Envelope[GetProductOrder], uow: UnitOfWork) -> ProductOrder:
        """Read an order. A party sees its own orders only; to it, another's does not exist."""
        asked = command.body
        if (asked.id is None) == (asked.externalId is None):
            raise Failure(Kind.INVALID, "give either id or externalId", "id")
        if asked.id is not None:
            row = uow.first(_by_id, {"order": asked.id, "of": command.party})
        else:
            row = uow.first(_by_external_id, {"external": asked.externalId, "of": command.party})
        if row is None:
            raise Failure(Kind.NOT_FOUND, f"no product order {asked.id or asked.externalId}", "id" if asked.id else "externalId")
        return ProductOrder.model_validate_json(row.document)

    def _check(self, command: Envelope[SubmitProductOrder], uow: UnitOfWork) -> None:
        items = command.body.productOrderItem
        for index, item in enumerate(items):
            at = f"productOrderItem[{index}]"
            if item.productOffering not in self._offerings:
                near = difflib.get_close_matches(item.productOffering, self._offerings, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise Failure(Kind.INVALID, f"no offering {item.productOffering}; there are {', '.join(self._offerings)}{meant}",
                              f"{at}.productOffering")
            if item.action is ItemAction.MODIFY:
                raise Failure(Kind.INVALID, "a product cannot be modified; allowed are add and delete", f"{at}.action")
            if item.action is not items[0].action:
                raise Failure(Kind.INVALID, "all items of one order must have the same action", f"{at}.action")
            if item.action is ItemAction.DELETE:
                self._check_removal(command.body.relatedParty.id, item, at, uow)
        if len({item.id for item in items}) < len(items):
            raise Failure(Kind.INVALID, "two items have the same id", "productOrderItem")

    @staticmethod
    def _check_removal(customer: str, item: ProductOrderItemRequest, at: str, uow: UnitOfWork) -> None:
        """Take hold of the product: no second order may remove it meanwhile."""
        wanted = product_named(item.productCharacteristic)
        row = uow.execute(select(product).where(product.c.id == wanted).with_for_update()).first() if wanted else None
        if row is None or row.customer != customer or row.product_offering != item.productOffering:
            raise Failure(Kind.INVALID, f"to delete, name one of the customer's products of this offering in the characteristic "
                                        f"{PRODUCT}; {wanted or 'none'} is not one", f"{at}.productCharacteristic")
        if row.status != ACTIVE:
            raise Failure(Kind.STATE, f"product {wanted} is {row.status}", f"{at}.productCharacteristic")
        uow.execute(update(product).where(product.c.id == wanted).values(status=PENDING_TERMINATE))

    def _exposure(self, order: ProductOrder) -> Money:
        amounts = [(self._offerings[item.productOffering].exposure, item.quantity) for item in order.productOrderItem]
        return Money(unit=amounts[0][0].unit, value=sum((money.value * n for money, n in amounts), Decimal(0)))

    def _service_order(self, order: ProductOrder, uow: UnitOfWork) -> SubmitServiceOrder:
        """Every service is an item of its own: the second order item of quantity 3 becomes three, `2`, `2.2` and `2.3`."""
        items: list[ServiceOrderItemRequest] = []
        for index, item in enumerate(order.productOrderItem, 1):
            specification = self._offerings[item.productOffering].serviceSpecification
            services = self._services(item, uow) if item.action is ItemAction.DELETE else [None] * item.quantity
            items += (ServiceOrderItemRequest(
                id=f"{index}" if n == 1 else f"{index}.{n}", action=item.action, serviceSpecification=specification,
                service=service, serviceCharacteristic=() if service else item.productCharacteristic)
                for n, service in enumerate(services, 1))
        return SubmitServiceOrder(externalId=order.id, productOrder=order.id, relatedParty=order.relatedParty,
                                  serviceOrderItem=tuple(items), requestedCompletionDate=order.requestedCompletionDate)

    @staticmethod
    def _services(item: ProductOrderItem, uow: UnitOfWork) -> list[str | None]:
        named = product_named(item.productCharacteristic)
        return list(json.loads(uow.execute(select(product.c.services).where(product.c.id == named)).scalar_one()))


def _why(decision: CreditDecision) -> str:
    return f": {decision.reason}" if decision.reason else ""
