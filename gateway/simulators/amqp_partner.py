"""The other side of a protocol file over AMQP: which queue a message comes to, which command it is, how it is answered. No broker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from adapters.amqp.foreign import Foreign
from core.ids import new_id
from protocols.amqp import FAULT, Message, Properties
from protocols.amqp.bodies import CONTENT_TYPES, write_body
from protocols.base import LocalProtocolError
from protocols.mapping import Definition, Reply
from protocols.mapping.amqp import Sends

_HOLE = re.compile(r"\{[^{}]*\}|^\$.*$")
_PLAIN = Sends()


class Queue(NamedTuple):
    """A queue of the partner's; `exchange` is empty where messages are put straight on it."""

    name: str
    exchange: str
    keys: tuple[str, ...]


class _Expected(NamedTuple):
    """What a command's messages look like. What fields fill in may be anything."""

    command: str
    exchange: str
    key: str
    type: str
    headers: Mapping[str, str]

    def fits(self, exchange: str, key: str, kind: str, headers: Mapping[str, Any]) -> bool:
        return self.exchange == exchange and _fits(self.key, key) and _fits(self.type, kind) and all(
            _fits(source, str(headers.get(name, ""))) for name, source in self.headers.items())


class Partner:
    """The system that a file's `simulator:` plays. Raises ValueError when the file does not tell where its messages go."""

    def __init__(self, definition: Definition) -> None:
        if definition.simulator is None:
            raise ValueError("has no `simulator:` section")
        self.foreign = Foreign(definition)
        self._definition = definition
        self._expected = [self._expect(command) for command in definition.simulator.commands]
        self.queues = tuple(self._queues())

    def _expect(self, command: str) -> _Expected:
        amqp = self._definition.amqp
        how = amqp.commands.get(command, _PLAIN)
        headers = {name: source for name, source in {**amqp.headers, **how.headers}.items() if "{command}" in source}
        return _Expected(command, amqp.exchange if how.exchange is None else how.exchange,
                         _named(amqp.routing_key if how.routing_key is None else how.routing_key, command),
                         _named(amqp.type if how.type is None else how.type, command),
                         {name: _named(source, command) for name, source in headers.items()})

    def _queues(self) -> list[Queue]:
        keys: dict[str, list[str]] = {}
        for expected in self._expected:
            keys.setdefault(expected.exchange, []).append(expected.key)
        for key in keys.get("", ()):
            if not key or _HOLE.search(key):
                raise ValueError(f"the routing key {key!r} names no queue: by the default exchange it must not depend on the fields")
        straight = [Queue(key, "", ()) for key in dict.fromkeys(keys.pop("", ()))]
        own = f"{self._definition.protocol}.sim"
        return straight + [Queue(f"{own}.{exchange}", exchange, tuple({_topic(key): None for key in listed}))
                           for exchange, listed in keys.items()]

    def command(self, exchange: str, key: str, properties: Any, headers: Mapping[str, Any]) -> str:
        """Which command a message is; its type, or its routing key, where it is none that is known."""
        kind = properties.type or ""
        return next((e.command for e in self._expected if e.fits(exchange, key, kind, headers)), kind or key)

    def answer(self, command: str, reply: Reply) -> tuple[str, bytes]:
        """Type and body of a reply. Code and text stand where the file looks for them. Raises LocalProtocolError."""
        fields: dict[str, Any] = deepcopy({**reply.fields, **reply.tables})
        results, kind = self._definition.results, command
        placed = [_place(fields, source, value) for source, value in ((results.code, reply.code), (results.text, reply.text))]
        if not reply.ok and not placed[0]:
            kind, fields = FAULT, {"code": reply.code, "message": reply.text}
        amqp = self._definition.amqp
        return kind, write_body(amqp.body, fields, root=f"{command.replace(' ', '')}Response", namespace=amqp.namespace,
                                attributes=amqp.attributes)

    def message(self, properties: Any, kind: str, body: bytes) -> Message | None:
        """The reply to a message with these properties; None where nobody waits for one."""
        if not properties.reply_to:
            return None
        return Message("", properties.reply_to, Properties(
            type=kind[:255], message_id=new_id(), correlation_id=properties.correlation_id or properties.message_id,
            content_type=CONTENT_TYPES[self._definition.amqp.body]), body)


def _named(source: str, command: str) -> str:
    return command if source == "$command" else source.replace("{command}", command)


def _fits(source: str, value: str) -> bool:
    pattern = "(.*)".join(map(re.escape, _HOLE.split(source)))
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def _topic(key: str) -> str:
    """A routing key as a binding: a word that fields fill in is any words (RabbitMQ's topic exchanges)."""
    return "#" if key.startswith("$") else ".".join("#" if "{" in word else word for word in re.split(r"\.(?![^{]*\})", key))


def _place(fields: dict[str, Any], source: str, value: str) -> bool:
    """Put a value where the template looks for it, if that is inside the body and nothing stands there."""
    if not source.startswith("$fields.") or not value:
        return source.startswith("$fields.")
    *steps, last = source.removeprefix("$fields.").split(".")
    for step in steps:
        inner = fields.setdefault(step, {})
        if not isinstance(inner, dict):
            raise LocalProtocolError(f"{source} does not fit the reply: {step} is a single value")
        fields = inner
    fields.setdefault(last, value)
    return True
