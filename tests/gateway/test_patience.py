from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from gateway.patience import Patience


def test_what_takes_too_long_is_cancelled_and_nothing_else():
    clock, told = Clock(), []
    patience = Patience(clock, 5)
    waiting = [Deferred() for _ in range(4)]
    for n, one in enumerate(waiting):
        one.addErrback(lambda failure, n=n: told.append((n, failure.check(CancelledError))))
        patience.begin(one)
        clock.advance(1)
    assert patience.end(waiting[1])
    assert not patience.end(waiting[1])
    clock.advance(1)
    assert told == [(0, CancelledError)]
    assert not patience.end(waiting[0])
    clock.advance(1.5)
    assert told == [(0, CancelledError)]
    clock.advance(0.5)
    assert [n for n, _ in told] == [0, 2]
    assert patience.end(waiting[3])
    assert clock.getDelayedCalls() == []


def test_a_clock_that_jumps_ends_all_that_is_late():
    clock, told = Clock(), []
    patience = Patience(clock, 5)
    for n in range(3):
        one = Deferred()
        one.addErrback(lambda _, n=n: told.append(n))
        patience.begin(one)
    clock.advance(60)
    assert told == [0, 1, 2]
    assert clock.getDelayedCalls() == []


def test_who_hears_that_it_took_too_long_may_wait_for_the_next_thing_at_once():
    clock, told = Clock(), []
    patience = Patience(clock, 5)
    following = Deferred()
    following.addErrback(lambda _: told.append("following"))

    def next_one(_):
        told.append("first")
        patience.begin(following)

    first, second = Deferred(), Deferred()
    first.addErrback(next_one)
    second.addErrback(lambda _: told.append("second"))
    patience.begin(first)
    clock.advance(1)
    patience.begin(second)
    clock.advance(4)
    assert told == ["first"]
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(1)
    assert told == ["first", "second"]
    clock.advance(4)
    assert told == ["first", "second", "following"]
    assert clock.getDelayedCalls() == []
