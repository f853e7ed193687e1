"""However many wait, and however quickly each is done, everybody gets a turn, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from adapters.turns import Places, Turns

MANY = 5_000
"""More than Python's stack could hold one within the other."""


def test_each_of_very_many_gives_the_turn_on_at_once() -> None:
    turns, done = Turns(), []

    async def one(number: int) -> None:
        await turns.wait()
        done.append(number)
        turns.give()

    for number in range(MANY):
        Deferred.fromCoroutine(one(number))
    turns.give()
    assert done == list(range(MANY))
    assert len(turns) == 0


def test_places_are_never_more_than_there_are_and_none_is_lost() -> None:
    places, inside, most = Places(3), 0, 0

    async def one(waits: Deferred[None] | None) -> None:
        nonlocal inside, most
        await places.take()
        inside += 1
        most = max(most, inside)
        if waits is not None:
            await waits
        inside -= 1
        places.leave()

    first: list[Deferred[None]] = [Deferred() for _ in range(3)]
    running = [Deferred.fromCoroutine(one(waits)) for waits in first]
    running += [Deferred.fromCoroutine(one(None)) for _ in range(MANY)]
    assert not any(each.called for each in running)
    for waits in first:
        waits.callback(None)
    assert all(each.called for each in running)
    assert (inside, most) == (0, 3)


@given(st.lists(st.sampled_from(["come", "go", "give up"]), max_size=60), st.integers(1, 3))
def test_who_comes_first_goes_first_whoever_gives_up(steps: list[str], count: int) -> None:
    places = Places(count)
    came: list[tuple[int, Deferred[None]]] = []
    inside: list[int] = []
    number = 0
    for step in steps:
        if step == "come":
            waiting = Deferred.fromCoroutine(places.take())
            waiting.addErrback(lambda failure: failure.trap(CancelledError))
            came.append((number, waiting))
            number += 1
        elif step == "go" and inside:
            inside.pop(0)
            places.leave()
        elif step == "give up":
            late = next((entry for entry in reversed(came) if not entry[1].called), None)
            if late is not None:
                late[1].cancel()
                came.remove(late)
        let_in = [entry for entry in came if entry[1].called]
        assert let_in == came[:len(let_in)]
        inside += [each for each, _ in let_in]
        came = came[len(let_in):]
        assert len(inside) <= count
        assert len(inside) == count or not came
