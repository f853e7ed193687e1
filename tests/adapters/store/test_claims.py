"""A broker that loses what it had taken charge of: what nobody has taken goes again, what was taken does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
import pytest_twisted
from sqlalchemy import insert, select
from twisted.internet.defer import Deferred

from adapters.store.tables import inbox, outbox
from core.bus import InProcessBus
from tests.adapters.store.conftest import started, thought_dead
from tests.adapters.store.small import Answer, Ask, Look, Things, Wake

sync = pytest_twisted.ensureDeferred
states = select(outbox.c.state, outbox.c.attempts).order_by(outbox.c.id)


class Broker:
    """Takes charge of everything, when it is not `busy`; `losing` it loses it, else it brings it."""

    def __init__(self):
        self.losing = True
        self.busy = None
        self.lost = []


@pytest.fixture
def broker(monkeypatch):
    made = Broker()
    bring = InProcessBus.send

    async def send(self, to, envelope):
        if made.busy is not None:
            await made.busy
        if made.losing:
            made.lost.append((to, envelope))
        else:
            await bring(self, to, envelope)

    monkeypatch.setattr(InProcessBus, "hands_over", True)
    monkeypatch.setattr(InProcessBus, "send", send)
    return made


async def in_outbox(site, wanted):
    """Wait until the outbox has come to these states."""
    while [row.state for row in await site.table(states)] != wanted:  # each read is a commit later
        pass


async def later(site, seconds):
    site.now += timedelta(seconds=seconds)
    await site.store._claims.look()
    await site.table(states)


@sync
async def test_a_command_that_was_lost_goes_again_with_its_attempts_and_is_answered_once(site, broker):
    await site.start()
    site.oracle = lambda envelope: Answer(text="because")
    asking = Deferred.fromCoroutine(site.call(Ask(question="why")))
    await in_outbox(site, ["sent"])
    broker.losing = False
    await later(site, 29)
    assert not site.asked
    await later(site, 2)
    assert (await asking).text == "because"
    assert [e.attempt for e in site.asked] == [1]
    assert site.asked[0].message_id == broker.lost[0][1].message_id
    await in_outbox(site, ["sent"])  # it is with the broker again
    await later(site, 70)
    await in_outbox(site, [])
    assert len(site.asked) == 1


@sync
async def test_what_a_core_has_taken_is_let_go_of_and_not_sent_again(site, broker):
    await site.start()
    broker.losing = False
    await site.call(Wake(id="w", due=site.utcnow()))
    await in_outbox(site, ["sent"])
    await later(site, 31)
    await in_outbox(site, [])
    assert await site.call(Look()) == Things(number=1)


@sync
async def test_an_event_that_one_receiver_has_taken_still_goes_again_to_the_other(site, broker):
    await site.start()
    await site.call(Wake(id="w", due=site.utcnow()))
    await in_outbox(site, ["sent"])
    [(_, event)] = broker.lost
    await site.store.run(lambda c: c.execute(insert(inbox).values(
        address="another", message_id=event.message_id, correlation_id="c", party="", session="", type=event.type, envelope="{}",
        received=0, pending=False)))
    await later(site, 31)
    await in_outbox(site, ["sent"])
    assert len(broker.lost) == 2


@sync
async def test_what_goes_again_waits_for_room_in_the_relay(site, broker):
    await site.start()
    await site.call(Wake(id="w", due=site.utcnow()))
    await in_outbox(site, ["sent"])
    site.store._relay._capacity = 1
    broker.busy = Deferred()
    await site.call(Wake(id="x", due=site.utcnow()))
    await in_outbox(site, ["sent", "pending"])
    await later(site, 31)
    await in_outbox(site, ["pending", "pending"])
    busy, broker.busy = broker.busy, None
    busy.callback(None)
    await in_outbox(site, ["sent", "sent"])
    assert [envelope.body.id for _, envelope in broker.lost] == ["w", "x", "w"]


@sync
async def test_it_is_looked_after_less_often_as_it_grows_older(site, broker):
    await site.start()
    await site.call(Wake(id="w", due=site.utcnow()))
    await in_outbox(site, ["sent"])
    for wait, tries in ((31, 2), (31, 2), (62, 3), (100, 3), (200, 4)):
        await later(site, wait)
        await in_outbox(site, ["sent"])
        assert len(broker.lost) == tries, wait


@sync
async def test_what_a_dead_node_had_given_to_the_broker_is_looked_after_by_another(two, broker):
    one, other = await started(two)
    await one.call(Wake(id="w", due=one.utcnow()))
    await in_outbox(one, ["sent"])
    await thought_dead(one, other)
    await other.store.node.look()
    broker.losing = False
    await later(other, 31)
    await in_outbox(other, ["sent"])
    await later(other, 100)
    await in_outbox(other, [])
    assert await other.call(Look()) == Things(number=1)

