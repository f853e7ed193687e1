"""An AMQP client: publishes a request and waits for the reply that carries its correlation id."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from adapters.amqp.settings import parse_url
from core.messages.base import BusinessObject
from core.messages.failures import Failure, Fault, Kind
from gateway.clients import Unreachable, operation_of
from plugins.checking import checked_json

_REPLY_TO = "amq.rabbitmq.reply-to"
_SECONDS = 60.0


class AmqpClient:
    """See `gateway.clients.Client`."""

    def __init__(self, url: str) -> None:
        import pika
        from pika.exceptions import AMQPError

        self.said: list[tuple[str, str]] = []
        self._replies: dict[str, tuple[str, bytes]] = {}
        try:
            parse_url(url)
            self._connection = pika.BlockingConnection(pika.URLParameters(url))
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
            self._channel.basic_consume(_REPLY_TO, self._take, auto_ack=True)
        except (AMQPError, OSError, ValueError) as error:
            raise Unreachable(f"the broker does not answer: {str(error) or type(error).__name__}") from None

    def call(self, request: BusinessObject, key: str | None = None) -> BusinessObject:
        """See `Client.call`."""
        import pika
        from pika.exceptions import AMQPError, UnroutableError

        operation = operation_of(request)
        correlation = uuid4().hex
        body = request.model_dump_json(exclude_none=True).encode()
        properties = pika.BasicProperties(type=operation.name, message_id=key or correlation, correlation_id=correlation, delivery_mode=2,
                                          reply_to=_REPLY_TO, content_type="application/json")
        self.said.append((">", f"exchange uip.requests, routing key {operation.name}, message_id {properties.message_id}\n{body.decode()}"))
        try:
            self._channel.basic_publish("uip.requests", operation.name, body, properties, mandatory=True)
            until = time.monotonic() + _SECONDS
            while correlation not in self._replies:
                if time.monotonic() > until:
                    raise Failure(Kind.TIMEOUT, f"no reply within {_SECONDS:.0f} seconds")
                self._connection.process_data_events(time_limit=1)
        except UnroutableError:
            raise Unreachable("nobody takes requests from exchange uip.requests") from None
        except (AMQPError, OSError) as error:
            raise Unreachable(f"the broker went away: {str(error) or type(error).__name__}") from None
        told, reply = self._replies.pop(correlation)
        self.said.append(("<", f"type {told}, correlation_id {correlation}\n{reply.decode('utf-8', 'replace')}"))
        if told == "Fault":
            raise Failure.of(Fault.model_validate_json(reply))
        return checked_json(operation.reply, reply)

    def _take(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        self._replies[properties.correlation_id] = properties.type, body

    def close(self) -> None:
        """Close the connection."""
        if self._connection.is_open:
            self._connection.close()
