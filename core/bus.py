"""The bus: how a message reaches a core, a connector or the subscribers of an event. Two implementations pass one contract.

`InProcessBus` (here) is the reference; `adapters.bus` carries the same over RabbitMQ. What each promises is written as
tests in tests/contracts/ and both have to pass them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from core.messages.base import BusinessObject
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind

_log = logging.getLogger(__name__)

Receiver = Callable[[Envelope[Any]], Awaitable[BusinessObject | None]]
"""Takes a message; the bus counts it as delivered when the awaitable ends well. Raising Failure refuses it (the caller
gets the failure), raising `TryAgain` or anything else means 'not taken, deliver again'."""


class TryAgain(Exception):
    """A receiver could not take the message now. `delay` is how long to wait at least, in seconds, if it knows."""

    def __init__(self, reason: str, delay: float | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class NoSuchAddress(LookupError):
    """Nobody receives at that address."""


class Bus(Protocol):
    """Addresses are names of cores (`orders`), or `connector.<name>`. Delivery is at least once, in order per `key`."""

    hands_over: bool
    """Whether what `send` has handed over is with a broker then, not yet with its receiver."""

    def receive(self, address: str, receiver: Receiver, events: frozenset[str] = frozenset()) -> None:
        """Let `receiver` take what is sent to `address` and every event whose type is in `events`. Before `start`."""

    def subscribers(self, event_type: str) -> frozenset[str]:
        """Return the addresses that get events of this type."""

    def call(self, to: str, envelope: Envelope[Any]) -> Awaitable[BusinessObject]:
        """Send a request; what is returned waits for its reply. Raises Failure or NoSuchAddress.

        Who calls bounds the wait; cancelling it ends the waiting only, never the work.
        """

    async def send(self, to: str, envelope: Envelope[Any]) -> None:
        """Hand a message over; returns when the receiver (or the broker) has taken it for good, raises when not."""

    async def start(self) -> None:
        """Begin delivering."""

    async def stop(self) -> None:
        """Stop delivering; returns when nothing is being delivered any more."""


class InProcessBus:
    """The bus inside one process: finds the receiver and awaits it. What must outlive the process is in the store's outbox.

    `deferred` is Twisted's class Deferred, which the cores may not import.
    """

    hands_over = False

    def __init__(self, deferred: Any) -> None:
        self._deferred = deferred
        self._receivers: dict[str, Receiver] = {}
        self._subscribers: dict[str, frozenset[str]] = {}
        self._running = False
        self._in_flight = 0
        self._idle: Any = None

    def receive(self, address: str, receiver: Receiver, events: frozenset[str] = frozenset()) -> None:
        """See `Bus.receive`."""
        if address in self._receivers:
            raise ValueError(f"{address} is taken")
        self._receivers[address] = receiver
        for event in events:
            self._subscribers[event] = self.subscribers(event) | {address}

    def subscribers(self, event_type: str) -> frozenset[str]:
        """See `Bus.subscribers`."""
        return self._subscribers.get(event_type, frozenset())

    def call(self, to: str, envelope: Envelope[Any]) -> Awaitable[BusinessObject]:
        """See `Bus.call`. Returns a Deferred."""
        answer = self._deferred()

        def done(outcome: Any) -> None:
            told = self._told(outcome, to, envelope)
            if not answer.called:
                answer.errback(told) if isinstance(told, Exception) else answer.callback(told)
            elif isinstance(told, Exception):
                _log.warning("%s %s failed after its asker had stopped waiting: %s", envelope.type, envelope.message_id, told)

        # The work runs by itself: cancelling the wait must not reach into the receiver.
        self._deliver(to, envelope).addBoth(done)
        waiting: Awaitable[BusinessObject] = answer
        return waiting

    @staticmethod
    def _told(outcome: Any, to: str, envelope: Envelope[Any]) -> BusinessObject | Exception:
        """What the caller gets of a receiver's outcome, a reply or Twisted's failure."""
        if isinstance(outcome, BusinessObject):
            return outcome
        match getattr(outcome, "value", None):
            case None:
                return Failure(Kind.INTERNAL, f"{envelope.type} has no answer")
            case (Failure() | NoSuchAddress()) as refused:
                return refused
            case TryAgain() as error:
                return Failure(Kind.UNAVAILABLE, str(error))
            case error:
                _log.error("the receiver at %s failed on %s %s", to, envelope.type, envelope.message_id, exc_info=error)
                return Failure(Kind.INTERNAL, "the request failed inside; it was not carried out")

    async def send(self, to: str, envelope: Envelope[Any]) -> None:
        """See `Bus.send`."""
        await self._deliver(to, envelope)

    async def start(self) -> None:
        """See `Bus.start`."""
        self._running = True

    async def stop(self) -> None:
        """See `Bus.stop`."""
        self._running = False
        while self._in_flight:
            if self._idle is None:
                self._idle = self._deferred()
            await self._idle

    def _deliver(self, to: str, envelope: Envelope[Any]) -> Any:
        """Let the receiver take a message; returns a Deferred of what came of it."""
        receiver = self._receivers.get(to)
        if receiver is None or not self._running:
            failed = self._deferred()
            failed.errback(NoSuchAddress(to) if receiver is None else TryAgain("the bus is stopped"))
            return failed
        self._in_flight += 1
        taking = receiver(envelope)
        # A receiver that waits for one thing only need not be a coroutine; each one costs as much as an answer's way out.
        done = taking if isinstance(taking, self._deferred) else self._deferred.fromCoroutine(taking)
        return done.addBoth(self._delivered)

    def _delivered(self, outcome: Any) -> Any:
        self._in_flight -= 1
        if not self._in_flight and self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)
        return outcome
