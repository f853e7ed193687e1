"""What a protocol file says of a system that speaks AMQP: exchanges, queues and headers, and how bodies are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from protocols.mapping.engine import SourceText
from protocols.mapping.fields import FieldMap

ShortText = Annotated[str, Field(max_length=255)]
"""What an AMQP short string holds."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sends(_Part):
    """How one message goes out, where that differs from the others of the file. Templates see `command`, `messageId` and `fields`."""

    exchange: ShortText | None = Field(default=None, description="the exchange it is published to")
    routing_key: SourceText | None = Field(default=None, description="its routing key: a template")
    type: SourceText | None = Field(default=None, description="its property `type`: a template")
    headers: Mapping[str, SourceText] = Field(default={}, description="its headers, beside those of the file: templates")
    answered: bool | None = Field(default=None, description="whether a reply is waited for; without one, that the broker has it is success")


class Event(Sends):
    """How one of our events goes out. Templates see `command` (the event's name), `messageId` and `fields` (those below)."""

    fields: Mapping[str, FieldMap] = Field(min_length=1, description="the foreign message's fields, from those of the event")


class Binding(_Part):
    """A binding of the queue."""

    exchange: ShortText = Field(min_length=1, description="the exchange, which must be there")
    routing_key: ShortText = Field(default="#", description="the routing key, as the exchange understands it")


class Consumes(_Part):
    """Whose messages are served. Templates see `type`, `routingKey`, `exchange`, `messageId`, `correlationId`, `appId`, `headers` and
    `fields` (the body).
    """

    queue: ShortText = Field(min_length=1, description="the queue whose messages are taken")
    declare: bool = Field(default=False, description="the queue is made, with dead letters and the bindings; without it, it must be there")
    bindings: tuple[Binding, ...] = Field(default=(), description="what the queue is bound to, when it is made")
    command: SourceText = Field(default="$type", description="where a message has its command")
    fields: Mapping[str, SourceText] = Field(default={}, description="further fields of the command, from outside its body "
                                                                       "(`$headers.tenant`)")
    reply_root: SourceText = Field(default="{command}Response", description="the root element of an XML reply")
    code: str | None = Field(default="code", min_length=1, description="the field of a reply that has the result code; null for none")
    text: str | None = Field(default="text", min_length=1, description="the field of a reply that has the text for people; null for none")


class Amqp(_Part):
    """Exchanges, queues, headers and bodies of one foreign system."""

    body: Literal["json", "xml"] = Field(default="json", description="how bodies are written")
    root: SourceText = Field(default="{command}", description="the root element of an XML body")
    namespace: str | None = Field(default=None, description="the namespace of an XML body that is sent; on arrival any will do")
    attributes: frozenset[str] = Field(default=frozenset(), description="fields of an XML body that are sent as attributes, by their "
                                                                        "paths; `_text` is an element's text beside them")
    exchange: ShortText = Field(default="", description="the exchange messages are published to; the default one routes to queues by name")
    routing_key: SourceText = Field(default="{command}", description="the routing key: a template")
    type: SourceText = Field(default="{command}", description="the property `type`: a template")
    headers: Mapping[str, SourceText] = Field(default={}, description="headers of every message: templates")
    answered: bool = Field(default=True, description="whether replies are waited for; without one, that the broker has it is success")
    commands: Mapping[str, Sends] = Field(default={}, description="foreign commands that go out differently, by name")
    consumes: Consumes | None = Field(default=None, description="the queue whose messages are served (with `serves:`)")
    events: Mapping[str, Event] = Field(default={}, description="our events that are told there, by name")
