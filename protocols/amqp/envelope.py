"""Requests, replies, faults and events as AMQP messages: properties (AMQP 0-9-1, class basic) and a JSON body.

A request's name is its `type`, or its routing key where no type is given (a message put straight on the queue has the
queue's name for a routing key). `message_id` is the idempotency key. The answer goes to `reply_to` by the default
exchange with the request's `correlation_id`, or with its `message_id` where it has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from protocols.base import LocalProtocolError, RemoteProtocolError

FAULT = "Fault"
"""The `type` of a reply that says why there is none."""
JSON_TYPE = "application/json"
PERSISTENT = 2
_SHORT = 255
"""Bytes a short string can hold (AMQP 0-9-1, 4.2.5.3)."""


class Head(Protocol):
    """The properties of a message that arrived. Text that is not UTF-8 is left as bytes."""

    content_type: Any
    content_encoding: Any
    headers: Any
    correlation_id: Any
    reply_to: Any
    message_id: Any
    type: Any
    user_id: Any


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of a message to be sent. `timestamp` is in seconds since 1970, `expiration` milliseconds as text."""

    type: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = JSON_TYPE
    content_encoding: str | None = None
    delivery_mode: int = PERSISTENT
    priority: int | None = None
    expiration: str | None = None
    timestamp: int | None = None
    user_id: str | None = None
    app_id: str | None = None
    headers: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be sent; exchange "" is the default one, which routes to the queue the routing key names."""

    exchange: str
    routing_key: str
    properties: Properties
    body: bytes


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """Where an answer goes, and what it is known by there."""

    queue: str
    correlation_id: str | None

    @property
    def direct(self) -> bool:
        """Whether it is no queue but a channel that waits (RabbitMQ's direct reply-to)."""
        return self.queue.startswith("amq.rabbitmq.reply-to.")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came. `body` is JSON text, not yet looked into; `user` is the name the broker vouches for."""

    name: str
    body: bytes
    key: str | None = None
    correlation_id: str | None = None
    deadline: datetime | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyFault:
    """What a reply of type `Fault` says."""

    code: str
    message: str
    field: str | None = None
    correlation_id: str | None = None


def reply_address(head: Head) -> ReplyAddress | None:
    """Where the sender wants its answer, if it says so in a way that can be followed."""
    queue = head.reply_to
    if not isinstance(queue, str) or not queue:
        return None
    known_by = head.correlation_id if head.correlation_id is not None else head.message_id
    return ReplyAddress(queue, known_by if isinstance(known_by, str) else None)


def read_request(routing_key: str | bytes, head: Head, body: bytes, *, max_bytes: int) -> Request:
    """Read a request's properties. Raises RemoteProtocolError with what is wrong in words meant for the sender."""
    if len(body) > max_bytes:
        raise RemoteProtocolError(f"the body has {len(body)} bytes; {max_bytes} are allowed")
    _content(head)
    if getattr(head, "damaged", False):
        raise RemoteProtocolError("the headers cannot be read")
    name = _text("type", head.type) or _text("the routing key", routing_key)
    if not name:
        raise RemoteProtocolError("neither type nor routing key names the request")
    return Request(name, body, _text("message_id", head.message_id), _text("correlation_id", head.correlation_id),
                   _deadline(head.headers), _text("user_id", head.user_id))


def _content(head: Head) -> None:
    kind = _text("content_type", head.content_type)
    if kind:
        media, _, parameters = kind.partition(";")
        charset = parameters.strip().lower().removeprefix("charset=").strip('"')
        if media.strip().lower() != JSON_TYPE or charset not in ("", "utf-8", "utf8"):
            raise RemoteProtocolError(f"content_type is {kind[:100]}; it must be application/json, in UTF-8")
    if (_text("content_encoding", head.content_encoding) or "utf-8").lower() not in ("utf-8", "utf8", "identity"):
        raise RemoteProtocolError("content_encoding is not supported")


def _text(what: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isprintable():
        raise RemoteProtocolError(f"{what} is not printable text in UTF-8")
    return value


def _deadline(headers: Any) -> datetime | None:
    given = headers.get("deadline") if isinstance(headers, Mapping) else None
    if given is None:
        return None
    try:
        instant = given if isinstance(given, datetime) else datetime.fromisoformat(given)
    except (TypeError, ValueError):
        instant = None
    if instant is None or instant.tzinfo is None:
        raise RemoteProtocolError("header deadline is an instant with its offset, such as 2026-01-31T12:00:00Z")
    return instant


def pack_request(exchange: str, name: str, body: bytes, *, message_id: str, correlation_id: str | None = None,
                 reply_to: str | None = None, deadline: datetime | None = None) -> Message:
    """Make a request, as a client of a gateway would. Raises LocalProtocolError."""
    headers = {"deadline": deadline.isoformat()} if deadline else None
    return _packed(Message(exchange, name, Properties(
        type=name, message_id=message_id, correlation_id=correlation_id, reply_to=reply_to, headers=headers), body))


def pack_reply(to: ReplyAddress, name: str, body: bytes, *, message_id: str, now: int) -> Message:
    """Make the answer to a request. Raises LocalProtocolError."""
    return _packed(Message("", to.queue, Properties(
        type=name, message_id=message_id, correlation_id=to.correlation_id, timestamp=now), body))


def pack_fault(to: ReplyAddress, fault: ReplyFault, *, message_id: str, now: int) -> Message:
    """Make the answer that says why there is none. Raises LocalProtocolError."""
    told = {"code": fault.code, "message": fault.message, "field": fault.field, "correlationId": fault.correlation_id}
    body = json.dumps({name: value for name, value in told.items() if value is not None}).encode()
    return pack_reply(to, FAULT, body, message_id=message_id, now=now)


def pack_event(exchange: str, name: str, body: bytes, *, message_id: str, correlation_id: str, occurred_at: datetime,
               headers: Mapping[str, Any]) -> Message:
    """Make an event; its routing key is its name. Raises LocalProtocolError."""
    return _packed(Message(exchange, name, Properties(
        type=name, message_id=message_id, correlation_id=correlation_id, timestamp=int(occurred_at.timestamp()),
        headers={"occurredAt": occurred_at.isoformat(), **headers}), body))


def read_reply(head: Head, body: bytes) -> tuple[str, bytes] | ReplyFault:
    """Read an answer: its type and JSON text, or the fault it tells. Raises RemoteProtocolError."""
    name = _text("type", head.type)
    if name is None:
        raise RemoteProtocolError("the reply has no type")
    if name != FAULT:
        return name, body
    try:
        told = json.loads(body)
        return ReplyFault(told["code"], told["message"], field=told.get("field"), correlation_id=told.get("correlationId"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RemoteProtocolError("the reply is a fault that cannot be read") from None


def _packed(message: Message) -> Message:
    """Refuse what a short string cannot hold, before it harms the channel it would be sent on."""
    p = message.properties
    for what, value in (("routing key", message.routing_key), ("type", p.type), ("message_id", p.message_id),
                        ("correlation_id", p.correlation_id), ("reply_to", p.reply_to)):
        if value is not None and len(value.encode()) > _SHORT:
            raise LocalProtocolError(f"{what} is longer than {_SHORT} bytes")
    return message
