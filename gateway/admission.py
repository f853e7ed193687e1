"""How much is let in: a bound on requests in flight, a rate for each party, and nothing new while draining.

What is over a bound is answered 'busy' at once, in the asker's protocol; nothing queues up in front of the cores.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.messages.failures import Failure, Kind
from gateway.sessions import Clock


class TokenBucket:
    """Lets `rate` requests a second through on average, and a second's worth at once."""

    __slots__ = ("_clock", "_last", "_tokens", "rate")

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock = clock
        self.rate = rate
        self._tokens = rate
        self._last = clock.seconds()

    def take(self) -> bool:
        """Take one token; False when there is none."""
        now = self._clock.seconds()
        self._tokens = min(max(self.rate, 1.0), self._tokens + (now - self._last) * self.rate)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Admission:
    """The door. `rates` maps a party to its requests a second, and may change; a party that is not in it has none."""

    def __init__(self, clock: Clock, *, max_in_flight: int, rates: Mapping[str, float]) -> None:
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._rates = rates
        self._buckets: dict[str, TokenBucket] = {}
        self.in_flight = 0
        self.draining = False

    def enter(self, party: str) -> None:
        """Let one request in, to be followed by `leave`. Raises Failure(BUSY)."""
        if self.draining:
            raise Failure(Kind.BUSY, "shutting down; try again later")
        if self.in_flight >= self._max_in_flight:
            raise Failure(Kind.BUSY, f"{self._max_in_flight} requests are in flight; try again later")
        rate = self._rates.get(party)
        if rate is not None and not self._bucket(party, rate).take():
            raise Failure(Kind.BUSY, f"more requests a second than {party} may send; try again later")
        self.in_flight += 1

    def _bucket(self, party: str, rate: float) -> TokenBucket:
        bucket = self._buckets.get(party)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[party] = TokenBucket(self._clock, rate)
        return bucket

    def leave(self) -> None:
        """Tell that a request that entered has its answer (or that nobody waits for it any more)."""
        self.in_flight -= 1
