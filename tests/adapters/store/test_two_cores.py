"""The real cores in two processes on one database: numbers, credit, charges and bills come out as they would in one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import pytest_twisted
from sqlalchemy import func, select
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from adapters.store import open_store
from core.billing.invoice_objects import RunBilling
from core.billing.tables import bill, charge, product_charge
from core.bus import InProcessBus
from core.credit.tables import credit_commitment, credit_profile
from core.ids import new_id
from core.messages.catalogue import OPERATIONS, Catalogue
from core.messages.envelope import Envelope
from core.orders.objects import SubmitProductOrder
from core.orders.tables import product_order
from core.provisioning.tables import resource
from gateway.outbound import receiver_for
from tests.adapters.store.conftest import QUICK, UNSEEN
from tests.core.whole import Outside, cores

sync = pytest_twisted.ensureDeferred
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
ELEMENTS = ("hlr", "credit-bureau-soap", "credit-bureau-mml")
ORDERS = 12


class Process:
    """All four cores with a bus inside, and an outside world that says yes."""

    def __init__(self, url):
        self.outside = Outside()
        self.bus = InProcessBus(Deferred)
        self.completed = set()
        self.told = lambda: None
        self.store = open_store(url, reactor=reactor, cores=cores(), model_of=Catalogue(o.name for o in OPERATIONS).model,
                                utcnow=lambda: NOW, retrying=QUICK, lease=UNSEEN)

    async def start(self):
        for name in ELEMENTS:
            self.bus.receive(f"connector.{name}", receiver_for(self._perform, self.bus, lambda: NOW))
        self.bus.receive("listener", self._hear, frozenset({"ProductOrderStateChangeEvent"}))
        await self.store.start(self.bus)
        await self.bus.start()
        await self.store.resume()

    async def stop(self):
        await self.store.drain()
        await self.store.stop()
        await self.bus.stop()

    async def ask(self, core, body, key=None):
        own = new_id()
        return await self.bus.call(core, Envelope(body=body, message_id=own, correlation_id=own, occurred_at=NOW, party="crm",
                                                  idempotency_key=key))

    async def _perform(self, envelope):
        return self.outside("somewhere", envelope)

    async def _hear(self, envelope):
        order = envelope.body.productOrder
        if order.state == "completed":
            self.completed.add(order.id)
            self.told()


@pytest.fixture
def two(postgresql):
    processes = [Process(postgresql) for _ in range(2)]
    for process in processes:
        pytest_twisted.blockon(Deferred.fromCoroutine(process.start()))
    for process in processes:
        pytest_twisted.blockon(Deferred.fromCoroutine(process.store.node.look()))  # the first has not seen the second yet
    yield processes
    for process in processes:
        pytest_twisted.blockon(Deferred.fromCoroutine(process.stop()))


def both(two, asked):
    """Ask both processes in turn, all at once."""
    return gatherResults([Deferred.fromCoroutine(asked(two[number % 2], number)) for number in range(ORDERS)])


def all_completed(two):
    done = Deferred()

    def look():
        if len(two[0].completed | two[1].completed) == ORDERS and not done.called:
            done.callback(None)

    for process in two:
        process.told = look
    return done


async def read(process, query):
    return await process.store.run(lambda c: c.execute(query).all())


@sync
async def test_orders_of_one_customer_in_two_processes_at_once(two):
    one = two[0]
    completed = all_completed(two)
    order = {"relatedParty": {"id": "C1", "name": "Ann Lee"}, "productOrderItem": [{"productOffering": "mobile-basic"}]}
    await both(two, lambda process, number: process.ask(
        "orders", SubmitProductOrder.model_validate({**order, "externalId": f"E{number}"}), key=f"K{number}"))
    await completed
    assert await read(one, select(func.count()).select_from(product_order)) == [(ORDERS,)]
    taken = await read(one, select(resource.c.characteristic, func.count(), func.count(resource.c.owner.distinct()))
                       .group_by(resource.c.characteristic).order_by(resource.c.characteristic))
    assert taken == [("IMSI", ORDERS, ORDERS), ("MSISDN", ORDERS, ORDERS)]
    [(exposure,)] = await read(one, select(credit_profile.c.exposure))
    commitments = await read(one, select(credit_commitment.c.amount))
    assert len(commitments) == ORDERS
    assert exposure == sum(row.amount for row in commitments)
    assert await read(one, select(func.count()).select_from(product_charge)) == [(ORDERS,)]
    charges = await read(one, select(charge.c.product, charge.c.name, func.count()).group_by(charge.c.product, charge.c.name))
    assert {row[2] for row in charges} == {1}
    commands = [command.workOrder for process in two for command in process.outside.commands]
    assert len(commands) == len(set(commands)) == 4 * ORDERS


@sync
async def test_bill_runs_in_two_processes_number_without_gap_and_bill_no_account_twice(two):
    one = two[0]
    completed = all_completed(two)
    await both(two, lambda process, number: process.ask("orders", SubmitProductOrder.model_validate(
        {"externalId": f"E{number}", "relatedParty": {"id": f"C{number}", "name": "Ann Lee"},
         "productOrderItem": [{"productOffering": "mobile-basic"}]})))
    await completed
    runs = gatherResults([Deferred.fromCoroutine(p.ask("billing", RunBilling(cycleDate=NOW.date()))) for p in two])
    for _ in range(ORDERS):  # what one process leaves for the other to answer or to send is looked for, not waited for
        for process in two:
            await process.store.node.look()
    made = await runs
    bills = await read(one, select(bill.c.number, bill.c.account).order_by(bill.c.number))
    assert [int(row.number.rpartition("-")[2]) for row in bills] == list(range(1, ORDERS + 1))
    assert len({row.account for row in bills}) == ORDERS
    assert sorted(number for run in made for number in run.billNo) == [row.number for row in bills]


@sync
async def test_one_key_at_both_processes_at_once_is_one_order(two):
    order = SubmitProductOrder.model_validate({
        "externalId": "E1", "relatedParty": {"id": "C1", "name": "Ann Lee"}, "requestedStartDate": NOW + timedelta(days=1),
        "productOrderItem": [{"productOffering": "mobile-basic"}]})
    replies = await both(two, lambda process, _: process.ask("orders", order, key="same"))
    assert len({reply.id for reply in replies}) == 1
    assert await read(two[0], select(func.count()).select_from(product_order)) == [(1,)]
