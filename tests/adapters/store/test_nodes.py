"""Several stores on one database: each relays its own, the others take over from the dead, and nothing is done twice."""

from __future__ import annotations

import pytest
import pytest_twisted
from sqlalchemy import func, insert, select
from twisted.internet.defer import Deferred, DeferredList

from adapters.store.lockfile import InUse
from adapters.store.tables import inbox, node, outbox, timer
from core.bus import TryAgain
from core.messages.failures import Failure, Kind
from tests.adapters.store import small
from tests.adapters.store.conftest import Site, started, thought_dead
from tests.adapters.store.small import HOUR, Answer, Ask, Put, Things, Wake, thing

sync = pytest_twisted.ensureDeferred
count = select(func.count())


def begun(awaitable):
    """Begin, and let an answer that never comes be nobody's error."""
    begun = Deferred.fromCoroutine(awaitable)
    begun.addErrback(lambda _: None)
    return begun


async def nodes_of_outbox(site):
    for _ in range(2):  # the first look may come before what has just begun
        rows = await site.table(select(outbox.c.node).order_by(outbox.c.id))
    return [row.node for row in rows]


@sync
async def test_a_sqlite_file_has_one_store(tmp_path):
    one, other = (Site(f"sqlite:///{tmp_path}/not/there/yet/uip.db") for _ in range(2))
    await one.start()
    with pytest.raises(InUse, match=r".*/uip\.db is in use by another process \(pid \d+\).*PostgreSQL"):
        await other.start()
    await other.stop(drain=False)
    await one.stop()
    await other.start()
    await other.stop()


@sync
async def test_each_relays_its_own(two):
    one, other = await started(two)
    one.oracle = lambda envelope: Deferred()  # takes its time
    asking = begun(one.call(Ask(question="why")))
    await one.until(lambda: one.asked)
    await other.store.node.look()
    await other.call(Put(id="1", name="1"))
    await other.until(lambda: other.heard)
    assert (len(one.asked), other.asked, one.heard) == (1, [], [])
    assert not asking.called


@sync
async def test_what_a_dead_node_leaves_is_taken_over_once_with_its_attempts(two):
    one, other = await started(two)
    one.oracle = lambda envelope: (_ for _ in ()).throw(TryAgain("not now", delay=3600))
    for number in range(3):
        begun(one.call(Ask(question=f"{number}"), key=f"k{number}"))
    await one.until(lambda: len(one.asked) >= 1)
    other.oracle = lambda envelope: Answer(text="because")
    await thought_dead(one, other)
    await other.store.node.look()
    await other.until(lambda: len(other.asked) == 3)
    assert all(e.attempt > 0 for e in other.asked)
    assert [(await other.call(Ask(question=f"{n}"), key=f"k{n}")).text for n in range(3)] == ["because"] * 3
    assert len(other.asked) == 3


@sync
async def test_a_node_taken_for_dead_stops_and_comes_back_as_a_new_one(two):
    one, other = await started(two)
    slow = Deferred()
    asked = []

    async def ask(envelope):
        asked.append(envelope)
        await slow

    one.bus._receivers["connector.oracle"] = ask
    begun(one.call(Ask(question="why"), key="k"))
    begun(one.call(Ask(question="when"), key="l"))  # waits behind the first: one lane
    await one.table(count.select_from(outbox))
    other.oracle = lambda envelope: Answer(text="because")
    old = one.store.node.id
    await thought_dead(one, other)
    await other.store.node.look()
    await other.until(lambda: len(other.asked) == 2)
    await one.store.node.look()
    assert one.store.node.id != old
    slow.callback(None)  # what was under way ends, and nothing follows from it
    await one.table(count.select_from(outbox))
    assert len(asked) == 1
    assert await one.call(Put(id="1", name="1")) == Things(number=1)
    await one.until(lambda: one.heard)
    await other.store.drain()
    assert await other.table(select(node.c.id).where(node.c.id == old)) == []


@sync
async def test_nothing_is_written_in_the_name_of_a_node_taken_for_dead(two):
    one, other = await started(two)
    old = one.store.node.id
    await thought_dead(one, other)
    await other.store.node.look()
    replies = await DeferredList([Deferred.fromCoroutine(one.call(Put(id=f"{n}", name=f"{n}"))) for n in range(5)])
    assert [reply for _, reply in replies] == [Things(number=1)] * 5
    assert one.store.node.id != old
    await one.until(lambda: len(one.heard) == 5)
    assert other.heard == []
    assert await one.table(count.select_from(thing)) == [(5,)]


@sync
async def test_a_node_that_does_not_know_whether_it_lives_relays_nothing(two):
    one, _ = await started(two)
    one.store.node._until = one.reactor.seconds()
    await one.call(Put(id="1", name="1"))
    await one.table(count.select_from(outbox))
    assert one.heard == []
    await one.store.node.look()
    await one.until(lambda: one.heard)


@sync
async def test_what_is_left_in_good_order_is_taken_over_at_once(two):
    one, other = await started(two)
    one.oracle = lambda envelope: (_ for _ in ()).throw(TryAgain("not now", delay=3600))
    begun(one.call(Ask(question="why"), key="k"))
    await one.until(lambda: one.asked)
    await one.stop()
    other.oracle = lambda envelope: Answer(text="because")
    await other.store.node.look()
    assert (await other.call(Ask(question="why"), key="k")).text == "because"


@sync
async def test_a_row_from_before_there_were_nodes_is_taken_over(two):
    one, _ = two
    await one.start(resume=False)
    envelope = one.message(small.Happened(id="old"))
    await one.store.run(lambda c: c.execute(insert(outbox).values(
        id="0" * 32, address="listener", key="", type="Happened", envelope=envelope.to_json().decode(), created=0, attempts=1,
        not_before=0, state="pending")))
    await one.store.resume()
    await one.until(lambda: one.heard)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@sync
async def test_what_came_from_another_database_is_relayed(kind, tmp_path, request):
    site = Site(f"sqlite:///{tmp_path}/uip.db" if kind == "sqlite" else request.getfixturevalue("postgresql"))
    await site.start()
    envelope = site.message(small.Happened(id="old"))
    await site.store.run(lambda c: c.execute(insert(outbox).values(
        id="0" * 32, address="listener", key="", type="Happened", envelope=envelope.to_json().decode(), created=0, attempts=1,
        not_before=0, state="pending", node="elsewhere", handed=True)))
    await site.stop()
    await site.start()
    heard = site.until(lambda: site.heard)
    try:
        await heard.addTimeout(10, site.reactor)
    finally:
        await site.stop()


@sync
async def test_an_answer_that_comes_to_another_node_reaches_who_waits(two):
    one, other = await started(two)
    for outcome in (Answer(text="because"), Failure(Kind.UNAVAILABLE, "asleep").fault()):
        one.asked.clear()
        asking = Deferred.fromCoroutine(one.call(Ask(question="why")))
        await one.until(lambda: one.asked)
        question = one.asked[0]
        await other.bus.send("small", other.message(outcome, causation=question.message_id))
        if isinstance(outcome, Answer):
            assert await asking == outcome
        else:
            with pytest.raises(Failure) as refused:
                await asking
            assert (refused.value.kind, refused.value.message) == (Kind.UNAVAILABLE, "asleep")


@sync
async def test_a_timer_whose_node_is_gone_fires_once(two):
    one, other = await started(two)
    await one.call(Wake(id="a", due=one.utcnow() + HOUR))
    one.now = other.now = one.now + 2 * HOUR
    for site in two:
        site.store._timers.look()
    while await one.table(count.select_from(timer)) != [(0,)]:
        pass
    while await one.table(select(thing.c.id)) != [("rung a",)]:
        pass
    await one.store.drain()
    await other.store.drain()
    assert await one.table(count.select_from(inbox).where(inbox.c.type == "Ring")) == [(1,)]


@sync
async def test_a_later_message_of_a_key_joins_the_earlier_one_at_its_node(two):
    one, other = await started(two)
    ready = []

    def oracle(envelope):
        if not ready:
            raise TryAgain("not now")

    one.oracle = oracle
    begun(one.call(Ask(question="first")))
    await one.until(lambda: one.asked)
    begun(other.call(Ask(question="second")))
    await other.table(count.select_from(outbox))
    begun(one.call(Ask(question="third")))  # behind the second, which has not been read yet
    assert await nodes_of_outbox(one) == [one.store.node.id] * 3
    ready.append(True)
    one.store._relay.look()
    await one.until(lambda: one.asked[-1].body.text == "third")
    order = list(dict.fromkeys(e.body.text for e in one.asked))
    assert order == ["first", "second", "third"]
    assert other.asked == []
    assert next(e.attempt for e in one.asked if e.body.text == "second") == 0


@sync
async def test_the_order_of_a_key_outlives_a_takeover(two):
    one, other = await started(two)
    one.oracle = lambda envelope: (_ for _ in ()).throw(TryAgain("not now", delay=3600))
    begun(one.call(Ask(question="first")))
    await one.until(lambda: one.asked)
    begun(other.call(Ask(question="second")))
    assert await nodes_of_outbox(other) == [one.store.node.id] * 2
    await thought_dead(one, other)
    await other.store.node.look()
    await other.until(lambda: len(other.asked) == 2)
    assert [e.body.text for e in other.asked] == ["first", "second"]

