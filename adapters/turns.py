"""Waiting for a turn, in order."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred


class Turns:
    """Those who wait, and get their turns one after the other: never one within another's, as with Twisted's DeferredSemaphore. A
    hundred who are done at once, each giving the turn on, would be more than Python's stack holds, and what is lost there waits for ever.
    """

    def __init__(self) -> None:
        self._waiting: deque[Deferred[None]] = deque()
        self._due = 0
        self._giving = False

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self) -> Deferred[None]:
        """Fire when it is our turn. Cancelling gives the place in the queue up."""
        turn: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(turn)
        return turn

    def give(self, count: int = 1) -> None:
        """Let the next `count` go; within a turn, when that has come to its end or waits for something else."""
        self._due += count
        if self._giving:
            return
        self._giving = True
        while self._due:
            self._due -= 1
            if self._waiting:
                self._waiting.popleft().callback(None)
        self._giving = False


class Places:
    """So many places; who finds none free waits for a turn. Nobody who comes later goes first."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._turns = Turns()

    async def take(self) -> None:
        """Return when we have a place."""
        if not self._free or self._turns:
            await self._turns.wait()
        self._free -= 1

    def leave(self) -> None:
        """Give it back."""
        self._free += 1
        self._turns.give()
