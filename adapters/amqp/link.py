"""One connection to a broker and one channel on it: publish with confirms, consume, declare. Lives until either ends."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pika.exceptions
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.task import LoopingCall

from adapters.amqp import frames
from adapters.amqp.delivery import Delivery, Subscription
from adapters.amqp.errors import NotConnected, Refused, Unconfirmed, Unroutable
from adapters.amqp.frames import Came, Head, Traffic
from adapters.amqp.wire import Wire
from core.ids import new_id
from protocols.amqp import Message

_log = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.5

Arguments = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class _Publish:
    message: Message
    mandatory: bool
    since: float
    done: Deferred[None]


class Link:
    """Made by `open_link`. `window` bounds the publishes without a confirm; as many again may wait for their turn.

    A publish ends after `confirm_timeout` seconds at the latest, whatever the broker does. `lost` says why the link has
    ended, None while it lives; `on_lost` is called once, before those who wait are told.
    """

    def __init__(self, reactor: Any, wire: Wire, *, window: int, confirm_timeout: float) -> None:
        self.lost: Exception | None = None
        self.on_lost: Callable[[Exception], None] | None = None
        self.blocked = False
        self._reactor = reactor
        self._wire = wire
        self._window = window
        self._confirm_timeout = confirm_timeout
        self._channel: Any = None
        self._asked: dict[Deferred[Any], Any] = {}
        self._sent = 0
        self._unconfirmed: dict[int, _Publish] = {}
        self._waiting: deque[_Publish] = deque()
        self._returned: dict[str, list[str]] = {}
        self._leaving = False
        self._closing: list[Deferred[None]] = []
        self._sweep = LoopingCall(self._expire)
        self._sweep.clock = reactor

    async def begin(self) -> None:
        """Open the channel and switch confirms on."""
        self._wire.on_lost = self._end
        machine = self._wire.machine
        machine.add_on_connection_blocked_callback(lambda *_: self._block(on=True))
        machine.add_on_connection_unblocked_callback(lambda *_: self._block(on=False))
        self._channel = await self._open_channel()
        self._channel.add_on_close_callback(self._channel_closed)
        self._wire.watch(self._channel.channel_number, Traffic(returned=self._on_return, confirmed=self._on_confirm))
        await self._ask("confirm_delivery", ack_nack_callback=_past_pika)
        self._sweep.start(_SWEEP_SECONDS, now=False)

    # ---- publishing

    @property
    def in_flight(self) -> int:
        """Publishes that have not ended."""
        return len(self._unconfirmed) + len(self._waiting)

    def publish(self, message: Message, *, mandatory: bool = True) -> Deferred[None]:
        """Publish; fires when the broker has taken the message for good, fails with a PublishError.

        With `mandatory`, a message that no queue takes fails as Unroutable; without, it is dropped by the broker.
        """
        done: Deferred[None] = Deferred()
        if self.lost is not None or len(self._waiting) >= self._window:
            done.errback(NotConnected("no connection to the broker" if self.lost else "too many messages wait for the broker"))
            return done
        if message.properties.message_id is None:
            message = replace(message, properties=replace(message.properties, message_id=new_id()))
        publish = _Publish(message, mandatory, self._reactor.seconds(), done)
        if self.blocked or self._waiting or len(self._unconfirmed) >= self._window:
            self._waiting.append(publish)
        else:
            self._write(publish)
        return done

    def _write(self, publish: _Publish) -> None:
        if not self._channel.is_open:  # the link is about to end by itself
            _fail(publish, NotConnected("not sent: the channel is closed"))
            return
        try:
            written = frames.publish(self._channel.channel_number, publish.message, mandatory=publish.mandatory,
                                     longest=self._wire.longest)
        except Exception as error:  # noqa: BLE001  # whatever keeps it from being encoded, it was not sent
            _fail(publish, NotConnected(f"not sent: {type(error).__name__}"))
            return
        self._wire.send(written)
        self._sent += 1
        self._unconfirmed[self._sent] = publish

    def send(self, settlement: bytes) -> None:
        """Send the frame that settles a delivery."""
        self._wire.send(settlement)

    def _on_return(self, came: Came, properties: Head, _body: bytes) -> None:
        # The return of a message comes before its confirm, but other messages' confirms may come in between, and one
        # confirm may stand for many: only our own id tells whose return it is.
        self._returned.setdefault(properties.message_id, []).append(f"{came.reason!s} ({came.routing_key!s})")

    def _on_confirm(self, last: int, multiple: bool, taken: bool) -> None:
        tags = [last]
        if multiple:
            tags = []
            for tag in self._unconfirmed:  # in the order they were sent
                if tag > last:
                    break
                tags.append(tag)
        for tag in tags:
            publish = self._unconfirmed.pop(tag, None)
            if publish is not None:
                self._settle(publish, taken)
        if self._waiting:
            self._pump()

    def _settle(self, publish: _Publish, taken: bool) -> None:
        own = publish.message.properties.message_id or ""
        returned = self._returned.get(own) if publish.mandatory and self._returned else None
        if returned:
            reason = returned.pop()
            if not returned:
                del self._returned[own]
            _fail(publish, Unroutable(reason))
        elif not taken:
            _fail(publish, Refused("the broker refused the message"))
        elif not publish.done.called:
            publish.done.callback(None)

    def _pump(self) -> None:
        while self._waiting and not self.blocked and self.lost is None and len(self._unconfirmed) < self._window:
            self._write(self._waiting.popleft())

    def _block(self, *, on: bool) -> None:
        self.blocked = on
        _log.warning("the broker %s", "takes no messages for want of memory or disk" if on else "takes messages again")
        self._pump()

    def _expire(self) -> None:
        before = self._reactor.seconds() - self._confirm_timeout
        while self._waiting and self._waiting[0].since < before:
            _fail(self._waiting.popleft(), NotConnected("the broker takes no messages"))
        late = []
        for tag, publish in self._unconfirmed.items():
            if publish.since >= before:
                break
            late.append(tag)
        for tag in late:
            _fail(self._unconfirmed.pop(tag), Unconfirmed(f"no confirm within {self._confirm_timeout:g} s"))
        self._pump()

    # ---- consuming

    async def consume(self, queue: str, take: Callable[[Delivery], None], *, prefetch: int,
                      arguments: Arguments | None = None) -> Subscription:
        """Have the queue's messages given to `take`, at most `prefetch` unsettled ones at a time."""
        channel = await self._open_channel()
        subscription = Subscription(self, queue, channel)

        def closed(_channel: Any, reason: Exception) -> None:
            if not self._leaving:
                self.drop(reason)

        def cancelled(_frame: Any) -> None:
            subscription.orphaned = True
            self.drop(ConnectionError(f"the broker ended the consumer of {queue}: deleted?"))

        def delivered(came: Came, properties: Head, body: bytes) -> None:
            subscription.unsettled += 1
            delivery = Delivery(subscription, came, properties, body)
            if subscription.cancelled:
                delivery.requeue()
                return
            try:
                take(delivery)
            except Exception:  # noqa: BLE001  # an error must not end the connection
                # Left unsettled: one prefetch slot less, and it is delivered again by the next link.
                _log.exception("a message from %s could not be taken", queue)

        channel.add_on_close_callback(closed)
        channel.add_on_cancel_callback(cancelled)
        self._wire.watch(channel.channel_number, Traffic(delivered=delivered))
        await self.ask(channel, "basic_qos", prefetch_count=prefetch)
        frame = await self.ask(channel, "basic_consume", queue=queue, on_message_callback=_past_pika,
                               arguments=dict(arguments or {}))
        subscription.tag = frame.method.consumer_tag
        return subscription

    # ---- declaring

    async def declare_exchange(self, name: str, kind: str = "topic", *, passive: bool = False) -> None:
        """Make a durable exchange, or see that it is there (`passive`)."""
        await self._ask("exchange_declare", exchange=name, exchange_type=kind, durable=True, passive=passive)

    async def declare_queue(self, name: str, arguments: Arguments | None = None, *, passive: bool = False,
                            durable: bool = True, exclusive: bool = False) -> tuple[str, int, int]:
        """Make a queue, or see that it is there; returns its name and how many messages and consumers it has."""
        frame = await self._ask("queue_declare", queue=name, passive=passive, durable=durable, exclusive=exclusive,
                                auto_delete=False, arguments=dict(arguments or {}))
        return frame.method.queue, frame.method.message_count, frame.method.consumer_count

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Have the exchange route what matches to the queue."""
        await self._ask("queue_bind", queue=queue, exchange=exchange, routing_key=routing_key)

    # ---- ending

    def close(self) -> Deferred[None]:
        """Say goodbye to the broker; fires when the connection is down. The caller bounds the wait, and drops."""
        down: Deferred[None] = Deferred()
        if self.lost is not None:
            down.callback(None)
            return down
        self._closing.append(down)
        machine = self._wire.machine
        if machine.is_open:
            self._leaving = True
            machine.close()
        return down

    def drop(self, reason: Exception) -> None:
        """End the link now, without a word to the broker."""
        self._end(reason)
        self._wire.drop(reason)

    def _channel_closed(self, _channel: Any, reason: Exception) -> None:
        if not self._leaving:
            self.drop(reason)

    def _end(self, reason: Exception) -> None:
        if self.lost is not None:
            return
        self.lost = reason
        if self._sweep.running:
            self._sweep.stop()
        if self.on_lost is not None:
            self.on_lost(reason)  # first: who is told below may try again at once, and must not find this link
        for asked in tuple(self._asked):
            self._asked_no_more(asked)
            if not asked.called:
                asked.errback(NotConnected(_said(reason)))
        for publish in self._unconfirmed.values():
            _fail(publish, Unconfirmed(f"connection lost before the confirm: {_said(reason)}"))
        for publish in self._waiting:
            _fail(publish, NotConnected("connection lost before it was sent"))
        self._unconfirmed.clear()
        self._waiting.clear()
        for down in self._closing:
            down.callback(None)

    # ---- channel methods

    async def _open_channel(self) -> Any:
        opened = self.asking()
        if self.lost is None:
            try:
                self._wire.machine.channel(None, lambda channel: self.answer(opened, channel))
            except pika.exceptions.AMQPError as error:
                self._asked_no_more(opened)
                opened.errback(NotConnected(_said(error)))
        return await opened

    def asking(self) -> Deferred[Any]:
        """What to wait on for an answer of the broker. A broker that gives none in time ends the link, and that ends the
        waiting, with NotConnected.
        """
        asked: Deferred[Any] = Deferred()
        if self.lost is None:
            silent = TimeoutError(f"the broker gave no answer within {self._confirm_timeout:g} s")
            self._asked[asked] = self._reactor.callLater(self._confirm_timeout, self.drop, silent)
        else:
            asked.errback(NotConnected(_said(self.lost)))
        return asked

    def answer(self, asked: Deferred[Any], value: Any) -> None:
        """The broker has answered."""
        self._asked_no_more(asked)
        if not asked.called:
            asked.callback(value)

    def _asked_no_more(self, asked: Deferred[Any]) -> None:
        late = self._asked.pop(asked, None)
        if late is not None and late.active():
            late.cancel()

    def ask(self, channel: Any, method: str, **arguments: Any) -> Deferred[Any]:
        """Call a method of pika's channel and wait for the broker's answer."""
        asked = self.asking()
        if not asked.called:
            try:
                getattr(channel, method)(callback=lambda frame: self.answer(asked, frame), **arguments)
            except pika.exceptions.AMQPError as error:
                self._asked_no_more(asked)
                asked.errback(NotConnected(_said(error)))
        return asked

    def _ask(self, method: str, **arguments: Any) -> Deferred[Any]:
        return self.ask(self._channel, method, **arguments)


def _fail(publish: _Publish, error: Exception) -> None:
    if not publish.done.called:
        publish.done.errback(error)


def _said(reason: Exception) -> str:
    """A reason for people: pika's errors often have their words only in repr()."""
    return str(reason) or repr(reason)


def _past_pika(*_: Any) -> None:
    """Pika wants to be told who takes what `Wire.watch` never lets it see."""


async def open_link(reactor: Any, endpoint: Any, parameters: Any, *, window: int, confirm_timeout: float,
                    timeout: float) -> Link:
    """Connect and open a channel, within `timeout` seconds after the endpoint's own. Raises OSError, a Twisted connect
    error or pika's AMQPError. Cancelling gives it up at once.
    """
    wire = Wire(reactor, parameters)
    connected: Deferred[Any] = connectProtocol(endpoint, wire)
    await connected
    late = reactor.callLater(timeout, wire.drop, TimeoutError(f"the broker did not let us in within {timeout:g} s"))
    try:
        await wire.opened
        link = Link(reactor, wire, window=window, confirm_timeout=confirm_timeout)
        await link.begin()
    except BaseException:
        wire.drop(ConnectionError("given up before it was open"))
        raise
    finally:
        if late.active():
            late.cancel()
    return link
