"""What a listener's messages mean: our own (the native contract), or a foreign system's, as its protocol file says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.amqp.delivery import Delivery
from core.ids import new_id
from core.messages.base import as_json
from plugins.api import BusinessObject, Catalogue, Context, Envelope, Failure, checked_json
from protocols.amqp import Message, ReplyAddress, ReplyFault, pack_event, pack_fault, pack_reply, read_request

_LONGEST_CORRELATION = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, understood. `query` means that carrying it out twice does no harm; `command` is the asker's name for it."""

    body: BusinessObject
    context: Context
    user: str | None
    query: bool
    command: str


class Language(Protocol):
    """How a listener reads and says. `reply` and `fault` raise LocalProtocolError for what cannot be said."""

    def read(self, delivery: Delivery) -> Asked:
        """Understand a message. Raises RemoteProtocolError, and Failure for what was understood but is wrong."""

    def reply(self, to: ReplyAddress, asked: Asked, reply: BusinessObject) -> Message:
        """Make the answer to a request."""

    def fault(self, to: ReplyAddress, asked: Asked | None, delivery: Delivery, failure: Failure) -> Message:
        """Make the answer that says why there is none."""

    def event(self, envelope: Envelope[Any]) -> Message | None:
        """Make the message of an event, None where it is not told."""


class Native:
    """The native contract: requests and replies of the catalogue, in JSON."""

    def __init__(self, catalogue: Catalogue, events: str, max_bytes: int) -> None:
        self._catalogue = catalogue
        self._events = events
        self._max_bytes = max_bytes

    def read(self, delivery: Delivery) -> Asked:
        """See `Language.read`."""
        request = read_request(delivery.routing_key, delivery.properties, delivery.body, max_bytes=self._max_bytes)
        operation = self._catalogue.operation(request.name)
        body = checked_json(operation.request, request.body)
        return Asked(body, Context(request.key, correlation_of(request.correlation_id), request.deadline), request.user,
                     operation.query, request.name)

    def reply(self, to: ReplyAddress, asked: Asked, reply: BusinessObject) -> Message:  # noqa: ARG002  # see Language
        """See `Language.reply`."""
        return pack_reply(to, type(reply).__name__, as_json(reply).encode(), message_id=new_id(),
                          now=int(time.time()))

    def fault(self, to: ReplyAddress, asked: Asked | None, delivery: Delivery, failure: Failure) -> Message:  # noqa: ARG002  # see Language
        """See `Language.fault`."""
        fault = failure.fault()
        return pack_fault(to, ReplyFault(fault.code, fault.message, fault.field, fault.correlationId), message_id=new_id(),
                          now=int(time.time()))

    def event(self, envelope: Envelope[Any]) -> Message | None:
        """See `Language.event`."""
        headers: Mapping[str, Any] = {"causationId": envelope.causation_id or "", "key": envelope.key, "version": envelope.version}
        return pack_event(self._events, envelope.type, as_json(envelope.body).encode(),
                          message_id=envelope.message_id, correlation_id=envelope.correlation_id,
                          occurred_at=envelope.occurred_at, headers=headers)


def correlation_of(given: str | None) -> str | None:
    """The asker's correlation id as ours, where it can be one; the answer carries the asker's own in any case."""
    return given if given and len(given) <= _LONGEST_CORRELATION else None
