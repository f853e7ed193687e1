"""One partition of every address, consumed on a connection of its own, so that it can be left to another process in order.

RabbitMQ (tried with 3.10) keeps the order of a quorum queue with a single active consumer when that consumer's connection
breaks: what it had not settled is given back first, then the next consumer is served. When a channel or a connection is
closed in good order it is the other way round, and the next consumer gets later messages before the earlier ones. So a
partition is always left by breaking its connection, after the broker has what was settled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from adapters.amqp.connection import Broker
from adapters.amqp.consumer import Consumer
from adapters.amqp.dead import with_dead_letters
from adapters.amqp.delivery import Delivery
from adapters.amqp.errors import PublishError
from adapters.amqp.link import Arguments, Link
from adapters.bus.settings import BusSettings

_LOOK_AGAIN_SECONDS = 0.02


def kept(dead: str) -> Arguments:
    """Arguments of a partition's queue."""
    return {**with_dead_letters(dead), "x-single-active-consumer": True}


class Partition:
    """`serve` begins to consume on a new link. While `resting`, nothing more is taken: what comes is left for the next one."""

    def __init__(self, number: int, settings: BusSettings, *, reactor: Any, site: Path, log: Any,
                 serve: Callable[[Link, Partition], Awaitable[list[Consumer]]]) -> None:
        self.number = number
        self.resting = False
        self._reactor = reactor
        self._patience = settings.proof
        self._serve = serve
        self._consumers: list[Consumer] = []
        self._left = 0
        self._stopping = False
        self.broker = Broker(f"bus partition {number}", settings, reactor=reactor, site=site, log=log, set_up=self._set_up)

    @property
    def active(self) -> bool:
        """Whether the broker serves this process from the partition."""
        return self.broker.link is not None and any(consumer.active for consumer in self._consumers)

    def start(self) -> None:
        """Begin to connect."""
        self.broker.start()

    def ready(self) -> Deferred[None]:
        """Fire when it consumes, or stands by."""
        return self.broker.ready()

    def guarded(self, take: Callable[[Delivery], None]) -> Callable[[Delivery], None]:
        """Make what takes the partition's messages: nothing while resting."""
        def taking(delivery: Delivery) -> None:
            if self.resting:
                self._left += 1
            else:
                take(delivery)

        return taking

    async def step_back(self) -> None:
        """Leave the partition to the next process that waits for it, and wait for it in turn."""
        self.resting = True
        until = self._reactor.seconds() + self._patience
        while self._in_hand() > 0 and self._reactor.seconds() < until:
            await self._pause()
        # What takes longer than that is delivered to the next process too, as if this one had fallen.
        await self._flush()
        if self.broker.link is not None and not self._stopping:
            self.broker.link.drop(ConnectionError("left to another process"))

    async def stop(self) -> None:
        """Leave for good; what was taken has been settled before."""
        self._stopping = self.resting = True
        for consumer in self._consumers:
            consumer.forget()
        await self._flush()
        await self.broker.stop(abruptly=True)

    async def _set_up(self, link: Link) -> None:
        for old in self._consumers:
            old.forget()
        self._left = 0
        self.resting = self._stopping
        self._consumers = await self._serve(link, self)

    def _in_hand(self) -> int:
        return sum(consumer.unsettled for consumer in self._consumers) - self._left

    async def _flush(self) -> None:
        if self.broker.link is not None:
            await DeferredList([spawn(_quietly(consumer.flush())) for consumer in self._consumers])

    def _pause(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self._reactor.callLater(_LOOK_AGAIN_SECONDS, done.callback, None)
        return done


async def _quietly(flushing: Awaitable[None]) -> None:
    try:
        await flushing
    except PublishError:
        return  # the link is gone, and with it what it could still have told the broker


def spawn(work: Coroutine[Any, Any, Any] | Deferred[Any]) -> Deferred[Any]:
    """Begin to run a coroutine."""
    return work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)


def all_of(work: Iterable[Coroutine[Any, Any, Any] | Deferred[Any]]) -> Deferred[None]:
    """Run side by side; fails with the first error when all have ended."""
    def judged(results: list[tuple[bool, Any]]) -> None:
        for well, value in results:
            if not well:
                raise value.value

    return DeferredList([spawn(one) for one in work], consumeErrors=True).addCallback(judged)
