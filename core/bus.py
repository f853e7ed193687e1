"""The bus: how a message reaches a core, a connector or the subscribers of an event. Two implementations pass one contract.

`InProcessBus` (here) is the reference; `adapters.bus` carries the same over RabbitMQ. What each promises is written as
tests in tests/contracts/ and both have to pass them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from core.messages.base import BusinessObject
from core.messages.envelope import Envelope

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

    def receive(self, address: str, receiver: Receiver, events: frozenset[str] = frozenset()) -> None:
        """Let `receiver` take what is sent to `address` and every event whose type is in `events`. Before `start`."""

    def subscribers(self, event_type: str) -> frozenset[str]:
        """Return the addresses that get events of this type."""

    async def call(self, to: str, envelope: Envelope[Any]) -> BusinessObject:
        """Send a request and wait for its reply. Raises Failure or NoSuchAddress.

        Who calls bounds the wait; cancelling it ends the waiting only, never the work.
        """

    async def send(self, to: str, envelope: Envelope[Any]) -> None:
        """Hand a message over; returns when the receiver (or the broker) has taken it for good, raises when not."""

    async def start(self) -> None:
        """Begin delivering."""

    async def stop(self) -> None:
        """Stop delivering; returns when nothing is being delivered any more."""
