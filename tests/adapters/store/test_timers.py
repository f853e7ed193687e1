from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.adapters.store.conftest import Site
from tests.adapters.store.small import HOUR, Wake, thing


@pytest.fixture
def clocked(tmp_path):
    site = Site(f"sqlite:///{tmp_path}/uip.db", Clock())
    run(site, site.start())
    yield site
    run(site, site.stop())


def run(site, coroutine):
    done = []
    Deferred.fromCoroutine(coroutine).addBoth(done.append)
    for _ in range(20):
        site.reactor.advance(0)
    site.reactor.advance(0.02)  # the upkeep of the relay
    for _ in range(5):
        site.reactor.advance(0)
    assert done, "still waiting"
    if isinstance(done[0], BaseException) or hasattr(done[0], "raiseException"):
        done[0].raiseException()
    return done[0]


def pass_time(site, seconds):
    for _ in range(int(seconds / 5)):
        site.reactor.advance(5)
    for _ in range(20):
        site.reactor.advance(0)


def rung(site):
    return sorted(row.id for row in run(site, site.table(select(thing.c.id))))


def test_a_timer_fires_when_due_and_once(clocked):
    run(clocked, clocked.call(Wake(id="a", due=clocked.utcnow() + HOUR)))
    pass_time(clocked, 3590)
    assert rung(clocked) == []
    pass_time(clocked, 30)
    assert rung(clocked) == ["rung a"]
    pass_time(clocked, 4000)
    assert rung(clocked) == ["rung a"]


def test_a_timer_outlives_the_process(clocked):
    run(clocked, clocked.call(Wake(id="a", due=clocked.utcnow() + HOUR)))
    run(clocked, clocked.stop())
    clocked.now += 2 * HOUR
    run(clocked, clocked.start())
    pass_time(clocked, 5)
    assert rung(clocked) == ["rung a"]


def test_setting_it_again_replaces_it(clocked):
    run(clocked, clocked.call(Wake(id="a", due=clocked.utcnow() + HOUR)))
    run(clocked, clocked.call(Wake(id="a", due=clocked.utcnow() + 2 * HOUR)))
    pass_time(clocked, 3700)
    assert rung(clocked) == []
    pass_time(clocked, 3700)
    assert rung(clocked) == ["rung a"]


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1)])
def test_a_clock_that_jumps_does_no_harm(clocked, jump):
    run(clocked, clocked.call(Wake(id="a", due=clocked.utcnow() + HOUR)))
    clocked.now += jump
    pass_time(clocked, 20)
    assert rung(clocked) == (["rung a"] if jump > timedelta(0) else [])
    clocked.now -= jump
    pass_time(clocked, 3700)
    assert rung(clocked) == ["rung a"]
