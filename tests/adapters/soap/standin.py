"""A gateway small enough to see through: it logs parties in as the real one does, and answers from what it was asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from adapters.soap.listener import SoapListener
from adapters.soap.settings import SoapListenerSettings
from core.billing.invoice_objects import GetBill
from core.billing.objects import CustomerBill
from core.ids import new_id
from core.messages.base import BusinessObject
from core.messages.catalogue import OPERATIONS, Catalogue
from core.orders.objects import GetProductOrder, ProductOrder, ProductOrderState, SubmitProductOrder
from gateway.sessions import Sessions
from plugins.api import Context, Failure, Kind, Session, Surroundings

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


DOCUMENTS = (b"<!DOCTYPE html><title>F\xc3\xbcr Ann</title>\r\n--uip\r\n", bytes(range(256)))


def bill(number: str) -> CustomerBill:
    """A bill with two documents, one of them not text."""
    none = {"unit": "EUR", "value": "0.00"}
    return CustomerBill.model_validate({
        "id": "B1", "billNo": number, "account": "ACC-1", "relatedParty": {"id": "C1", "name": "Ann Lee"}, "state": "sent",
        "billDate": NOW, "periodStart": NOW, "periodEnd": NOW, "taxExcludedAmount": none, "taxAmount": none,
        "taxIncludedAmount": none, "amountDue": none, "billDocument": [
            {"id": f"D{n}", "name": f"bill-{n}", "mimeType": "text/html", "template": "t-1", "size": len(data),
             "sha256": sha256(data).hexdigest(), "content": data} for n, data in enumerate(DOCUMENTS, 1)]})


class StandIn:
    """Orders live in a dict; the same key gets the same order. `calls` records what was dispatched."""

    def __init__(self, clock: Any) -> None:
        self.catalogue = Catalogue(o.name for o in OPERATIONS)
        self.sessions = Sessions(clock, {"crm": "crm-secret", "ünï": "gehéim"}, new_id=new_id, max_sessions=100, login_timeout=30,
                                 idle_timeout=900, max_login_tries=5)
        self.open_session = self.sessions.open
        self.close_session = self.sessions.close
        self.log_in = self.sessions.log_in
        self.calls: list[tuple[Session, BusinessObject, Context]] = []
        self.orders: dict[str, ProductOrder] = {}
        self.by_key: dict[str, tuple[BusinessObject, BusinessObject]] = {}
        self.refusals: list[tuple[str, str]] = []
        self.before: Callable[[BusinessObject], Awaitable[None]] | None = None

    async def dispatch(self, session: Session, request: BusinessObject, context: Context) -> BusinessObject:
        if session.party is None:
            raise Failure(Kind.AUTHENTICATION, "log in first")
        self.calls.append((session, request, context))
        if self.before is not None:
            await self.before(request)
        if self.catalogue.operations[type(request).__name__].query:  # changes nothing: its key is of no meaning
            return self._carry_out(request)
        if context.idempotency_key in self.by_key:
            before, reply = self.by_key[context.idempotency_key]
            if before != request:
                raise Failure(Kind.CONFLICT, "the key was used for another request")
            return reply
        reply = self._carry_out(request)
        if context.idempotency_key is not None:
            self.by_key[context.idempotency_key] = request, reply
        return reply

    def refused(self, failure: Failure, protocol: str, session: Session | None = None, context: Context | None = None) -> None:
        self.refusals.append((protocol, failure.kind.value))
        failure.correlation_id = failure.correlation_id or (context and context.correlation_id) or new_id()

    def _carry_out(self, request: BusinessObject) -> BusinessObject:
        if isinstance(request, SubmitProductOrder):
            order = ProductOrder(
                id=f"PO{len(self.orders) + 1}", href=f"/productOrder/PO{len(self.orders) + 1}", externalId=request.externalId,
                state=ProductOrderState.ACKNOWLEDGED, orderDate=NOW, relatedParty=request.relatedParty,
                productOrderItem=tuple({**i.model_dump(), "state": "acknowledged"} for i in request.productOrderItem),
                requestedStartDate=request.requestedStartDate, note=request.note)
            self.orders[order.id] = order
            return order
        if isinstance(request, GetProductOrder):
            found = [o for o in self.orders.values() if request.id == o.id or request.externalId == o.externalId]
            if not found:
                raise Failure(Kind.NOT_FOUND, "no such order", "id")
            return found[-1]
        if isinstance(request, GetBill):
            return bill(request.billNo)
        raise ZeroDivisionError("a mistake inside, with a secret in it: swordfish")


class Log:
    """Keeps log lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _line(self, event: str, **more: Any) -> None:
        self.lines.append((event, more))

    debug = info = warning = error = _line


def listener(reactor: Any, gateway: StandIn, site: Path = Path(), now: Callable[[], datetime] = lambda: NOW,
             protocols: Mapping[str, Any] = MappingProxyType({}), **settings: Any) -> tuple[SoapListener, Log]:
    log = Log()
    around = Surroundings(reactor=reactor, site=site, catalogue=gateway.catalogue, dialects={}, protocols=protocols, log=log)
    return SoapListener("soap", SoapListenerSettings(**{"port": 0, **settings}), gateway, around, now), log
