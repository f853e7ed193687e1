"""Dead letters: messages nobody can deal with, kept whole in a queue with the reason and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pika.data import encode_table

from adapters.amqp.delivery import Delivery
from adapters.amqp.link import Arguments
from protocols.amqp import Message, Properties

QUORUM: Arguments = {"x-queue-type": "quorum"}
"""A queue that survives the loss of a node of the broker's cluster."""

_MOST_BYTES = 255
_MOST_HEADERS = 1 << 16
_ROUTING = frozenset({"CC", "BCC"})  # RabbitMQ would send the copy to the queues these name, too


def with_dead_letters(dead: str, *, deliveries: int = 20) -> Arguments:
    """Arguments of a quorum queue whose messages the broker itself moves to queue `dead`, losing none: those that expire,
    and those delivered more than `deliveries` times without being settled (each time killing who took it, it seems).
    """
    return {**QUORUM, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, "x-delivery-limit": deliveries,
            "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


def dead_letter(dead: str, delivery: Delivery, reason: str, text: str, now: datetime, context: Mapping[str, Any]) -> Message:
    """Make the copy of a message for queue `dead`: its body and properties, and in headers `uip-*` why it is there, since
    when, and how it came. Of headers larger than 64 KB only their size is told.
    """
    p = delivery.properties
    why = {"uip-reason": reason, "uip-text": text, "uip-time": now.isoformat(), "uip-queue": delivery.queue,
           "uip-exchange": delivery.exchange, "uip-routing-key": delivery.routing_key, "uip-attempts": delivery.attempt + 1,
           "uip-user": p.user_id, "uip-expiration": p.expiration, **context}
    headers = {_short(name): _value(value) for name, value in delivery.headers.items() if name not in _ROUTING}
    if (size := encode_table([], headers)) > _MOST_HEADERS:
        headers = {"uip-headers-left-out": size}  # with ours they might be more than a frame, and the letter could never be sent
    headers.update((name, _value(value)) for name, value in why.items() if value not in (None, ""))
    # user_id and expiration are told in headers only: the broker would refuse another's name, and a dead letter stays.
    return Message("", dead, Properties(
        type=_short(p.type), message_id=_short(p.message_id), correlation_id=_short(p.correlation_id),
        reply_to=_short(p.reply_to), content_type=_short(p.content_type), content_encoding=_short(p.content_encoding),
        priority=p.priority, timestamp=p.timestamp, app_id=_short(p.app_id), headers=headers), delivery.body)


def _short(value: Any) -> Any:
    """Text as it can be sent on; what came as other bytes is made readable."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace").encode()[:_MOST_BYTES].decode(errors="ignore")
    return value


def _value(value: Any) -> Any:
    """A header's value as pika can encode it; what it cannot, as text."""
    if isinstance(value, dict):
        return {_short(name): _value(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_value(inner) for inner in value]
    if value is None or isinstance(value, str | bytes | bool | datetime):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    if isinstance(value, Decimal):
        return str(value)
    return str(value)
