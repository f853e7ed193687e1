"""Login slots and lock-outs of one account, shared by two processes."""

from __future__ import annotations

import pytest_twisted
from sqlalchemy import update
from twisted.internet.defer import Deferred, gatherResults

from adapters.mml.budget import SLOT_SECONDS, Account
from adapters.store.logins import SharedLogins
from adapters.store.tables import login_account
from core.ids import new_id
from tests.adapters.store.conftest import started, thought_dead

sync = pytest_twisted.ensureDeferred
ACCOUNT = Account("hlr:7776", "gate", slots=2, attempts=3, lockout=60)


async def budgets(two):
    return [SharedLogins(run=site.store.run, node=site.store.node, new_id=new_id) for site in await started(two)]


@sync
async def test_two_processes_together_have_no_more_than_the_slots(two):
    one, other = await budgets(two)
    asked = [Deferred.fromCoroutine(budget.take(ACCOUNT)) for budget in (one, other) * 4]
    assert sorted(await gatherResults(asked)) == [0, 0] + [SLOT_SECONDS] * 6
    assert await other.take(Account("other:1", "gate", 1, 3, 60)) == 0
    for budget in (one, other):
        for _ in range(2):
            await budget.give_back(ACCOUNT)
    assert [await budget.take(ACCOUNT) for budget in (one, one, other)] == [0, 0, SLOT_SECONDS]


@sync
async def test_slots_that_nobody_has_bounded_in_all_are_for_each_process(two):
    one, other = await budgets(two)
    each = Account("hlr:7776", "gate", slots=1, attempts=3, lockout=60, apiece=True)
    assert [await budget.take(each) for budget in (one, other, one)] == [0, 0, SLOT_SECONDS]


@sync
async def test_a_dead_node_frees_its_slots_and_one_only_thought_dead_gives_up_its_sessions(two):
    one, other = await budgets(two)
    ended = []
    for number in (1, 2):
        assert await one.take(ACCOUNT, lambda number=number: ended.append(number)) == 0
    assert await other.take(ACCOUNT) == SLOT_SECONDS
    await thought_dead(*two)
    await two[1].store.node.look()
    assert await other.take(ACCOUNT) == 0
    two[0].store.when_lost.append(lambda: lost.append(Deferred.fromCoroutine(one.lost())))
    lost = []
    await two[0].store.node.look()
    await lost[0]
    assert ended == [2]  # one slot is left, which the first session has taken again
    assert await other.take(ACCOUNT) == SLOT_SECONDS


@sync
async def test_a_refused_account_is_locked_for_both_and_longer_each_time(two):
    one, other = await budgets(two)
    await one.refused(ACCOUNT)
    await other.refused(ACCOUNT)
    assert await one.take(ACCOUNT) == 0
    await other.refused(ACCOUNT)
    assert 50 < await one.take(ACCOUNT) <= 60
    await two[0].store.run(lambda c: c.execute(update(login_account).values(locked_until=0)))  # the time passes
    await one.refused(ACCOUNT)
    assert 110 < await other.take(ACCOUNT) <= 120
    await two[0].store.run(lambda c: c.execute(update(login_account).values(locked_until=0)))
    await one.accepted(ACCOUNT)
    await one.refused(ACCOUNT)
    assert await other.take(ACCOUNT) == 0


@sync
async def test_a_slot_that_cannot_be_given_back_now_is_given_back_later(two, monkeypatch):
    one, other = await budgets(two)
    assert [await one.take(ACCOUNT) for _ in range(2)] == [0, 0]
    run = one._run
    monkeypatch.setattr(one, "_run", lambda work: (_ for _ in ()).throw(OSError("no database")))
    await one.give_back(ACCOUNT)
    assert await one.take(ACCOUNT) == SLOT_SECONDS
    monkeypatch.setattr(one, "_run", run)
    assert await one.take(ACCOUNT) == 0
    assert await other.take(ACCOUNT) == SLOT_SECONDS
