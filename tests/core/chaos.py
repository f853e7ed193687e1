"""The whole bench under bad luck: messages overtake each other where they may, come twice, and processes die at any moment.

What the store and the bus promise is kept: order for each address and key, at least once, each message id taken once by a
core, `attempt` above 0 when an element may have heard of a command before. Everything else is left to chance.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from core.billing.objects import BillOnDemand, CustomerBill
from core.billing.tables import billing_account, charge
from core.credit.tables import credit_commitment, credit_profile, credit_query
from core.messages.base import BusinessObject
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Fault, Kind
from core.orders.objects import GetProductOrder, ProductOrder
from core.orders.tables import product
from core.provisioning.objects import ResourceCommand, ResourceCommandResult
from core.provisioning.tables import reservation, resource, service, work_order
from tests.core.whole import Outside, Whole


class Element:
    """A subscriber register with the driver in front of it: asked again, it looks first and never acts twice."""

    def __init__(self) -> None:
        self.subscribers: dict[str, dict[str, str]] = {}
        self.applied: Counter[tuple[str, str]] = Counter()
        self.refuses: set[str] = set()

    def perform(self, body: ResourceCommand, *, asks_first: bool) -> BusinessObject:
        if asks_first and self._has(body):
            return ResourceCommandResult(workOrder=body.workOrder, done=True, text="had been applied")
        if body.command in self.refuses:
            return Fault(code=Kind.STATE, message=f"{body.command} refused")
        given = {p.name: p.value for p in body.parameter}
        imsi = given.pop("imsi")
        known = self.subscribers.get(imsi)
        match body.command:
            case "createSubscriber":
                assert known is None, "created twice"
                self.subscribers[imsi] = {**given, "state": "inactive"}
            case "removeSubscriber":
                self.subscribers.pop(imsi, None)
            case "activateSubscriber" | "deactivateSubscriber" if known is not None:
                known["state"] = body.command.replace("ateSubscriber", "e")
            case _ if known is not None:
                known[body.command] = next(iter(given.values()))
            case _:
                return Fault(code=Kind.STATE, message="no such subscriber")
        self.applied[body.command, imsi] += 1
        return ResourceCommandResult(workOrder=body.workOrder, done=True)

    def _has(self, body: ResourceCommand) -> bool:
        given = {p.name: p.value for p in body.parameter}
        known = self.subscribers.get(given.pop("imsi"))
        match body.command:
            case "removeSubscriber":
                return known is None
            case "createSubscriber":
                return known is not None
            case "activateSubscriber" | "deactivateSubscriber":
                wanted = {"state": body.command.replace("ateSubscriber", "e")}
            case _:
                wanted = {body.command: next(iter(given.values()))}
        return known is not None and wanted.items() <= known.items()


class Chaos(Whole):
    """`trouble` is how likely each step goes wrong, 0 to 1; with `time_flies`, time may pass while messages wait."""

    def __init__(self, seed: int, trouble: float) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.trouble = trouble
        self.time_flies = True
        self.element = Element()
        self.bureaus: Outside = self.world
        self.taken: set[tuple[str, str]] = set()

    def bad(self) -> bool:
        return self.chance.random() < self.trouble

    def step(self) -> bool:
        """Deliver one message, or let time pass when there is none; False when nothing will happen any more."""
        if not self.queue:
            if not self.timers:
                return False
            due = min(t.due for t in self.timers.values())
            self._pass(max(due - self.now, timedelta(0)))
            return True
        if self.time_flies and self.bad() and self.timers:
            self._pass(timedelta(seconds=self.chance.choice([1, 4, 40])))
        heads: dict[tuple[str, str], int] = {}
        for index, (to, envelope) in enumerate(self.queue):
            heads.setdefault((to, envelope.key or envelope.message_id), index)
        index = self.chance.choice(sorted(heads.values()))
        to, envelope = self.queue[index]
        if self._try(to, envelope):
            del self.queue[index]
        else:
            self.queue[index] = (to, replace(envelope, attempt=envelope.attempt + 1))
        return True

    def run_out(self, limit: int = 5000) -> None:
        """Go on until all is quiet."""
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError(f"never quiet; {len(self.queue)} messages, timers {sorted(self.timers)}")

    def _pass(self, by: timedelta) -> None:
        self.now += by
        for timer in sorted((t for t in self.timers.values() if t.due <= self.now), key=lambda t: t.due):
            del self.timers[timer.id]
            self.queue.append((timer.to, timer.envelope))

    def _try(self, to: str, envelope: Envelope[Any]) -> bool:
        """Deliver; False when the sender does not learn that it was taken."""
        core = self.cores.get(to)
        if core is None:
            return self._outside(to, envelope)
        if (to, envelope.message_id) in self.taken:
            return not self.bad()
        if self.bad():  # dies before the commit
            handler = core.handlers[envelope.type]
            queue, timers, answers, sent = list(self.queue), dict(self.timers), dict(self.answers), list(self.sent)
            commit, self.connection.commit = self.connection.commit, lambda: None  # type: ignore[method-assign]
            try:
                self._transaction(core, lambda uow: handler(envelope, uow), envelope)
            except Failure:
                pass
            finally:
                self.connection.commit = commit  # type: ignore[method-assign]
            self.connection.rollback()
            self.queue.clear()
            self.queue.extend(queue)
            self.timers, self.answers, self.sent = timers, answers, sent
            return False
        self.taken.add((to, envelope.message_id))
        super()._deliver(to, envelope)
        return not self.bad()  # dies after the commit

    def _outside(self, to: str, envelope: Envelope[Any]) -> bool:
        body = envelope.body
        if not isinstance(body, ResourceCommand):
            answer = self.bureaus(to, envelope)
        elif self.bad() and self.bad():  # out of reach for longer than the driver's patience
            if self.chance.random() < 0.5:
                self.element.perform(body, asks_first=envelope.attempt > 0 or body.repeated)
            answer = Fault(code=Kind.UNAVAILABLE, message="out of reach")
        else:
            answer = self.element.perform(body, asks_first=envelope.attempt > 0 or body.repeated)
            if self.bad():
                return False  # it acted, and its answer is lost
        if answer is not None and envelope.reply_to:
            reply = replace(self._envelope(answer, causation=envelope), message_id=f"{envelope.message_id}.re")
            self.queue.append((envelope.reply_to, reply))
        return True

    def order(self, order_id: str) -> ProductOrder:
        current = self.ask("orders", GetProductOrder(id=order_id), run=False)
        assert isinstance(current, ProductOrder)
        return current

    def rows(self, table: Any) -> list[Any]:
        return list(self.connection.execute(select(table)).all())

    def check_conservation(self) -> None:
        """What every table says must fit what the others say."""
        held = {r.id for r in self.rows(reservation) if r.state == "held"}
        services = {s.id: s for s in self.rows(service)}
        expected = {"reserved": {"preOccupied", "allocated"}, "active": {"inUse"}, "terminated": set()}
        for r in self.rows(resource):
            if r.state == "unallocated":
                assert r.owner is None
            elif r.owner in held:
                assert r.state == "preOccupied"
            else:
                assert r.state in expected[services[r.owner].state], (r, services[r.owner])
        for p in self.rows(credit_profile):
            assert p.exposure == sum((c.amount for c in self.rows(credit_commitment) if c.party == p.party), Decimal(0))
        for account in self.rows(billing_account):
            bill = self.ask("billing", BillOnDemand(account=account.id), run=False)
            assert isinstance(bill, CustomerBill)
            charged = [c for c in self.rows(charge) if c.account == account.id]
            assert bill.taxExcludedAmount.value == sum((c.net for c in charged if c.bill is None), Decimal(0))
            assert bill.taxIncludedAmount.value == bill.taxExcludedAmount.value + bill.taxAmount.value == bill.amountDue.value

    def check_quiet(self) -> None:
        """When nothing happens any more, the elements have exactly what the inventory says and nothing is half done."""
        active = {s.id for s in self.rows(service) if s.state == "active"}
        assert {s.state for s in self.rows(service)} <= {"active", "terminated"}
        in_use = {r.value for r in self.rows(resource) if r.characteristic == "IMSI" and r.state == "inUse"}
        assert set(self.element.subscribers) == in_use
        assert all(s["state"] == "active" for s in self.element.subscribers.values())
        assert not self.rows(credit_query)
        assert {w.state for w in self.rows(work_order)} <= {"completed", "failed", "cancelled"}
        products = self.rows(product)
        assert sum(p.quantity for p in products if p.status == "active") == len(active)
        assert {p.status for p in products} <= {"active", "terminated"}
        for p in products:
            fees = [c for c in self.rows(charge) if c.product == p.id and c.name == "Activation fee"]
            assert len(fees) == 1
