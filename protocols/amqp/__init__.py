"""AMQP 0-9-1 as the gateway speaks it: what stands in a message's properties and what in its body. No sockets, no broker."""

from protocols.amqp.envelope import (
    FAULT,
    Head,
    Message,
    Properties,
    ReplyAddress,
    ReplyFault,
    Request,
    pack_event,
    pack_fault,
    pack_reply,
    pack_request,
    read_reply,
    read_request,
    reply_address,
)

__all__ = [
    "FAULT",
    "Head",
    "Message",
    "Properties",
    "ReplyAddress",
    "ReplyFault",
    "Request",
    "pack_event",
    "pack_fault",
    "pack_reply",
    "pack_request",
    "read_reply",
    "read_request",
    "reply_address",
]
