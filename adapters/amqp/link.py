"""One connection to a broker and one channel on it: publish with confirms, consume, declare. Lives until either ends."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pika
import pika.exceptions
import pika.spec
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.task import LoopingCall

from adapters.amqp.errors import NotConnected, Refused, Unconfirmed, Unroutable
from adapters.amqp.wire import Wire
from core.ids import new_id
from protocols.amqp import Message

_log = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.5

Arguments = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class _Publish:
    message: Message
    properties: Any
    mandatory: bool
    since: float
    done: Deferred[None]


class Delivery:
    """A message that arrived. `ack` and `requeue` settle it, once; when the subscription it came by is gone they do nothing,
    for then the broker delivers it again.
    """

    __slots__ = ("_subscription", "_tag", "body", "exchange", "properties", "redelivered", "routing_key", "settled")

    def __init__(self, subscription: Subscription, method: Any, properties: Any, body: bytes) -> None:
        self._subscription = subscription
        self._tag = method.delivery_tag
        self.settled = False
        self.exchange: str = method.exchange
        self.routing_key: str | bytes = method.routing_key
        self.redelivered: bool = method.redelivered
        self.properties = properties
        self.body = body

    @property
    def link(self) -> Link:
        """The link it came by."""
        return self._subscription.link

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self._subscription.queue

    @property
    def gone(self) -> bool:
        """Whether the broker has it back, and delivers it again."""
        return self._subscription.gone

    @property
    def attempt(self) -> int:
        """How often it was delivered before; quorum queues count, others only know whether."""
        count = self.headers.get("x-delivery-count")
        return count if isinstance(count, int) else int(self.redelivered)

    @property
    def headers(self) -> Mapping[Any, Any]:
        """The message's headers; none where there are none or they cannot be read."""
        return self.properties.headers or {}

    def ack(self) -> None:
        """The message has been dealt with for good."""
        if not self.settled:
            self.settled = True
            self._subscription.settle(self._tag, requeue=False)

    def requeue(self) -> None:
        """Give it back to the queue."""
        if not self.settled:
            self.settled = True
            self._subscription.settle(self._tag, requeue=True)


class Subscription:
    """A consumer on a channel of its own. `unsettled` counts what it was given and has not settled. `orphaned` says that its
    queue was deleted: what it was given is nowhere else any more.
    """

    def __init__(self, link: Link, queue: str, channel: Any) -> None:
        self.link = link
        self.queue = queue
        self.tag = ""
        self.unsettled = 0
        self.orphaned = False
        self._channel = channel

    @property
    def gone(self) -> bool:
        """Whether the broker has back what came by it."""
        return not self.orphaned and not self._usable

    @property
    def _usable(self) -> bool:
        return self.link.lost is None and self._channel.is_open

    def settle(self, tag: int, *, requeue: bool) -> None:
        """See `Delivery`."""
        self.unsettled -= 1
        if self._usable:
            if requeue:
                self._channel.basic_nack(tag, requeue=True)
            else:
                self._channel.basic_ack(tag)

    async def cancel(self) -> None:
        """Take nothing more; what was delivered can still be settled."""
        if self._channel.is_open:
            await self.link.ask(self._channel, "basic_cancel", consumer_tag=self.tag)

    async def flush(self, prefetch: int) -> None:
        """A question that changes nothing: when it is answered, the broker has dealt with what was settled before it."""
        if self._usable:
            await self.link.ask(self._channel, "basic_qos", prefetch_count=prefetch)


class Link:
    """Made by `open_link`. `window` bounds the publishes without a confirm; as many again may wait for their turn.

    A publish ends after `confirm_timeout` seconds at the latest, whatever the broker does. `lost` says why the link has
    ended, None while it lives; `on_lost` is called once.
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
        self._channel.add_on_return_callback(self._on_return)
        await self._ask("confirm_delivery", ack_nack_callback=self._on_confirm)
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
        publish = _Publish(message, _properties(message), mandatory, self._reactor.seconds(), done)
        if self.blocked or self._waiting or len(self._unconfirmed) >= self._window:
            self._waiting.append(publish)
        else:
            self._write(publish)
        return done

    def _write(self, publish: _Publish) -> None:
        message = publish.message
        try:
            self._channel.basic_publish(message.exchange, message.routing_key, message.body, publish.properties,
                                        publish.mandatory)
        except Exception as error:  # noqa: BLE001  # what cannot be encoded was not sent; a closed channel ends the link by itself
            _fail(publish, NotConnected(f"not sent: {type(error).__name__}"))
            return
        self._sent += 1
        self._unconfirmed[self._sent] = publish

    def _on_return(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        # The return of a message comes before its confirm, but other messages' confirms may come in between, and one
        # confirm may stand for many: only our own id tells whose return it is.
        self._returned.setdefault(properties.message_id, []).append(f"{method.reply_text} ({method.routing_key})")

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        tags = [method.delivery_tag]
        if method.multiple:
            tags = []
            for tag in self._unconfirmed:  # in the order they were sent
                if tag > method.delivery_tag:
                    break
                tags.append(tag)
        nacked = isinstance(method, pika.spec.Basic.Nack)
        for tag in tags:
            publish = self._unconfirmed.pop(tag, None)
            if publish is not None:
                self._settle(publish, nacked)
        self._pump()

    def _settle(self, publish: _Publish, nacked: bool) -> None:
        returned = self._returned.get(publish.properties.message_id) if publish.mandatory and self._returned else None
        if returned:
            reason = returned.pop()
            if not returned:
                del self._returned[publish.properties.message_id]
            _fail(publish, Unroutable(reason))
        elif nacked:
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

        def delivered(_channel: Any, method: Any, properties: Any, body: bytes) -> None:
            subscription.unsettled += 1
            try:
                take(Delivery(subscription, method, properties, body))
            except Exception:  # noqa: BLE001  # an error must not reach pika, which would end the connection
                # Left unsettled: one prefetch slot less, and it is delivered again by the next link.
                _log.exception("a message from %s could not be taken", queue)

        channel.add_on_close_callback(closed)
        channel.add_on_cancel_callback(cancelled)
        await self.ask(channel, "basic_qos", prefetch_count=prefetch)
        frame = await self.ask(channel, "basic_consume", queue=queue, on_message_callback=delivered,
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
        if self.on_lost is not None:
            self.on_lost(reason)
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


def _properties(message: Message) -> Any:
    p = message.properties
    return pika.BasicProperties(
        content_type=p.content_type, content_encoding=p.content_encoding, headers=dict(p.headers) if p.headers else None,
        delivery_mode=p.delivery_mode, priority=p.priority, correlation_id=p.correlation_id, reply_to=p.reply_to,
        expiration=p.expiration, message_id=p.message_id or new_id(), timestamp=p.timestamp, type=p.type, user_id=p.user_id,
        app_id=p.app_id)


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
