"""A gateway whose sessions, admission and dispatch are the real ones and whose cores answer what a test says."""

from __future__ import annotations

import itertools
import secrets
from datetime import UTC, datetime
from pathlib import Path

import structlog
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from adapters.amqp import adapter
from core.bus import InProcessBus
from core.ids import new_id
from core.messages.catalogue import OPERATIONS, Catalogue
from core.orders.objects import ProductOrder, ProductOrderState
from gateway.admission import Admission
from gateway.dispatcher import Dispatcher
from gateway.observability import Observer
from gateway.sessions import Sessions
from plugins.api import Surroundings

PARTIES = {"crm": frozenset("*"), "guest": frozenset({"GetProductOrder"})}


def order(number=1, external="x"):
    return ProductOrder(id=f"PO{number}", href=f"/productOrder/PO{number}", externalId=external,
                        state=ProductOrderState.ACKNOWLEDGED, orderDate=datetime(2026, 3, 15, tzinfo=UTC),
                        relatedParty={"id": "C1", "name": "Ann"}, productOrderItem=())


class Gate:
    """`answer` is called with each envelope that reaches a core; what it returns or raises is the core's answer."""

    catalogue = Catalogue(o.name for o in OPERATIONS)

    def __init__(self, url, site: Path):
        self.url = url
        self.site = site
        self.taken = []
        self.protocols = {}
        self.listeners = []
        self.sessions = Sessions(reactor, {"crm": "crm-secret", "guest": "guest-secret"}, new_id=new_id, max_sessions=10,
                                 login_timeout=30, idle_timeout=900, max_login_tries=3)
        self.admission = Admission(reactor, max_in_flight=100, rates={})
        self.bus = InProcessBus(Deferred)
        for core in {o.core for o in OPERATIONS}:
            self.bus.receive(core, self._take)
        self.log = structlog.get_logger()
        observer = Observer(self.log, reactor)
        self.figures = observer.registry
        self.dispatcher = Dispatcher(
            reactor=reactor, bus=self.bus, at_hand={}, catalogue=self.catalogue, admission=self.admission,
            observer=observer, allowed=PARTIES, default_deadline=5,
            utcnow=lambda: datetime.now(UTC), new_id=new_id)
        self.open_session = self.sessions.open
        self.close_session = self.sessions.close
        self.log_in = self.sessions.log_in
        self.dispatch = self.dispatcher.dispatch
        self.refused = self.dispatcher.refused
        self._numbers = itertools.count(1)
        self.answer = lambda envelope: order(next(self._numbers))

    def refused_as(self, outcome):
        """How many requests were refused so before it was known what they asked for."""
        return self.figures.get_sample_value("uip_requests_total", {"protocol": "amqp", "operation": "", "outcome": outcome})

    async def _take(self, envelope):
        self.taken.append(envelope)
        answer = self.answer(envelope)
        return await answer if isinstance(answer, Deferred) else answer

    async def listen(self, start=True, **settings):
        """A listener with names of its own in the tests' virtual host; returns it and the prefix of its names."""
        await self.bus.start()
        prefix = secrets.token_hex(4)
        names = {"requests": f"{prefix}.requests", "events": f"{prefix}.events", "dead": f"{prefix}.dead"}
        model = adapter.listener_settings.model_validate({"url": self.url, "party": "crm", "start_timeout": 20, **names, **settings})
        around = Surroundings(reactor=reactor, site=self.site, catalogue=self.catalogue, dialects={}, protocols=self.protocols,
                              log=self.log)
        listener = adapter.listener("amqp", model, self, around)
        self.listeners.append(listener)
        if start:
            await listener.start()
        return listener, prefix

    async def close(self):
        for listener in self.listeners:
            await listener.stop()


def pause(seconds):
    done = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done


async def until(condition, seconds=10):
    """Look again and again until the condition holds."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await pause(0.01)
    raise AssertionError("it did not come true")
