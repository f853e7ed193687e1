from __future__ import annotations

import json

import pytest
import pytest_twisted
from sqlalchemy import func, insert, select
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList

from adapters.store.jobs import HandlerFailed
from adapters.store.tables import inbox, outbox
from core.bus import TryAgain
from core.messages.failures import Failure, Kind
from core.unit_of_work import Core
from tests.adapters.store.conftest import Site
from tests.adapters.store.small import Answer, Ask, Look, Put, Things, metadata, part, thing

count = select(func.count())
sync = pytest_twisted.ensureDeferred


async def together(site, *bodies, **more):
    """Handle all in one turn; returns (well, reply or error) of each."""
    results = await DeferredList([Deferred.fromCoroutine(site.call(body, **more)) for body in bodies], consumeErrors=True)
    return [(well, value if well else value.value) for well, value in results]


@sync
async def test_many_handlers_share_a_commit_and_are_answered_after_it(site):
    await site.start()
    await site.call(Look())  # behind the reads of the start
    before = site.commits
    replies = await together(site, *[Put(id=str(n), name=str(n)) for n in range(50)])
    assert all(well and value == Things(number=1) for well, value in replies)
    assert site.commits - before < 10  # one or two, where the machine has time for it
    assert await site.table(count.select_from(thing)) == [(50,)]
    assert await site.table(count.select_from(inbox)) == [(50,)]


def turn():
    """Fire in the reactor's next turn."""
    done = Deferred()
    reactor.callLater(0, done.callback, None)
    return done


@sync
async def test_who_was_answered_together_and_asks_again_one_by_one_shares_a_commit_again(postgresql):
    site = Site(postgresql)
    await site.start()
    try:
        for _ in range(2):  # the first may have gone in two
            await together(site, *[Look() for _ in range(8)])
        await turn()
        before, asked = site.commits, []
        for part_of_them in (range(4), range(4, 8)):
            asked += [Deferred.fromCoroutine(site.call(Put(id=str(n), name=str(n)))) for n in part_of_them]
            await turn()
        assert await DeferredList(asked) == [(True, Things(number=1))] * 8
        assert site.commits - before == 1
        assert await site.call(Put(id="8", name="8")) == Things(number=1)  # who comes alone waits no longer than a moment
    finally:
        await site.stop()


@sync
async def test_queries_leave_nothing(site):
    await site.start()
    await site.call(Put(id="a", name="a"))
    assert (await site.call(Look())).number == 1
    assert await site.table(select(inbox.c.type)) == [("Put",)]


@pytest.mark.parametrize("how", ["break", "refuse"])
@sync
async def test_a_failing_handler_spoils_no_neighbour(site, how):
    await site.start()
    one, bad, two = await together(site, Put(id="1", name="1"), Put(id="bad", name="bad", how=how), Put(id="2", name="2", how="execute"))
    assert one[0]
    assert two[0]
    assert bad[1].kind is (Kind.INTERNAL if how == "break" else Kind.STATE)
    assert await site.table(select(thing.c.id).order_by(thing.c.id)) == [("1",), ("2",)]
    assert await site.table(count.select_from(part)) == [(2,)]


@pytest.mark.parametrize("how", ["insert", "execute"])
@sync
async def test_a_constraint_that_fails_spoils_only_the_one_that_broke_it(site, how, caplog):
    await site.start()
    replies = await together(site, Put(id="1", name="same"), Put(id="2", name="other"), Put(id="3", name="same", how=how))
    assert [well for well, _ in replies] == [True, True, False]
    assert replies[2][1].kind is Kind.INTERNAL
    assert await site.table(select(thing.c.id).order_by(thing.c.id)) == [("1",), ("2",)]
    assert await site.table(count.select_from(inbox)) == [(2,)]


@pytest.mark.parametrize("how", ["count", "first"])
@sync
async def test_a_handler_sees_what_its_neighbours_inserted(site, how):
    await site.start()
    replies = await together(site, *[Put(id=str(n), name=str(n), how=how) for n in range(5)])
    assert [value.number for _, value in replies] == [1, 2, 3, 4, 5]


@sync
async def test_logs_tell_what_failed_but_no_body(site, caplog):
    await site.start()
    with pytest.raises(HandlerFailed):
        await site.store.handle(site.store._cores["small"], site.message(Put(id="1", name="1", how="break")))
    assert "RuntimeError" in caplog.text
    assert "raise RuntimeError" in caplog.text  # the traceback
    assert "secret body text" not in caplog.text.replace('raise RuntimeError("secret body text")', "")


@sync
async def test_same_key_same_body_is_the_stored_reply(site):
    await site.start()
    first = await site.call(Put(id="1", name="1"), key="k")
    again = await together(site, Put(id="1", name="1"), Put(id="1", name="1"), key="k")
    assert [(True, first)] * 2 == again
    assert await site.table(count.select_from(thing)) == [(1,)]
    [(stored,)] = await site.table(select(inbox.c.reply))
    assert again[0][1].model_dump_json(exclude_none=True) == stored


@sync
async def test_same_key_in_one_turn(site):
    await site.start()
    replies = await together(site, Put(id="1", name="1"), Put(id="1", name="1"), Put(id="2", name="2"), key="k")
    assert replies[0] == replies[1] == (True, Things(number=1))
    assert replies[2][1].kind is Kind.CONFLICT


@sync
async def test_same_key_of_another_party_is_another_key(site):
    await site.start()
    await site.call(Put(id="1", name="1"), key="k")
    await site.call(Put(id="2", name="2"), key="k", party="shop")
    assert await site.table(count.select_from(thing)) == [(2,)]


@sync
async def test_a_refusal_is_not_stored(site):
    await site.start()
    for _ in range(2):
        with pytest.raises(Failure) as refused:
            await site.call(Put(id="1", name="1", how="refuse"), key="k")
        assert refused.value.kind is Kind.STATE
    assert await site.table(count.select_from(inbox)) == [(0,)]


@sync
async def test_redelivery_is_harmless(site):
    await site.start()
    envelope = site.message(Put(id="1", name="1"), causation="something")
    await site.bus.send("small", envelope)
    await site.bus.send("small", envelope)
    assert await site.table(count.select_from(thing)) == [(1,)]


@sync
async def test_answer_later_reaches_who_waits_and_who_repeats(site):
    await site.start()
    asking = Deferred.fromCoroutine(site.call(Ask(question="why"), key="k"))
    await site.until(lambda: site.asked)
    repeated = Deferred.fromCoroutine(site.call(Ask(question="why"), key="k"))
    question = site.asked[0]
    assert question.reply_to == "small"
    await site.bus.send("small", site.message(Answer(text="because"), causation=question.message_id))
    assert await asking == await repeated == Answer(text="because")
    assert await site.call(Ask(question="why"), key="k") == Answer(text="because")
    assert len(site.asked) == 1


@sync
async def test_answer_later_by_message(site):
    await site.start()
    site.oracle = lambda envelope: Answer(text="to " + envelope.body.text) if envelope.type == "Question" else None
    request = site.message(Ask(question="why"), reply_to="connector.oracle", causation="cause", lane="lane")
    await site.bus.send("small", request)
    await site.until(lambda: len(site.asked) == 2)
    answer = site.asked[1]
    assert (answer.type, answer.causation_id, answer.key, answer.body.text) == ("Answer", request.message_id, "lane", "to why")


@sync
async def test_a_refused_message_is_answered_with_a_fault_and_counts_as_taken(site):
    await site.start()
    request = site.message(Put(id="1", name="1", how="refuse"), reply_to="connector.oracle", causation="cause")
    await site.bus.send("small", request)
    await site.until(lambda: site.asked)
    assert (site.asked[0].type, site.asked[0].body.code, site.asked[0].causation_id) == ("Fault", Kind.STATE, request.message_id)
    await site.bus.send("small", request)
    await site.store.drain()
    assert len(site.asked) == 1


@sync
async def test_a_failed_answer_lets_the_request_be_repeated(site):
    await site.start()
    site.oracle = lambda envelope: Failure(Kind.UNAVAILABLE, "asleep").fault()
    with pytest.raises(Failure):
        await site.call(Ask(question="why"), key="k")
    site.oracle = lambda envelope: Answer(text="because")
    assert (await site.call(Ask(question="why"), key="k")).text == "because"


@sync
async def test_events_reach_subscribers_in_order_and_rows_go(site):
    await site.start()
    for n in range(20):
        await site.call(Put(id=f"{n}", name=f"{n}"))
    await site.until(lambda: len(site.heard) == 20)
    await site.store.drain()
    assert await site.table(count.select_from(outbox)) == [(0,)]
    assert site.store.queues() == []


@sync
async def test_what_was_not_sent_is_sent_after_a_restart_once(site):
    await site.start(resume=False)
    Deferred.fromCoroutine(site.call(Ask(question="why"), key="k")).addErrback(lambda _: None)
    await site.table(count.select_from(outbox))
    await site.stop(drain=False)
    site.oracle = lambda envelope: Answer(text="because")
    await site.start()
    assert (await site.call(Ask(question="why"), key="k")).text == "because"
    assert [e.attempt for e in site.asked] == [1]
    await site.stop()
    await site.start()
    assert len(site.asked) == 1


@sync
async def test_sent_but_not_deleted_is_sent_again_and_taken_once(site):
    """A crash between a delivery and the deletion of its row."""
    await site.start()
    site.oracle = lambda envelope: Answer(text="because")
    await site.call(Ask(question="why"))
    await site.stop(drain=False)  # the note that it was taken is lost
    await site.start()
    if site.asked[1:]:
        assert site.asked[1].attempt == 1
    await site.store.drain()
    assert await site.table(select(inbox.c.type).where(inbox.c.type == "Answer")) == [("Answer",)]


@sync
async def test_try_again_is_tried_again_with_the_attempt_on_disk(site):
    await site.start()
    seen = []

    def oracle(envelope):
        if len(site.asked) <= 5:  # more often than a broken receiver would be asked
            raise TryAgain("busy")
        return Answer(text="at last")

    site.oracle = oracle
    assert (await site.call(Ask(question="why"))).text == "at last"
    assert [e.attempt for e in site.asked] == [0, 1, 2, 3, 4, 5]
    assert seen == []


@sync
async def test_a_poisonous_message_dies_and_blocks_nobody(site):
    await site.start()

    def oracle(envelope):
        if envelope.body.text == "poison":
            raise RuntimeError("ouch")
        return Answer(text="fine")

    site.oracle = oracle
    Deferred.fromCoroutine(site.call(Ask(question="poison"))).addErrback(lambda _: None)
    assert (await site.call(Ask(question="good"))).text == "fine"
    assert [e.body.text for e in site.asked] == ["poison", "poison", "poison", "good"]
    await site.store.drain()
    [row] = await site.store.dead()
    assert (row["address"], row["type"], row["attempts"]) == ("connector.oracle", "Question", 3)
    assert "RuntimeError" in row["last_error"]


@sync
async def test_a_commit_that_fails_is_made_message_by_message(site, monkeypatch):
    await site.start()
    real, failed = site.store.engine.dialect.do_commit, []

    def commit(connection):
        if not failed:
            failed.append(True)
            raise site.store.engine.dialect.loaded_dbapi.OperationalError("disk full")
        real(connection)

    monkeypatch.setattr(site.store.engine.dialect, "do_commit", commit)
    replies = await together(site, *[Put(id=str(n), name=str(n)) for n in range(4)])
    assert failed
    assert all(well for well, _ in replies)
    assert await site.table(count.select_from(thing)) == [(4,)]


@sync
async def test_a_commit_whose_outcome_is_unknown_is_not_made_twice(site, monkeypatch):
    await site.start()
    real, failed = site.store.engine.dialect.do_commit, []

    def commit(connection):
        real(connection)
        if not failed:
            failed.append(True)
            raise site.store.engine.dialect.loaded_dbapi.OperationalError("connection lost")

    monkeypatch.setattr(site.store.engine.dialect, "do_commit", commit)
    replies = await together(site, *[Put(id=str(n), name=str(n)) for n in range(4)])
    assert replies == [(True, Things(number=1))] * 4
    assert await site.table(count.select_from(thing)) == [(4,)]


@sync
async def test_a_connection_that_ends_within_a_handler_costs_one_more_try(postgresql):
    site, ends = Site(postgresql), [True]

    def put(e, uow):
        uow.execute(insert(thing).values(id=e.body.id, name=e.body.name))
        if ends:
            ends.clear()
            uow.execute(select(func.pg_terminate_backend(func.pg_backend_pid())))
        return Things(number=1)

    await site.start(Core("small", {"Put": put}, metadata))
    try:
        assert await site.call(Put(id="1", name="1")) == Things(number=1)
        assert await site.table(select(thing.c.id)) == [("1",)]
    finally:
        await site.stop(drain=False)


@sync
async def test_whatever_a_commit_raises_the_next_one_is_made(site, monkeypatch):
    await site.start()
    with monkeypatch.context() as patch:
        patch.setattr("adapters.store.batch.commit", lambda *_: 1 / 0)
        with pytest.raises(Failure) as told:
            await site.call(Put(id="1", name="1"))
    assert told.value.kind is Kind.UNAVAILABLE
    assert await site.call(Put(id="1", name="1")) == Things(number=1)


@sync
async def test_the_journal_holds_the_request(site):
    await site.start()
    await site.call(Put(id="1", name="1"), key="k")
    [(party, key, kind, envelope)] = await site.table(select(inbox.c.party, inbox.c.idempotency_key, inbox.c.type, inbox.c.envelope))
    assert (party, key, kind) == ("crm", "k", "Put")
    assert json.loads(envelope)["body"] == {"id": "1", "name": "1", "how": "insert"}
