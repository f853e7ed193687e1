"""A message that arrived, and the consumer it came by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.amqp import frames
from adapters.amqp.frames import Came, Head

if TYPE_CHECKING:
    from adapters.amqp.link import Link


class Delivery:
    """A message that arrived. `ack` and `requeue` settle it, once; when the subscription it came by is gone they do nothing,
    for then the broker delivers it again.
    """

    __slots__ = ("_subscription", "_tag", "body", "exchange", "properties", "redelivered", "routing_key", "settled")

    def __init__(self, subscription: Subscription, came: Came, properties: Head, body: bytes) -> None:
        self._subscription = subscription
        self._tag = came.tag
        self.settled = False
        self.exchange = came.exchange
        self.routing_key = came.routing_key
        self.redelivered = came.redelivered
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
        self.cancelled = False
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
            settlement = frames.nack if requeue else frames.ack
            self.link.send(settlement(self._channel.channel_number, tag))

    async def cancel(self) -> None:
        """Take nothing more; what was delivered can still be settled, and what is on its way is given back."""
        self.cancelled = True
        if self._channel.is_open:
            await self.link.ask(self._channel, "basic_cancel", consumer_tag=self.tag)

    async def flush(self, prefetch: int) -> None:
        """A question that changes nothing: when it is answered, the broker has dealt with what was settled before it."""
        if self._usable:
            await self.link.ask(self._channel, "basic_qos", prefetch_count=prefetch)
