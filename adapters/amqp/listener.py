"""A listener: requests taken from a queue, answered where they say, acknowledged when all of it is durable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout

from adapters.amqp.connection import Broker
from adapters.amqp.consumer import Consumer
from adapters.amqp.dead import QUORUM, dead_letter, with_dead_letters
from adapters.amqp.delivery import Delivery
from adapters.amqp.errors import NotConnected, PublishError, Unroutable
from adapters.amqp.foreign import ForeignLanguage
from adapters.amqp.language import Asked, Language, Native
from adapters.amqp.link import Link
from adapters.amqp.settings import ListenerSettings
from adapters.amqp.trust import Parties
from adapters.pauses import Pauses
from plugins.api import BusinessObject, Envelope, Failure, Gateway, Kind, Surroundings, TryAgain
from protocols.amqp import Message, ReplyAddress, reply_address
from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mapping import Definition
from protocols.mapping.amqp import Consumes

_PASSING = frozenset({Kind.BUSY, Kind.TIMEOUT, Kind.UNAVAILABLE, Kind.INTERNAL})
"""Failures that time may heal. With somebody waiting they are answered at once; else the request is tried again."""
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0


class AmqpListener:
    """Requests over AMQP, and events. Satisfies `plugins.api.Service`; `publish` makes it a carrier of events."""

    def __init__(self, name: str, settings: ListenerSettings, gateway: Gateway, around: Surroundings) -> None:
        self.name = name
        self._settings = settings
        self._gateway = gateway
        self._reactor = around.reactor
        self._log = around.log
        self._language: Language = Native(gateway.catalogue, settings.events, settings.max_message_bytes)
        self._queue = settings.requests
        self._consumes: Consumes | None = None
        if settings.protocol is not None:
            foreign = ForeignLanguage(Definition.load(around.protocols[settings.protocol]), gateway.catalogue,
                                      settings.max_message_bytes)
            self._language, self._consumes, self._queue = foreign, foreign.consumes, foreign.consumes.queue
        self._parties = Parties(name, gateway, settings.party)
        self._broker = Broker(name, settings, reactor=around.reactor, site=around.site, log=around.log, set_up=self._set_up)
        self._consumer: Consumer | None = None
        self._in_hand = 0
        self._answered = 0
        self._buried = 0
        self._draining = False
        self._pauses = Pauses(around.reactor)
        self._idle: list[Deferred[None]] = []

    async def start(self) -> None:
        """Begin to connect, and wait a little for it, so that who is told that we are ready finds us consuming."""
        self._broker.start()
        try:
            await self._broker.ready().addTimeout(self._settings.start_timeout, self._reactor)
        except DeferredTimeout:
            self._log.warning("starting without the broker; it is tried again and again", listener=self.name,
                              broker=str(self._broker.url), reason=self._broker.reason)

    async def drain(self) -> None:
        """Take no new requests; return when those in hand are answered. What was delivered beyond goes back to the queue."""
        self._draining = True
        if self._consumer is not None and self._broker.link is not None:
            with suppress(NotConnected):  # nothing is consumed without a connection
                await self._consumer.end()
        self._pauses.end()
        if self._in_hand:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle

    async def retire(self) -> None:
        """Answer what is in hand and go: there is no conversation to keep up."""
        await self.drain()
        await self.stop()

    async def stop(self) -> None:
        """Close the connection; what has not been acknowledged goes back to the queue."""
        self._draining = True
        if self._consumer is not None:
            self._consumer.forget()
        await self._broker.stop()
        self._parties.close()

    def status(self) -> Mapping[str, Any]:
        """Tell the operator how it is."""
        link = self._broker.link
        state = "draining" if self._draining else "consuming" if self._broker.state == "connected" else self._broker.state
        return {"state": state, "address": str(self._broker.url), "reason": self._broker.reason, "in_flight": self._in_hand,
                "unconfirmed": link.in_flight if link else 0, "answered": self._answered, "dead_lettered": self._buried,
                "connections": self._broker.connections}

    async def publish(self, envelope: Envelope[Any]) -> None:
        """Publish an event; returns when the broker has it for good. Raises TryAgain, and Failure when it cannot be said."""
        try:
            message = self._language.event(envelope)
        except LocalProtocolError as error:
            raise Failure(Kind.INTERNAL, error.message) from None
        if message is None:
            return
        try:
            await self._broker.publish(message, mandatory=False)
        except PublishError as error:
            raise TryAgain(f"{self.name}: {error}") from None

    async def _set_up(self, link: Link) -> None:
        s = self._settings
        if self._consumes is None:
            await self._set_up_native(link)
        else:
            await self._set_up_foreign(link, self._consumes)
        if self._draining:
            return
        if self._consumer is not None:
            self._consumer.forget()
        self._consumer = Consumer(self._reactor, link, self._queue, self._delivered, prefetch=s.prefetch, watch=s.watch,
                                  proof=s.proof, full=lambda: self._in_hand >= s.prefetch, canary=self._consumes is None)
        await self._consumer.begin()

    async def _set_up_native(self, link: Link) -> None:
        s = self._settings
        given = not s.declare
        await link.declare_queue(s.dead, QUORUM, passive=given)
        await link.declare_exchange(s.requests, passive=given)
        await link.declare_exchange(s.events, passive=given)
        await link.declare_queue(s.requests, with_dead_letters(s.dead), passive=given)
        if s.declare:
            await link.bind(s.requests, s.requests, "#")

    async def _set_up_foreign(self, link: Link, consumes: Consumes) -> None:
        """A foreign system's queue is made only where its file says so; what is found is used as it is."""
        await link.declare_queue(self._settings.dead, QUORUM, passive=not self._settings.declare)
        made = with_dead_letters(self._settings.dead) if consumes.declare else None
        await link.declare_queue(consumes.queue, made, passive=not consumes.declare)
        for binding in consumes.bindings if consumes.declare else ():
            await link.bind(consumes.queue, binding.exchange, binding.routing_key)

    def _delivered(self, delivery: Delivery) -> None:
        if self._draining:
            return  # unsettled, it goes back to the queue when the connection is closed
        self._in_hand += 1
        Deferred.fromCoroutine(self._take(delivery)).addErrback(
            lambda failure: self._log.error("a message could not be dealt with", listener=self.name, exc_info=failure.value))

    async def _take(self, delivery: Delivery) -> None:
        try:
            await self._deal_with(delivery)
        except PublishError as error:
            # Its answer is not with the broker, so the request may not be gone either: it comes again and finds its answer stored.
            self._log.warning("an answer was not taken", listener=self.name, reason=str(error))
            delivery.requeue()
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                idle, self._idle = self._idle, []
                for done in idle:
                    done.callback(None)

    async def _deal_with(self, delivery: Delivery) -> None:
        to = reply_address(delivery.properties)
        asked: Asked | None = None
        try:
            asked = self._language.read(delivery)
            reply = await self._carry_out(asked, delivery, waited_for=to is not None)
        except RemoteProtocolError as error:
            await self._refuse(delivery, to, asked, Failure(Kind.MALFORMED, error.message))
        except Failure as failure:
            await self._refuse(delivery, to, asked, failure)
        except Exception as error:  # noqa: BLE001  # no message may hold its place for ever, whatever is wrong
            self._log.error("a request failed inside", listener=self.name, exc_info=error)
            await self._refuse(delivery, to, asked, Failure(Kind.INTERNAL, "the request failed inside"))
        else:
            if reply is None:
                delivery.requeue()
                return
            if to is not None:
                await self._answer(delivery, to, partial(self._language.reply, to, asked, reply))
            delivery.ack()
            self._answered += 1

    async def _refuse(self, delivery: Delivery, to: ReplyAddress | None, asked: Asked | None, failure: Failure) -> None:
        """Tell who waits; keep what nobody waits for, and what nobody can read, as a dead letter. Raises PublishError."""
        self._gateway.refused(failure, "amqp", context=asked.context if asked is not None else None)
        if to is not None:
            await self._answer(delivery, to, partial(self._language.fault, to, asked, delivery, failure))
        if to is None or failure.kind is Kind.MALFORMED:
            await self._bury(delivery, failure.kind, failure.message, failure)
        delivery.ack()
        self._answered += 1

    async def _carry_out(self, asked: Asked, delivery: Delivery, *, waited_for: bool) -> BusinessObject | None:
        """Return the reply, or None when there is no time left to try again. Raises Failure."""
        key = asked.context.idempotency_key
        if key is None and delivery.attempt and not asked.query:
            raise Failure(Kind.CONFLICT, "delivered before and without message_id: it may have been carried out already",
                          "message_id")
        for attempt in range(self._settings.attempts):
            try:
                return await self._gateway.dispatch(self._parties.session(asked.user), asked.body, asked.context)
            except Failure as failure:
                last = attempt + 1 == self._settings.attempts
                unsafe = key is None and failure.kind is Kind.TIMEOUT and not asked.query
                if waited_for or failure.kind not in _PASSING or last or unsafe:
                    raise
            await self._pause(attempt)
            if self._draining:
                return None
        raise AssertionError("attempts are at least one")

    async def _answer(self, delivery: Delivery, to: ReplyAddress, pack: Callable[[], Message]) -> None:
        """Send an answer. Where it cannot go, a dead letter tells so: the request itself is done. Raises PublishError."""
        try:
            # Of a direct reply RabbitMQ (3.10 at least) says that it could not be routed, also when it has delivered it.
            await self._surely(delivery, lambda: delivery.link.publish(pack(), mandatory=not to.direct))
        except (Unroutable, LocalProtocolError) as error:
            await self._bury(delivery, "unanswerable", str(error), None)

    async def _bury(self, delivery: Delivery, reason: str, text: str, failure: Failure | None) -> None:
        if delivery.settled:
            return
        context = {"uip-listener": self.name, "uip-field": failure and failure.field,
                   "uip-correlation-id": failure and failure.correlation_id}
        letter = dead_letter(self._settings.dead, delivery, str(reason), text, datetime.now(UTC), context)
        await self._surely(delivery, lambda: delivery.link.publish(letter))
        delivery.ack()
        self._buried += 1
        self._log.warning("message dead-lettered", listener=self.name, reason=str(reason), text=text,
                          message_id=str(delivery.properties.message_id), type=str(delivery.properties.type))

    async def _surely(self, delivery: Delivery, send: Callable[[], Deferred[None]]) -> None:
        """Send again until the broker has taken it, for as long as the request is ours. Raises PublishError."""
        attempt = 0
        while True:
            try:
                return await send()
            except Unroutable:
                raise
            except PublishError:
                if delivery.link.lost is not None or self._draining:
                    raise
            await self._pause(attempt)
            attempt += 1

    def _pause(self, attempt: int) -> Deferred[None]:
        """Wait, longer with each attempt; not while draining."""
        return succeed(None) if self._draining else self._pauses.wait(min(_LONGEST_DELAY, _FIRST_DELAY * 2.0**attempt))

