"""How long an answer is waited for: nearly all wait equally long, so one call of the clock looks after them all."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from twisted.internet.defer import Deferred


class Patience:
    """Cancels what it was told to wait for `seconds` later. `clock` is Twisted's."""

    def __init__(self, clock: Any, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._until: dict[Deferred[Any], float] = {}  # in this order
        self._call: Any = None

    def begin(self, waiting: Deferred[Any]) -> None:
        """Wait for this from now on."""
        self._until[waiting] = self._clock.seconds() + self._seconds
        if self._call is None:
            self._call = self._clock.callLater(self._seconds, self._look)

    def end(self, waiting: Deferred[Any]) -> bool:
        """Wait for it no more; returns whether it has not taken too long."""
        in_time = self._until.pop(waiting, None) is not None
        if not self._until and self._call is not None:
            self._call.cancel()
            self._call = None
        return in_time

    def _look(self) -> None:
        now = self._clock.seconds()
        late = [waiting for waiting, _ in takewhile(lambda item: item[1] <= now, self._until.items())]
        for waiting in late:
            del self._until[waiting]
        self._call = self._clock.callLater(next(iter(self._until.values())) - now, self._look) if self._until else None
        for waiting in late:  # last: who hears of it may begin to wait for something else at once
            waiting.cancel()
