from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest
import pytest_twisted
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from adapters.store.engine import open_engine
from adapters.store.retention import _LOCK, Sweeper
from adapters.store.tables import inbox, outbox
from config.settings import Retention
from core.messages.failures import Failure, Kind
from tests.adapters.store.small import Answer, Ask, Put, Wake

sync = pytest_twisted.ensureDeferred
QUICK = Retention(journal=100, messages=10, dead=50, rows=3, pause=0.001)
DAY = timedelta(days=1)


class Log:
    def __init__(self):
        self.said = []

    def info(self, event, **more):
        orjson.dumps(more)  # as the real one does: keys must be plain strings
        self.said.append((event, more))

    error = info


def sweeper(site, policy=QUICK, **more):
    counts = []
    made = Sweeper(**{"reactor": site.reactor, "run": site.store.run, "utcnow": site.utcnow, "policy": policy,
                      "requests": {"Put", "Ask", "Wake"}, "log": Log(), "counted": lambda kind, rows: counts.append((kind, rows)), **more})
    made.counts = counts
    return made


async def swept(site, policy=QUICK):
    """Sweep; return how many of each kind went."""
    work = sweeper(site, policy)
    await work.sweep()
    return {kind: n for kind, n in work._log.said[-1][1].items() if kind != "seconds"}


async def types(site):
    return sorted(row.type for row in await site.table(select(inbox.c.type)))


async def ringing(site, *names):
    """Let timers ring, each of which is a message from the store to the core."""
    for name in names:
        await site.call(Wake(id=name, due=site.utcnow()))
    await site.until_true(select(func.count()).where(inbox.c.type == "Ring"), len(names))


@pytest.fixture
def patient(site):
    """A site that can wait for what a query says, looking again when the store has committed."""

    async def until_true(query, wanted):
        while True:
            [(value,)] = await site.table(query)
            if value == wanted:
                return

    site.until_true = until_true
    return site


@sync
async def test_each_kind_goes_at_its_age(patient):
    site = patient
    await site.start()
    await ringing(site, *"abcd")
    site.now += 9 * DAY
    assert await swept(site) == {"journal": 0, "messages": 0, "dead": 0}
    site.now += 2 * DAY
    await site.call(Put(id="1", name="1"))
    assert await swept(site) == {"journal": 0, "messages": 4, "dead": 0}
    assert await types(site) == ["Put", *["Wake"] * 4]
    site.now += 90 * DAY
    assert await swept(site) == {"journal": 4, "messages": 0, "dead": 0}
    assert await types(site) == ["Put"]


@sync
async def test_never_is_never(patient):
    site = patient
    await site.start()
    await ringing(site, "a")
    site.now += 30_000 * DAY
    assert await swept(site, Retention(journal="never", messages="never", dead="never")) == {"journal": 0, "messages": 0, "dead": 0}
    assert await swept(site, Retention(journal="never")) == {"journal": 0, "messages": 1, "dead": 0}


@sync
async def test_a_key_is_known_as_long_as_its_row(site):
    await site.start()
    first = await site.call(Put(id="1", name="1"), key="k")
    site.now += 99 * DAY
    await swept(site)
    assert await site.call(Put(id="1", name="1"), key="k") == first
    site.now += 2 * DAY
    await swept(site)
    await site.call(Put(id="2", name="2"), key="k")  # another request by now


@sync
async def test_what_waits_for_its_answer_stays(site):
    await site.start()
    asked = site.call(Ask(question="?"), name="q")
    asking = Deferred.fromCoroutine(asked)
    await site.until(lambda: site.asked)
    while await site.table(select(outbox.c.id)):  # then nothing but its waiting keeps it
        pass
    site.now += 200 * DAY
    assert (await swept(site))["journal"] == 0
    await site.bus.send("small", site.message(Answer(text="late"), causation=site.asked[0].message_id))
    assert (await asking).text == "late"
    assert (await swept(site))["journal"] == 1


@pytest.mark.parametrize("address", ["small", "connector.oracle"])
@sync
async def test_what_could_be_delivered_once_more_is_remembered(site, address):
    """As old as the row is, a second delivery must find it: while it waits, and while it is dead and can be revived."""
    await site.start(resume=False)
    await site.call(Put(id="1", name="1"))
    row = {"id": "0" * 32, "address": address, "key": "", "type": "Put", "envelope": "{}", "created": 0, "attempts": 1,
           "not_before": 0, "last_error": None}
    await site.store.run(lambda c: c.execute(outbox.delete()))
    await site.store.run(lambda c: c.execute(outbox.insert().values(state="pending", **row)))
    site.now += 200 * DAY
    forever = QUICK.model_copy(update={"dead": None})
    assert (await swept(site, forever))["journal"] == 0
    await site.store.run(lambda c: c.execute(outbox.update().values(state="dead")))
    assert (await swept(site, forever))["journal"] == (0 if address == "small" else 1)
    await site.store.run(lambda c: c.execute(outbox.delete()))
    assert (await swept(site, forever))["journal"] == (1 if address == "small" else 0)


@sync
async def test_the_dead_go_and_the_waiting_stay(site):
    def refuse(_):
        raise Failure(Kind.INVALID, "no")

    site.oracle = refuse
    await site.start()
    Deferred.fromCoroutine(site.call(Ask(question="?"))).addErrback(lambda _: None)
    await site.until(lambda: site.asked)
    while not await site.store.dead():
        pass
    site.now += 49 * DAY
    assert (await swept(site))["dead"] == 0
    site.now += 2 * DAY
    assert (await swept(site))["dead"] == 1
    assert await site.store.dead() == []


@sync
async def test_it_takes_few_rows_at_a_time(site):
    await site.start()
    for n in range(8):
        await site.call(Put(id=str(n), name=str(n)))
    await site.until(lambda: len(site.heard) == 8)
    site.now += 101 * DAY
    work = sweeper(site)
    await work.sweep()
    assert [n for kind, n in work.counts if kind == "journal"] == [3, 3, 2]
    [(said, figures)] = work._log.said
    assert said == "retention: swept"
    assert figures["journal"] == 8


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # a SQLite file has one process
@sync
async def test_another_node_that_is_at_it_is_left_alone(site):
    await site.start()
    await site.call(Put(id="1", name="1"))
    await site.until(lambda: site.heard)
    site.now += 101 * DAY
    other = open_engine(site.url)
    with other.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        assert (await swept(site))["journal"] == 0
    other.dispose()
    assert (await swept(site))["journal"] == 1


def clocked(clock, run, log, **policy):
    return Sweeper(reactor=clock, run=run, utcnow=lambda: datetime(2026, 1, 1, tzinfo=UTC), policy=Retention(**policy), requests=(),
                   log=log, counted=None)


def test_when_it_sweeps_and_how_it_ends():
    clock, ran = Clock(), []

    def run(batch):
        ran.append(clock.seconds())
        return succeed(None)

    work = clocked(clock, run, Log(), every=2)
    work.start()
    clock.advance(59)
    assert ran == []
    clock.advance(1)
    assert set(ran) == {60.0}
    ran.clear()
    clock.advance(7199)
    assert ran == []
    clock.advance(1)
    assert set(ran) == {7260.0}
    done = []
    Deferred.fromCoroutine(work.stop()).addCallback(done.append)
    assert done == [None]
    ran.clear()
    clock.advance(99_999)
    assert ran == []
    assert clock.getDelayedCalls() == []


def test_a_database_that_fails_is_asked_again_at_the_next_time():
    clock, log = Clock(), Log()
    answers = [fail(OperationalError("secret statement", {}, Exception())), succeed(None), succeed(None)]

    work = clocked(clock, lambda _: answers.pop(0), log, every=1)
    work.start()
    clock.advance(60)
    clock.advance(3600)
    assert [said for said, _ in log.said] == ["retention: the sweep ended early", "retention: swept"]
    assert "secret" not in str(log.said)
