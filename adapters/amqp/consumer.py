"""A consumer that is known to consume: it proves so at the start, and whenever it has been idle for a while.

A connection can look well and deliver nothing: the broker has forgotten the consumer, the peer is gone and TCP has not
noticed, the queue has lost its leader. The proof is a canary: a small message sent by us through the queue itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from adapters.amqp.delivery import Delivery, Subscription
from adapters.amqp.link import Link
from protocols.amqp import Message, Properties

CANARY = "uip.canary"
"""The `type` of a message that only proves that a queue is served. Whoever consumes it drops it."""


_MOST_CANARIES = 64
_FIRST_LOOK = 0.05


class Stalled(ConnectionError):
    """The consumer is connected but nothing is delivered to it."""


class Consumer:
    """Consumes `queue` on one link. `canary` is off for a queue that others consume too and that we may not write to: then
    only messages that wait in it while nothing is delivered give the consumer away. `full` says that no more can be taken
    at the moment, so that silence proves nothing. With `single_active` the broker serves one of the queue's consumers, and
    the others stand by. Times are in seconds.
    """

    def __init__(self, reactor: Any, link: Link, queue: str, take: Callable[[Delivery], None], *, prefetch: int,
                 watch: float, proof: float, full: Callable[[], bool] = lambda: False, canary: bool = True,
                 single_active: bool = False) -> None:
        self.queue = queue
        self._reactor = reactor
        self._link = link
        self._take = take
        self._prefetch = prefetch
        self._proof = proof
        self._full = full
        self._canary = canary
        self._single_active = single_active
        self._subscription: Subscription | None = None
        self._delivered = 0
        self._seen = 0
        self._proving: Deferred[None] | None = None
        self._watch_seconds = watch
        self._watch = LoopingCall(self._look)
        self._watch.clock = reactor

    async def begin(self) -> None:
        """Consume, and return when that is proven. Raises Stalled, or what ended the link."""
        self._subscription = await self._link.consume(self.queue, self._on_delivery, prefetch=self._prefetch)
        await self.prove()
        self._watch.start(self._watch_seconds, now=False).addErrback(lambda _: None)

    @property
    def active(self) -> bool:
        """Whether the broker has given it anything; of the consumers of a single-active queue only one gets something."""
        return self._delivered > 0

    @property
    def unsettled(self) -> int:
        """Messages given out and not settled yet."""
        return self._subscription.unsettled if self._subscription is not None else 0

    async def flush(self) -> None:
        """Return when the broker has everything that was settled so far."""
        if self._subscription is not None:
            await self._subscription.flush(self._prefetch)

    async def end(self) -> None:
        """Take no further messages; those in hand can still be settled."""
        self.forget()
        if self._subscription is not None:
            await self._subscription.cancel()

    def forget(self) -> None:
        """Stop watching; for a link that is gone."""
        if self._watch.running:
            self._watch.stop()

    async def prove(self) -> None:
        """Return when a message has come through the queue, or none can be expected. Raises Stalled when one should have."""
        before = self._delivered
        _, waiting, consumers = await self._link.declare_queue(self.queue, passive=True)
        if self._canary:
            # One for each consumer: they are served in turn, so ours is among them.
            for _ in range(min(max(consumers, 1), _MOST_CANARIES)):
                await self._link.publish(Message("", self.queue, Properties(type=CANARY, content_type=None), b""))
        elif not waiting:
            return
        left, step = self._proof, _FIRST_LOOK
        while self._delivered == before and left > 0:
            await self._arrival(min(step, left))
            left, step = left - step, step * 2
            if self._delivered == before and self._single_active and not before:
                # Standing by, it seems: whoever is active takes the canary, and proves itself.
                _, waiting, _ = await self._link.declare_queue(self.queue, passive=True)
                if not waiting:
                    return
        if self._delivered != before or (self._single_active and not before):
            return
        _, waiting, consumers = await self._link.declare_queue(self.queue, passive=True)
        # Nothing waits and others consume: they have taken the canaries, and the queue is served.
        if self._delivered == before and (waiting or consumers <= 1):
            raise Stalled(f"{self.queue}: {waiting} messages wait, {consumers} consumers, nothing was delivered")

    async def _arrival(self, seconds: float) -> None:
        """Wait for the next message, but not for ever."""
        arrived = self._proving = Deferred()
        late = self._reactor.callLater(seconds, arrived.callback, None)
        try:
            await arrived
        finally:
            self._proving = None
            if late.active():
                late.cancel()

    def _on_delivery(self, delivery: Delivery) -> None:
        self._delivered += 1
        if self._proving is not None:
            proving, self._proving = self._proving, None
            proving.callback(None)
        if delivery.properties.type == CANARY:
            delivery.ack()
        else:
            self._take(delivery)

    async def _look(self) -> None:
        seen, self._seen = self._seen, self._delivered
        if seen != self._delivered or self._link.lost is not None or self._full():
            return
        try:
            await self.prove()
        except Exception as error:  # noqa: BLE001  # no proof, for whatever reason: a new link has to give one
            self.forget()
            self._link.drop(error)
        self._seen = self._delivered
