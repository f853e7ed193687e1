from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import pytest_twisted
from sqlalchemy import event, update
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from adapters.store import open_store
from adapters.store.nodes import Lease
from adapters.store.relay import Retrying
from adapters.store.tables import node
from core.bus import InProcessBus
from core.ids import new_id
from core.messages.envelope import answer_id
from tests.adapters.store import small

ADMIN = "host=127.0.0.1 user=postgres dbname=postgres connect_timeout=2"


def postgresql_database():
    try:
        admin = psycopg.connect(ADMIN, autocommit=True)
    except psycopg.OperationalError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("PostgreSQL at 127.0.0.1:5432 does not answer")
    name = "uip_test_" + new_id()
    with admin:
        admin.execute(f"CREATE DATABASE {name}")
    return name


@contextmanager
def own_postgresql():
    name = postgresql_database()
    try:
        yield f"postgresql://postgres@127.0.0.1/{name}"
    finally:
        with psycopg.connect(ADMIN, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgresql():
    with own_postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/data/uip.db"
        return
    with own_postgresql() as url:
        yield url


QUICK = Retrying(first=0.002, longest=0.01, attempts=3)
UNSEEN = Lease(seconds=3600, renewed=3600)
"""A node looks after itself and the others when the test says so."""


class Site:
    """One store after the other on the same database, with a bus, an oracle behind a connector, and a wall clock to set."""

    def __init__(self, url, reactor=reactor):
        self.url = url
        self.reactor = reactor
        self.now = datetime(2026, 3, 15, 12, tzinfo=UTC)
        self.started = reactor.seconds()
        self.asked = []
        self.heard = []
        self.waiters = []
        self.commits = 0
        self.oracle = None
        self.store = None

    def utcnow(self):
        return self.now + timedelta(seconds=self.reactor.seconds() - self.started)

    async def start(self, core=small.SMALL, *, retrying=QUICK, resume=True):
        self.store = open_store(self.url, reactor=self.reactor, cores=[core], model_of=small.MODELS.__getitem__,
                                utcnow=self.utcnow, queries=frozenset({"Look"}), retrying=retrying, lease=UNSEEN)
        small.metadata.create_all(self.store.engine)
        event.listen(self.store.engine, "commit", self._committed)
        self.bus = InProcessBus(Deferred)
        self.bus.receive("connector.oracle", self._ask)
        self.bus.receive("listener", self._hear, frozenset({"Happened"}))
        await self.store.start(self.bus)
        await self.bus.start()
        if resume:
            await self.store.resume()

    async def stop(self, *, drain=True):
        if drain:
            await self.store.drain()
        await self.store.stop()
        await self.bus.stop()
        self.store = None

    def message(self, body, **more):
        return small.message(body, self.utcnow(), **more)

    async def call(self, body, **more):
        return await self.bus.call("small", self.message(body, **more))

    def until(self, condition):
        """Fire when the oracle's or the listener's traffic has made the condition true."""
        done = Deferred()
        self.waiters.append((condition, done))
        self._look()
        return done

    async def table(self, query):
        return await self.store.run(lambda c: c.execute(query).all())

    def _committed(self, _connection):
        self.commits += 1

    async def _ask(self, envelope):
        self.asked.append(envelope)
        try:
            answer = self.oracle(envelope) if self.oracle else None
            if answer is not None and envelope.reply_to:
                await self.bus.send(envelope.reply_to, self.message(answer, name=answer_id(envelope.message_id),
                                                                    causation=envelope.message_id))
        finally:
            self._look()

    async def _hear(self, envelope):
        self.heard.append(envelope)
        self._look()

    def _look(self):
        for waiter in list(self.waiters):
            if waiter[0]():
                self.waiters.remove(waiter)
                waiter[1].callback(None)


@pytest.fixture
def site(url):
    site = Site(url)
    yield site
    if site.store is not None:
        pytest_twisted.blockon(Deferred.fromCoroutine(site.stop(drain=False)))


@pytest.fixture
def two(postgresql):
    sites = Site(postgresql), Site(postgresql)
    yield sites
    for site in sites:
        if site.store is not None:
            pytest_twisted.blockon(Deferred.fromCoroutine(site.stop(drain=False)))


async def started(two):
    for site in two:
        await site.start()
    for site in two:
        await site.store.node.look()
    return two


async def thought_dead(site, other):
    """The lease of a node ends although it runs on, as when its process was stopped for a while."""
    await other.store.run(lambda c: c.execute(update(node).where(node.c.id == site.store.node.id).values(lease=1)))
