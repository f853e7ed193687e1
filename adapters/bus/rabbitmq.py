"""The bus over RabbitMQ (`core.bus.Bus`): what is sent is with the broker for good; what is called is answered or not.

Each address has one queue for calls (messages in memory: who called waits, and asks again if the broker falls) and
`partitions` quorum queues for what is sent. A message's key chooses the partition; of the processes that serve an address
the broker lets one at a time take from a partition (single active consumer), and there each key has a lane. So messages of
one key are handled in the order they were sent, and everything else side by side. A process that has more than its share of
the partitions steps back from them one by one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import LoopingCall

from adapters.amqp.connection import Broker
from adapters.amqp.consumer import Consumer
from adapters.amqp.dead import QUORUM, dead_letter
from adapters.amqp.delivery import Delivery
from adapters.amqp.errors import PublishError, Unconfirmed, Unroutable
from adapters.amqp.link import Link
from adapters.bus.lanes import Lanes
from adapters.bus.partition import Partition, all_of, kept, spawn
from adapters.bus.settings import BusSettings
from adapters.pauses import Pauses
from adapters.store.relay import Retrying
from core.bus import NoSuchAddress, Receiver, TryAgain
from core.ids import new_id
from core.messages.base import BusinessObject, as_json
from core.messages.envelope import Envelope, ModelOf
from core.messages.failures import Failure, Fault, Kind
from protocols.amqp import Message, Properties

_TRANSIENT = 1
_PERSISTENT = 2
_REPLIES_KEPT = 60_000
"""Milliseconds for which answers wait for a process whose connection is being made anew."""


@dataclass(frozen=True, slots=True)
class _Address:
    """Who receives there in this process, if anybody does, and which events go there."""

    receiver: Receiver | None
    events: frozenset[str]


class RabbitBus:
    """See `core.bus.Bus`. `receive` names an address served here, `know` one that another process serves."""

    hands_over = True

    def __init__(self, settings: BusSettings, *, reactor: Any, site: Path, log: Any, model_of: ModelOf) -> None:
        self._settings = settings
        self._reactor = reactor
        self._log = log
        self._model_of = model_of
        self._broker = Broker("bus", settings, reactor=reactor, site=site, log=log, set_up=self._set_up)
        self._retrying = Retrying(settings.retry_delay, settings.retry_longest_delay, settings.attempts)
        self._addresses: dict[str, _Address] = {}
        self._consumers: list[Consumer] = []
        self._partitions = [Partition(number, settings, reactor=reactor, site=site, log=log, serve=self._serve)
                            for number in range(settings.partitions)]
        self._sharing = LoopingCall(self._share)
        self._sharing.clock = reactor
        self._replies = f"{settings.prefix}.replies.{new_id()}"
        self._calls: dict[str, Deferred[BusinessObject]] = {}
        self._lanes = Lanes(lambda error: log.error("a message on the bus could not be dealt with", exc_info=error))
        self._pauses = Pauses(reactor)
        self._running = False

    def receive(self, address: str, receiver: Receiver, events: frozenset[str] = frozenset()) -> None:
        """See `Bus.receive`."""
        if address in self._addresses:
            raise ValueError(f"{address} is taken")
        self._addresses[address] = _Address(receiver, events)

    def know(self, address: str, events: frozenset[str] = frozenset()) -> None:
        """Say that another process receives at `address`; its messages wait there even before it has first started."""
        self._addresses.setdefault(address, _Address(None, events))

    def subscribers(self, event_type: str) -> frozenset[str]:
        """See `Bus.subscribers`."""
        return frozenset(name for name, address in self._addresses.items() if event_type in address.events)

    def status(self) -> Mapping[str, Any]:
        """Tell the operator how it is."""
        return {"state": self._broker.state, "peer": str(self._broker.url), "reason": self._broker.reason,
                "calls": len(self._calls), "connections": self._broker.connections,
                "partitions": sum(partition.active for partition in self._partitions)}

    async def start(self) -> None:
        """See `Bus.start`. Returns when the broker is reached, or a little later without it."""
        self._running = True
        self._sharing.start(self._settings.watch, now=False).addErrback(lambda _: None)
        self._broker.start()
        for partition in self._partitions:
            partition.start()
        try:
            ready = all_of([self._broker.ready(), *(partition.ready() for partition in self._partitions)])
            await ready.addTimeout(self._settings.start_timeout, self._reactor)
        except DeferredTimeout:
            self._log.warning("the bus starts without its broker; it is tried again and again", broker=str(self._broker.url),
                              reason=self._broker.reason)

    async def stop(self) -> None:
        """See `Bus.stop`."""
        self._running = False
        if self._sharing.running:
            self._sharing.stop()
        for consumer in self._consumers:
            consumer.forget()
        if self._broker.link is not None:
            await DeferredList([spawn(c.end()) for c in self._consumers if c.queue != self._replies], consumeErrors=True)
        for partition in self._partitions:
            partition.resting = True
        self._pauses.end()
        await self._lanes.idle()
        await DeferredList([spawn(partition.stop()) for partition in self._partitions])
        await self._answers()
        await self._broker.stop()
        calls, self._calls = self._calls, {}
        for waiting in calls.values():
            _fire(waiting, Failure(Kind.UNAVAILABLE, "the bus is stopped"))

    async def _answers(self) -> None:
        """Wait a little for the answers that are under way."""
        if self._calls and self._broker.link is not None:
            with suppress(DeferredTimeout):
                await DeferredList([self._ending(answer) for answer in self._calls.values()]).addTimeout(
                    self._settings.proof, self._reactor)

    @staticmethod
    def _ending(answer: Deferred[BusinessObject]) -> Deferred[None]:
        ended: Deferred[None] = Deferred()

        def passing(outcome: Any) -> Any:
            ended.callback(None)
            return outcome

        answer.addBoth(passing)
        return ended

    # ---- sending

    async def send(self, to: str, envelope: Envelope[Any]) -> None:
        """See `Bus.send`: the broker keeps the message and delivers it until it is taken, refused or given up."""
        if not self._running:
            raise TryAgain("the bus is stopped")
        properties = Properties(type=envelope.type, message_id=new_id(), delivery_mode=_PERSISTENT,
                                headers={"attempt": envelope.attempt} if envelope.attempt else None)
        try:
            await self._broker.publish(Message("", self._partition(to, envelope), properties, envelope.to_json()))
        except Unroutable:
            raise NoSuchAddress(to) from None
        except PublishError as error:
            raise TryAgain(str(error)) from None

    async def call(self, to: str, envelope: Envelope[Any]) -> BusinessObject:
        """See `Bus.call`."""
        if not self._running:
            raise Failure(Kind.UNAVAILABLE, "the bus is stopped")
        call_id = new_id()
        properties = Properties(type=envelope.type, message_id=call_id, delivery_mode=_TRANSIENT, reply_to=self._replies,
                                headers={"attempt": envelope.attempt} if envelope.attempt else None)
        answer: Deferred[BusinessObject] = Deferred()
        self._calls[call_id] = answer
        try:
            try:
                await self._broker.publish(Message("", self._calls_of(to), properties, envelope.to_json()))
            except Unroutable:
                raise NoSuchAddress(to) from None
            except Unconfirmed:
                pass  # it may have arrived: the answer will tell, or whoever called stops waiting
            except PublishError as error:
                raise Failure(Kind.UNAVAILABLE, str(error)) from None
            return await answer
        finally:
            self._calls.pop(call_id, None)

    def _partition(self, address: str, envelope: Envelope[Any]) -> str:
        number = zlib.crc32((envelope.key or envelope.message_id).encode()) % self._settings.partitions
        return self._queue(address, number)

    def _queue(self, address: str, number: int) -> str:
        return f"{self._settings.prefix}.{address}.{number}"

    def _calls_of(self, address: str) -> str:
        return f"{self._settings.prefix}.{address}.calls"

    @property
    def _dead(self) -> str:
        return f"{self._settings.prefix}.dead"

    # ---- receiving

    async def _set_up(self, link: Link) -> None:
        for old in self._consumers:
            old.forget()
        self._consumers = []
        await link.declare_queue(self._dead, QUORUM)
        await link.declare_queue(self._replies, {"x-expires": _REPLIES_KEPT}, durable=False)
        await all_of(link.declare_queue(self._queue(name, number), kept(self._dead))
                   for name in self._addresses for number in range(self._settings.partitions))
        await all_of(link.declare_queue(self._calls_of(name)) for name in self._addresses)
        if not self._running:
            return
        self._consumers.append(self._consumer(link, self._replies, self._on_reply))
        self._consumers += [self._consumer(link, self._calls_of(name), self._taker(address.receiver, self._answer))
                            for name, address in self._addresses.items() if address.receiver is not None]
        await all_of(consumer.begin() for consumer in self._consumers)

    async def _serve(self, link: Link, partition: Partition) -> list[Consumer]:
        """Consume a partition of every address that is served here, on the partition's own link."""
        consumers = []
        for name, address in self._addresses.items():
            if address.receiver is not None and self._running:
                queue = self._queue(name, partition.number)
                await link.declare_queue(queue, kept(self._dead))
                take = partition.guarded(self._taker(address.receiver, self._take))
                consumers.append(self._consumer(link, queue, take, single_active=True))
        await all_of(consumer.begin() for consumer in consumers)
        return consumers

    async def _share(self) -> None:
        """Leave other processes their share of the partitions: the broker gives them all to whoever comes first."""
        link = self._broker.link
        served = [name for name, address in self._addresses.items() if address.receiver is not None]
        if link is None or not served:
            return
        try:
            processes = max(1, min([(await link.declare_queue(self._calls_of(name), passive=True))[2] for name in served]))
            mine = [partition for partition in self._partitions if partition.active]
            if len(mine) > -(-len(self._partitions) // processes) and self._running:
                await mine[-1].step_back()
        except PublishError as error:
            self._log.info("the partitions could not be shared", reason=str(error))  # the link is gone; the next one will tell

    def _consumer(self, link: Link, queue: str, take: Callable[[Delivery], None], *, single_active: bool = False) -> Consumer:
        s = self._settings
        return Consumer(self._reactor, link, queue, take, prefetch=s.prefetch, watch=s.watch, proof=s.proof,
                        single_active=single_active)

    def _taker(self, receiver: Receiver, deal_with: Callable[[Receiver, Delivery, Envelope[Any]], Any]) -> Callable[[Delivery], None]:
        def take(delivery: Delivery) -> None:
            if not self._running:
                return  # unsettled, it goes back to the queue when the connection is closed
            try:
                attempt = delivery.headers.get("attempt", 0) + delivery.attempt
                envelope = Envelope.from_json(delivery.body, self._model_of, attempt=attempt)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                reason = type(error).__name__ if isinstance(error, ValidationError) else repr(error)
                self._lanes.add("", lambda: self._bury(delivery, "malformed", f"not a message of the bus: {reason}"))
                return
            key = envelope.key if deal_with == self._take else ""
            self._lanes.add(key, lambda: deal_with(receiver, delivery, envelope))

        return take

    async def _take(self, receiver: Receiver, delivery: Delivery, envelope: Envelope[Any]) -> None:
        """Have a message taken, however often it has to be tried; give it up only when that is hopeless."""
        tries = 0
        while self._running and not delivery.gone:
            at_least = None
            try:
                await receiver(envelope)
            except Failure as refusal:
                return await self._bury(delivery, refusal.kind, refusal.message)
            except TryAgain as error:
                at_least = error.delay
            except Exception as error:  # noqa: BLE001  # whatever a receiver raises, it has not taken the message
                self._log.error("a receiver failed", type=envelope.type, message_id=envelope.message_id, exc_info=error)
                if tries + 1 >= self._retrying.attempts:
                    return await self._bury(delivery, "failed", f"{type(error).__name__} after {tries + 1} attempts")
            else:
                delivery.ack()
                return None
            await self._pauses.wait(self._retrying.delay(tries, at_least))
            tries += 1
            envelope = replace(envelope, attempt=envelope.attempt + 1)
        return None

    async def _answer(self, receiver: Receiver, delivery: Delivery, envelope: Envelope[Any]) -> None:
        """Answer a call, with what came of it or why nothing did."""
        reply: BusinessObject | None
        try:
            reply = await receiver(envelope)
            if reply is None:
                reply = Fault(code=Kind.INTERNAL, message=f"{envelope.type} has no answer")
        except Failure as failure:
            reply = failure.fault()
        except TryAgain as error:
            reply = Failure(Kind.UNAVAILABLE, str(error)).fault()
        except Exception as error:  # noqa: BLE001  # the caller gets an answer whatever goes wrong here
            self._log.error("a receiver failed", type=envelope.type, message_id=envelope.message_id, exc_info=error)
            reply = Fault(code=Kind.INTERNAL, message="the request failed inside; it was not carried out")
        to, call_id = delivery.properties.reply_to, delivery.properties.message_id
        try:
            await delivery.link.publish(Message("", to, Properties(
                type=type(reply).__name__, correlation_id=call_id, delivery_mode=_TRANSIENT),
                as_json(reply).encode()))
        except PublishError as error:
            # The work is done and stored; who asked is gone, or asks again and finds it.
            self._log.info("an answer reached nobody", type=envelope.type, message_id=envelope.message_id, reason=str(error))
        delivery.ack()

    def _on_reply(self, delivery: Delivery) -> None:
        delivery.ack()
        waiting = self._calls.pop(delivery.properties.correlation_id, None)
        if waiting is None:
            return  # whoever called has stopped waiting
        try:
            reply = self._model_of(delivery.properties.type).model_validate_json(delivery.body)
        except (ValueError, KeyError):
            _fire(waiting, Failure(Kind.INTERNAL, "the answer cannot be read"))
            return
        _fire(waiting, Failure.of(reply) if isinstance(reply, Fault) else reply)

    async def _bury(self, delivery: Delivery, reason: str, text: str) -> None:
        letter = dead_letter(self._dead, delivery, str(reason), text, datetime.now(UTC), {})
        attempt = 0
        while True:
            if delivery.gone or not self._running:
                return  # unsettled, it comes again
            try:
                await self._broker.publish(letter)
                break
            except PublishError as error:
                self._log.info("a dead letter has to wait", queue=delivery.queue, reason=str(error))
            await self._pauses.wait(self._retrying.delay(attempt, None))
            attempt += 1
        delivery.ack()
        self._log.error("message dead-lettered", queue=delivery.queue, reason=str(reason), text=text,
                        type=str(delivery.properties.type))


def _fire(waiting: Deferred[BusinessObject], outcome: BusinessObject | Failure) -> None:
    if waiting.called:
        return
    if isinstance(outcome, Failure):
        waiting.errback(outcome)
    else:
        waiting.callback(outcome)
