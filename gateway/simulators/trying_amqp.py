"""Trying a protocol file over AMQP without a broker: a foreign message that is served or simulated, a reply, and the driver's wire.

A sample is JSON: `{"type": .., "routingKey": .., "exchange": .., "headers": {..}, "messageId": .., "body": ..}`, where the body is an
object or, as it stands on the wire, a text. With `"answerTo": COMMAND` it is the reply to that command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from adapters.amqp.foreign import Foreign, ForeignLanguage
from adapters.amqp.language import Asked
from adapters.drivers import TOLD
from core.messages.base import BusinessObject
from core.messages.catalogue import Catalogue
from core.messages.failures import Failure, Kind
from gateway.simulators.amqp_partner import Partner
from protocols.amqp import Message, ReplyAddress
from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mapping import Definition, Reply
from protocols.mapping.amqp import Sends

LARGEST = 4 * 1024 * 1024
"""Bytes of a body."""
_KEYS = {"type": "type", "messageId": "message_id", "correlationId": "correlation_id", "appId": "app_id", "userId": "user_id"}
_ALLOWED = frozenset({*_KEYS, "routingKey", "exchange", "headers", "body", "answerTo"})
_FIXED = "try"
"""The id of every message, so that trying the same gives the same."""


class AmqpWire:
    """Both ends (`gateway.simulators.memory.Between`), and a listener for the file's own queue."""

    def __init__(self, definition: Definition, catalogue: Catalogue) -> None:
        self._definition = definition
        self._foreign = Foreign(definition)
        self._partner = Partner(definition) if definition.simulator is not None else None
        self.language = ForeignLanguage(definition, catalogue, LARGEST) if definition.serves is not None else None

    # The driver and the simulated system.

    def asked(self, command: str, fields: Mapping[str, Any]) -> tuple[Any, str]:
        """See Between."""
        how = self._definition.amqp.commands.get(command, Sends())
        message = self._foreign.write(command, fields, how, reply_to=_FIXED, message_id=_FIXED)
        return message, told(message)

    def understood(self, asked: Message) -> tuple[str, Mapping[str, Any]]:
        """See Between."""
        assert self._partner is not None
        headers = asked.properties.headers or {}
        command = self._partner.command(asked.exchange, asked.routing_key, asked.properties, headers)
        return command, self._foreign.read(asked.properties, asked.body)["fields"]

    def answered(self, reply: Reply, asked: Message) -> tuple[Mapping[str, Any] | None, str]:
        """See Between."""
        assert self._partner is not None
        command = self.understood(asked)[0]
        if not self._foreign.answered(command):
            return TOLD, "nothing is waited for"
        kind, body = self._partner.answer(command, reply)
        message = self._partner.message(asked.properties, kind, body)
        assert message is not None
        return self._foreign.read_reply(message.properties, body), told(message)

    # Samples.

    def delivery(self, sample: Mapping[str, Any]) -> Any:
        """A sample as a delivery. Raises ValueError for what it may not say."""
        strange = set(sample) - _ALLOWED
        if strange:
            raise ValueError(f"a sample has no {min(strange)}: it may have {', '.join(sorted(_ALLOWED))}")
        headers, body = sample.get("headers") or {}, sample.get("body", {})
        properties = SimpleNamespace(**{name: sample.get(key) for key, name in _KEYS.items()}, headers=headers, reply_to=_FIXED)
        properties.message_id = properties.message_id or _FIXED
        return SimpleNamespace(properties=properties, headers=headers, routing_key=sample.get("routingKey", ""),
                               exchange=sample.get("exchange", ""), body=(body if isinstance(body, str) else json.dumps(body)).encode())

    def read(self, delivery: Any) -> dict[str, Any]:
        """A message as templates see it. Raises RemoteProtocolError."""
        return self._foreign.read(delivery.properties, delivery.body)

    def reply(self, delivery: Any) -> dict[str, Any]:
        """A reply as paths look into it. Raises RemoteProtocolError."""
        return self._foreign.read_reply(delivery.properties, delivery.body)

    def simulated(self, delivery: Any) -> tuple[str, Mapping[str, Any]]:
        """Which command of the simulated system a message is, and its fields. Raises RemoteProtocolError."""
        assert self._partner is not None
        command = self._partner.command(delivery.exchange, delivery.routing_key, delivery.properties, delivery.headers)
        return command, self.read(delivery)["fields"]

    def played(self, delivery: Any, command: str, reply: Reply) -> str:
        """A simulated reply for people. Raises LocalProtocolError."""
        assert self._partner is not None
        message = self._partner.message(delivery.properties, *self._partner.answer(command, reply))
        return "" if message is None else told(message)

    def served(self, delivery: Any, answer: Callable[[BusinessObject], BusinessObject],
               say: Callable[[str, Any], None]) -> tuple[str, Failure | None]:
        """What a listener would answer, as a text, and why where that is a refusal. `answer` stands for the cores."""
        language, to = self.language, ReplyAddress(_FIXED, delivery.properties.correlation_id)
        assert language is not None
        asked: Asked | None = None
        try:
            try:
                asked = language.read(delivery)
            except RemoteProtocolError as error:
                raise Failure(Kind.MALFORMED, error.message) from None
            say("object", {type(asked.body).__name__: asked.body.model_dump(mode="json", exclude_none=True)})
            if asked.context.idempotency_key not in (None, _FIXED):
                say("context", {"idempotencyKey": asked.context.idempotency_key})
            return told(language.reply(to, asked, answer(asked.body))), None
        except Failure as failure:
            return told(language.fault(to, asked, delivery, failure)), failure if asked is None else None
        except LocalProtocolError as error:
            return "", Failure(Kind.INTERNAL, error.message)


def told(message: Message) -> str:
    """A message for people: where it goes, what it says about itself, its body."""
    properties = message.properties
    where = f"{message.exchange or '(default exchange)'} {message.routing_key}" if message.routing_key != _FIXED else "(to who asked)"
    headers = "".join(f" {name}={value}" for name, value in (properties.headers or {}).items())
    return f"{where} type={properties.type}{headers}\n{message.body.decode('utf-8', 'replace')}"
