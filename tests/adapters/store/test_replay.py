from __future__ import annotations

from datetime import timedelta

import pytest_twisted
from sqlalchemy import func, insert, select
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from adapters.store.journal import Selection, export
from adapters.store.replay import Wanted, Watch, resend, revive
from adapters.store.tables import inbox, milliseconds, outbox, timer
from core.messages.failures import Failure, Kind
from tests.adapters.store.small import Answer, Ask, Happened, Put, message, part, thing

sync = pytest_twisted.ensureDeferred


class Log:
    def __init__(self):
        self.said = []

    def error(self, event, **more):
        self.said.append((event, more))


def watch(site):
    made = Watch(reactor=site.reactor, run=site.store.run, fire=site.store.timer_set, log=Log())
    made.start()
    return made


def refuse(_):
    raise Failure(Kind.INVALID, "not like this")


async def until(site, query, wanted):
    while [tuple(row) for row in await site.table(query)] != wanted:
        pass


async def dying(site):
    """Let the oracle refuse a question for good."""
    site.oracle = refuse
    await site.start()
    asking = Deferred.fromCoroutine(site.call(Ask(question="?"), name="q"))
    asking.addErrback(lambda _: None)
    await until(site, select(outbox.c.state), [("dead",)])
    return asking


@sync
async def test_the_dead_are_shown_and_nothing_is_done(site):
    await dying(site)
    told = []
    assert revive(site.store.engine, Wanted(), site.utcnow(), told.append, send=False) == 1
    [one] = told
    assert (one.address, one.type, one.party, one.attempts) == ("connector.oracle", "Question", "crm", 1)
    assert one.reason == "invalid: not like this"
    assert one.message_id == site.asked[0].message_id
    assert [dead["id"] for dead in await site.store.dead()] == [one.id]
    assert await site.table(select(timer)) == []


@sync
async def test_a_dead_message_goes_out_again_as_it_was(site):
    await dying(site)
    site.oracle = lambda question: Answer(text="yes") if question.reply_to else None
    assert revive(site.store.engine, Wanted(), site.utcnow(), lambda _: None, send=True) == 1
    assert await site.store.dead() == []
    assert revive(site.store.engine, Wanted(), site.utcnow(), lambda _: None, send=True) == 0, "it is on its way"
    looking = watch(site)
    await site.until(lambda: len(site.asked) == 2)
    first, again = site.asked
    assert again.message_id == first.message_id
    assert again.body == first.body
    assert (first.attempt, again.attempt) == (0, 1), "the receiver may have acted on it"
    await until(site, select(inbox.c.pending).where(inbox.c.type == "Ask"), [(False,)])
    await until(site, select(func.count()).select_from(timer), [(0,)])
    await looking.stop()


@sync
async def test_it_goes_out_at_the_next_start_too(site):
    await dying(site)
    revive(site.store.engine, Wanted(), site.utcnow(), lambda _: None, send=True)
    await site.stop()
    site.oracle = lambda question: Answer(text="yes")
    await site.start()
    await site.until(lambda: len(site.asked) == 2)


def dead_row(number, site, *, party="crm", address="connector.oracle", name=None):
    envelope = message(Happened(id=str(number)), site.now, name=name or f"m{number}", party=party)
    return {"id": f"{number:032x}", "address": address, "key": "", "type": envelope.type, "envelope": envelope.to_json().decode(),
            "created": milliseconds(site.now + number * timedelta(minutes=1)), "attempts": 10, "not_before": 0, "last_error": "no",
            "state": "dead"}


@sync
async def test_what_selects(site, monkeypatch):
    monkeypatch.setattr("adapters.store.replay._PAGE", 2)
    await site.start()
    rows = [dead_row(n, site) for n in range(4)]
    rows += [dead_row(4, site, party="shop"), dead_row(5, site, address="listener"), {**dead_row(6, site), "envelope": "not JSON"}]
    await site.store.run(lambda c: c.execute(insert(outbox), rows))
    minute = timedelta(minutes=1)
    for wanted, numbers in (
            (Wanted(), [0, 1, 2, 3, 4, 5]),
            (Wanted(ids={"m1", rows[3]["id"], "none"}), [1, 3]),
            (Wanted(address="listener"), [5]),
            (Wanted(party="shop"), [4]),
            (Wanted(type="Other"), []),
            (Wanted(since=site.now + minute, until=site.now + 3 * minute), [1, 2])):
        told = []
        assert revive(site.store.engine, wanted, site.utcnow(), told.append, send=False) == len(numbers)
        assert [one.message_id for one in told] == [f"m{n}" for n in numbers], wanted
    assert revive(site.store.engine, Wanted(party="shop"), site.utcnow(), told.append, send=True) == 1
    assert [dead["id"] for dead in await site.store.dead()] == [rows[n]["id"] for n in (6, 5, 3, 2, 1, 0)]


@sync
async def test_one_event_that_died_at_two_receivers(site):
    await site.start()
    rows = [dead_row(0, site, name="same"), dead_row(1, site, name="same", address="listener")]
    await site.store.run(lambda c: c.execute(insert(outbox), rows))
    assert revive(site.store.engine, Wanted(), site.utcnow(), lambda _: None, send=True) == 2
    looking = watch(site)
    await site.until(lambda: site.asked and site.heard)
    assert site.asked[0].message_id == site.heard[0].message_id == "same"
    await looking.stop()


@sync
async def test_a_restored_database_takes_what_it_lacks_and_takes_it_once(site):
    site.oracle = lambda question: Answer(text="yes")
    await site.start()
    for n in range(3):
        await site.call(Put(id=str(n), name=str(n)), key=str(n))
    await site.call(Ask(question="?"))
    await site.until(lambda: len(site.heard) == 3)
    lines = list(export(site.store.engine, Selection()))
    assert len(lines) == 5, "four requests and the oracle's answer"
    things = await site.table(select(thing.c.id).where(thing.c.id.in_(list("012"))))
    await site.store.run(lambda c: (c.execute(inbox.delete().where(inbox.c.idempotency_key.in_(list("12")))),
                                    c.execute(part.delete()), c.execute(thing.delete().where(thing.c.id.in_(list("12"))))))

    refused, told = [], []

    def again(*, send):
        told.clear()
        return resend(site.store.engine, [*lines, b"{}", lines[0].replace(b'"small"', b'"smal"')], ["small"], site.utcnow(), told.append,
                      lambda *what: refused.append(what), send=send)

    assert again(send=False) == 4
    assert [row["type"] for row in told] == ["Put", "Put", "Put", "Ask"]
    assert [number for number, _ in refused] == [6, 7]
    assert refused[1][1] == "address: there is no core smal; there are small"
    assert await site.table(select(timer)) == []
    for _ in range(2):
        assert again(send=True) == 4
        looking = watch(site)
        await until(site, select(func.count()).select_from(timer), [(0,)])
        await until(site, select(func.count()).select_from(outbox), [(0,)])
        await looking.stop()
        assert await site.table(select(thing.c.id).where(thing.c.id.in_(list("012")))) == things
        assert await site.table(select(func.count()).select_from(inbox)) == [(5,)]
    assert await site.store.dead() == []
    assert len(site.asked) == 1


def test_it_looks_every_five_seconds_and_goes_on_after_a_failure():
    clock, log, fired, found = Clock(), Log(), [], [None, fail(OSError("gone")), 17, None]

    def run(_):
        due = found.pop(0)
        return due if isinstance(due, Deferred) else succeed(due)

    looking = Watch(reactor=clock, run=run, fire=fired.append, log=log)
    looking.start()
    clock.advance(4.9)
    assert len(found) == 3
    clock.pump([0.1, 5])
    assert fired == [17]
    assert [said for said, _ in log.said] == ["what is to be sent again could not be looked for"]
    clock.advance(5)
    assert fired == [17]
    ended = Deferred.fromCoroutine(looking.stop())
    assert ended.called
    assert clock.getDelayedCalls() == []
