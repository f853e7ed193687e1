"""Waiting that can be cut short: a retry's delay must not hold up a drain or a stop."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred


class Pauses:
    """The pauses that are under way on one reactor."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._under_way: set[Deferred[None]] = set()

    def wait(self, seconds: float) -> Deferred[None]:
        """Fire after so many seconds, or at `end`."""
        done: Deferred[None] = Deferred()
        late = self._reactor.callLater(seconds, done.callback, None)
        self._under_way.add(done)

        def over(_: None) -> None:
            self._under_way.discard(done)
            if late.active():
                late.cancel()

        return done.addCallback(over)

    def end(self) -> None:
        """End every pause now."""
        for pause in tuple(self._under_way):
            pause.callback(None)
