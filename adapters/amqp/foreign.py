"""A foreign system's messages, as the `amqp:` section of its protocol file says: for its listener and its connector."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from adapters.amqp.delivery import Delivery
from adapters.amqp.language import Asked, correlation_of
from core.ids import new_id
from plugins.api import BusinessObject, Catalogue, Context, Envelope, Failure, Kind, checked
from protocols.amqp import FAULT, Message, Properties, ReplyAddress
from protocols.amqp.bodies import CONTENT_TYPES, read_body, write_body
from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mapping import Definition, Fields, MappingError, Reply, Serving, Template, UnknownCommand
from protocols.mapping.amqp import Consumes, Sends
from protocols.mapping.engine import look_up, text_of

_PLAIN = Sends()


class Foreign:
    """Writes foreign messages and reads foreign bodies."""

    def __init__(self, definition: Definition) -> None:
        self.amqp = definition.amqp

    def answered(self, command: str) -> bool:
        """Whether a reply is waited for."""
        own = self.amqp.commands.get(command, _PLAIN).answered
        return self.amqp.answered if own is None else own

    def write(self, command: str, fields: Mapping[str, Any], how: Sends = _PLAIN, *, reply_to: str | None = None,
              message_id: str | None = None, expiration: str | None = None) -> Message:
        """Make a message. Raises LocalProtocolError."""
        amqp = self.amqp
        own = message_id or new_id()
        seen = {"command": command, "messageId": own, "fields": fields}
        headers = {name: value for name, source in {**amqp.headers, **how.headers}.items()
                   if (value := Template(source).fill(seen)) is not None}
        return Message(
            amqp.exchange if how.exchange is None else how.exchange,
            _short("the routing key", amqp.routing_key if how.routing_key is None else how.routing_key, seen),
            Properties(type=_short("type", amqp.type if how.type is None else how.type, seen), message_id=own,
                       correlation_id=own if reply_to else None, reply_to=reply_to, content_type=CONTENT_TYPES[amqp.body],
                       timestamp=int(time.time()), expiration=expiration, headers=headers or None),
            self.body(command, fields, amqp.root, seen))

    def body(self, command: str, fields: Mapping[str, Any], root: str, seen: Mapping[str, Any]) -> bytes:
        """Write a body. Raises LocalProtocolError."""
        amqp = self.amqp
        return write_body(amqp.body, fields, root=_short("the root element", root, {**seen, "command": command.replace(" ", "")}),
                          namespace=amqp.namespace, attributes=amqp.attributes)

    def read(self, properties: Any, body: bytes) -> dict[str, Any]:
        """A message as templates see it, with what it says in `fields`. Raises RemoteProtocolError."""
        if getattr(properties, "damaged", False):
            raise RemoteProtocolError("the headers cannot be read")
        return {"type": properties.type, "messageId": properties.message_id, "correlationId": properties.correlation_id,
                "appId": properties.app_id, "headers": properties.headers or {}, "fields": read_body(self.amqp.body, body)}

    def read_reply(self, properties: Any, body: bytes) -> dict[str, Any]:
        """A reply as a protocol file's paths look into it. Raises RemoteProtocolError."""
        seen = self.read(properties, body)
        fault = seen["fields"] if seen["type"] == FAULT else {}
        return {"retcode": str(fault.get("code", "0")), "description": str(fault.get("message", "")), **seen}


class ForeignLanguage:
    """A foreign system's requests, served by the file's `serves:` (`adapters.amqp.language.Language`).

    Raises ValueError when the file serves nothing, no queue, or what is not offered here.
    """

    def __init__(self, definition: Definition, catalogue: Catalogue, max_bytes: int) -> None:
        if definition.serves is None or definition.amqp.consumes is None:
            raise ValueError(f"protocol {definition.protocol} serves nothing: it needs `serves:` and `amqp.consumes:`")
        unknown = sorted({served.request for served in definition.serves.commands.values()} - set(catalogue.operations))
        if unknown:
            raise ValueError(f"protocol {definition.protocol} serves {', '.join(unknown)}, which is not offered here")
        self.consumes: Consumes = definition.amqp.consumes
        self._catalogue = catalogue
        self._max_bytes = max_bytes
        self._foreign = Foreign(definition)
        self._serving = Serving(definition.serves)
        self._command = Template(self.consumes.command)
        self._further = {name: Template(source) for name, source in self.consumes.fields.items()}
        self._events = {name: (event, Fields(event.fields)) for name, event in definition.amqp.events.items()}

    def read(self, delivery: Delivery) -> Asked:
        """See `Language.read`. Without an idempotency key in the map, `message_id` is it."""
        if len(delivery.body) > self._max_bytes:
            raise RemoteProtocolError(f"the body has {len(delivery.body)} bytes; {self._max_bytes} are allowed")
        command, seen = self._named(delivery)
        further = {name: value for name, template in self._further.items() if (value := template.fill(seen)) is not None}
        try:
            asked = self._serving.parse(command, {**seen["fields"], **further})
        except UnknownCommand as error:
            raise Failure(Kind.UNKNOWN_OPERATION, error.message) from None
        except MappingError as error:
            raise Failure(Kind.INVALID, error.message, error.path) from None
        operation = self._catalogue.operation(asked.request)
        context = Context(_text(asked.context.get("idempotencyKey")) or _text(seen["messageId"]),
                          correlation_of(_text(asked.context.get("correlationId")) or _text(seen["correlationId"])),
                          asked.context.get("deadline"))
        return Asked(checked(operation.request, asked.data), context, _text(delivery.properties.user_id), operation.query, command)

    def reply(self, to: ReplyAddress, asked: Asked, reply: BusinessObject) -> Message:
        """See `Language.reply`."""
        try:
            said = self._serving.pack(asked.command, reply.model_dump(mode="json", exclude_none=True))
        except MappingError as error:
            raise LocalProtocolError(f"the reply does not fit the protocol file: {error}") from None
        return self._said(to, asked.command, said)

    def fault(self, to: ReplyAddress, asked: Asked | None, delivery: Delivery, failure: Failure) -> Message:
        """See `Language.fault`."""
        try:
            command = asked.command if asked is not None else self._named(delivery)[0]
        except RemoteProtocolError:
            command = "Fault"
        said = self._serving.fault(failure.kind, failure.message, failure.field, command, correlation=failure.correlation_id,
                                   code=failure.kind)
        return self._said(to, command or "Fault", said or Reply(failure.kind, failure.message, ok=False))

    def event(self, envelope: Envelope[Any]) -> Message | None:
        """See `Language.event`."""
        event = self._events.get(envelope.type)
        if event is None:
            return None
        how, fields = event
        try:
            made = fields.apply(envelope.body.model_dump(mode="json", exclude_none=True))
        except MappingError as error:
            raise LocalProtocolError(f"event {envelope.type} does not fit the protocol file: {error}") from None
        return self._foreign.write(envelope.type, made, how, message_id=envelope.message_id)

    def _named(self, delivery: Delivery) -> tuple[str, dict[str, Any]]:
        seen = {**self._foreign.read(delivery.properties, delivery.body), "routingKey": delivery.routing_key,
                "exchange": delivery.exchange}
        return text_of(self._command.fill(seen) or ""), seen

    def _said(self, to: ReplyAddress, command: str, said: Reply) -> Message:
        fields = dict(said.fields)
        for name, value in ((self.consumes.code, said.code), (self.consumes.text, said.text)):
            if name is not None and value and look_up(fields, (name,)) is None:
                fields[name] = value
        fields |= said.tables
        body = self._foreign.body(command, fields, self.consumes.reply_root, {"fields": fields})
        return Message("", to.queue, Properties(type=command[:255], message_id=new_id(), correlation_id=to.correlation_id,
                                                content_type=CONTENT_TYPES[self._foreign.amqp.body],
                                                timestamp=int(time.time())), body)


def _short(what: str, source: str, seen: Mapping[str, Any]) -> str:
    value = Template(source).fill(seen)
    text = "" if value is None else text_of(value)
    if len(text.encode()) > 255:  # AMQP 0-9-1, 4.2.5.3
        raise LocalProtocolError(f"{what} is longer than 255 bytes")
    return text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and value else None
