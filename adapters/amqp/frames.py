"""The frames of class basic, read and written in one go: messages, settlements and confirms (AMQP 0-9-1, 4.2 and 1.8.3).

They are nearly all that passes on a busy connection, and pika's general way (an object a frame, tables of callbacks) costs
several times what they need. The fields of headers are pika's to read and write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any

from pika.data import decode_table, encode_table
from pika.exceptions import InvalidFrameError, ShortStringTooLong, UnexpectedFrameError

from protocols.amqp import Message

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
"""Types of frames (4.2.3)."""
OVERHEAD = 8
"""Bytes of a frame beside its payload: type, channel, size and the end."""
END = 0xCE
FRAME = Struct(">BHI")
"""What a frame begins with: its type, channel and size."""

_METHOD_IDS = Struct(">I")
_PUBLISH, _RETURN, _DELIVER, _ACK, _NACK = (60 << 16 | method for method in (40, 50, 60, 80, 120))
_TAG = Struct(">QB")
_CONTENT = Struct(">HHQH")  # class, weight, size of the body, flags of the properties (4.2.6.1)
_SETTLEMENT = Struct(">BHIIQBB")
_BASIC = 60
_MULTIPLE, _REQUEUE = 1, 2
_END = b"\xce"

_SHORT, _TABLE, _OCTET, _LONGLONG = range(4)
_PROPERTIES = tuple((1 << 15 - place, name, kind) for place, (name, kind) in enumerate((
    ("content_type", _SHORT), ("content_encoding", _SHORT), ("headers", _TABLE), ("delivery_mode", _OCTET), ("priority", _OCTET),
    ("correlation_id", _SHORT), ("reply_to", _SHORT), ("expiration", _SHORT), ("message_id", _SHORT), ("timestamp", _LONGLONG),
    ("type", _SHORT), ("user_id", _SHORT), ("app_id", _SHORT), ("cluster_id", _SHORT))))
_SENT = _PROPERTIES[:-1]  # cluster_id is deprecated (1.8.3.14)
_LAYOUTS: dict[int, tuple[tuple[str, int], ...]] = {}
"""Which properties follow which flags, in their order, for those that were met."""


class Head:
    """The properties of a message that arrived (`protocols.amqp.Head`). `damaged` says that its headers cannot be decoded (a
    timestamp beyond year 9999, not-a-number, an unknown field type); all other properties are there, so that the message
    can be answered and dead-lettered.
    """

    content_type: Any = None
    content_encoding: Any = None
    headers: Any = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: Any = None
    reply_to: Any = None
    expiration: Any = None
    message_id: Any = None
    timestamp: int | None = None
    type: Any = None
    user_id: Any = None
    app_id: Any = None
    cluster_id: Any = None
    damaged = False


@dataclass(slots=True, eq=False)
class Came:
    """How a message came: the method before its content. `tag` settles it; a message that came back has `reason`, and none."""

    tag: int
    redelivered: bool
    exchange: str | bytes
    routing_key: str | bytes
    reason: str | bytes = ""


class Traffic:
    """Puts together what comes on one channel. `delivered` and `returned` are given whole messages, `confirmed` the tag of a
    confirm, whether it stands for all before it too, and whether the broker has taken them.
    """

    def __init__(self, *, delivered: Callable[[Came, Head, bytes], None] | None = None,
                 returned: Callable[[Came, Head, bytes], None] | None = None,
                 confirmed: Callable[[int, bool, bool], None] | None = None) -> None:
        self._delivered = delivered
        self._returned = returned
        self._confirmed = confirmed
        self._taker: Callable[[Came, Head, bytes], None] | None = None
        self._came: Any = None
        self._head: Head | None = None
        self._left = 0
        self._parts: list[bytes] = []

    def take(self, kind: int, payload: bytes) -> bool:
        """Take a frame; False when it is none of ours. Raises UnexpectedFrameError for one out of turn, and struct.error,
        IndexError or InvalidFrameError for one that cannot be read.
        """
        if kind == METHOD:
            return self._method(payload)
        if kind == HEADER:
            if self._taker is None or self._head is not None:
                raise UnexpectedFrameError("a content header without its method")
            self._left, self._head = read_header(payload)
        elif kind == BODY:
            if self._head is None or len(payload) > self._left:
                raise UnexpectedFrameError("a content body without its header, or more of it than was told")
            self._left -= len(payload)
            self._parts.append(payload)
        else:
            return False
        if not self._left:
            taker, came, head, parts = self._taker, self._came, self._head, self._parts
            self._taker = self._head = None
            self._parts = []
            taker(came, head, parts[0] if len(parts) == 1 else b"".join(parts))  # type: ignore[misc]  # set, as a header came
        return True

    def _method(self, payload: bytes) -> bool:
        method, = _METHOD_IDS.unpack_from(payload)
        if self._taker is not None:
            raise UnexpectedFrameError("a method where the content of the one before should be")
        if method == _DELIVER and self._delivered is not None:
            at = 5 + payload[4]  # the consumer's tag: a channel has one consumer
            tag, redelivered = _TAG.unpack_from(payload, at)
            exchange, at = _short(payload, at + 9)
            self._came = Came(tag, redelivered & 1 == 1, exchange, _short(payload, at)[0])
            self._taker = self._delivered
        elif method in (_ACK, _NACK) and self._confirmed is not None:
            tag, flags = _TAG.unpack_from(payload, 4)
            self._confirmed(tag, flags & _MULTIPLE == _MULTIPLE, method == _ACK)
        elif method == _RETURN and self._returned is not None:
            reason, at = _short(payload, 6)  # after the code
            exchange, at = _short(payload, at)
            self._came = Came(0, redelivered=False, exchange=exchange, routing_key=_short(payload, at)[0], reason=reason)
            self._taker = self._returned
        else:
            return False
        return True


def read_header(payload: bytes) -> tuple[int, Head]:
    """Read a content header: the size of the body, and the properties. Raises struct.error, IndexError or InvalidFrameError."""
    _, _, size, flags = _CONTENT.unpack_from(payload)
    head, at = Head(), 14
    for name, kind in _LAYOUTS.get(flags) or _layout(flags):
        value: Any
        if kind == _SHORT:
            value, at = _short(payload, at)
        elif kind == _OCTET:
            value, at = payload[at], at + 1
        elif kind == _LONGLONG:
            value, at = int.from_bytes(payload[at:at + 8], "big"), at + 8
        else:
            table, at = at, at + 4 + int.from_bytes(payload[at:at + 4], "big")
            try:
                value, _ = decode_table(payload[:at], table)
            except Exception:  # noqa: BLE001  # pika raises whatever its steps do
                head.damaged = True
                continue
        setattr(head, name, value)
    if at > len(payload):
        raise InvalidFrameError("properties beyond the end of the frame")
    return size, head


def _layout(flags: int) -> tuple[tuple[str, int], ...]:
    if flags & 3:
        raise InvalidFrameError("more property flags than AMQP 0-9-1 knows")
    layout = tuple((name, kind) for flag, name, kind in _PROPERTIES if flags & flag)
    _LAYOUTS[flags] = layout
    return layout


def _short(data: bytes, at: int) -> tuple[str | bytes, int]:
    """A short string, as bytes when it is not UTF-8 (4.2.5.3)."""
    end = at + 1 + data[at]
    value = data[at + 1:end]
    try:
        return value.decode(), end
    except UnicodeDecodeError:
        return value, end


def publish(channel: int, message: Message, *, mandatory: bool, longest: int) -> bytes:
    """The frames of a message to be sent; `longest` is the most bytes a frame's payload may have.

    Raises ShortStringTooLong, UnsupportedAMQPFieldException, struct.error, OverflowError, and ValueError for properties that
    fill more than a frame.
    """
    properties, flags = message.properties, 0
    parts: list[bytes] = []
    for flag, name, kind in _SENT:
        value = getattr(properties, name)
        if value is None:
            continue
        flags |= flag
        if kind == _SHORT:
            parts.append(_packed(value))
        elif kind == _TABLE:
            encode_table(parts, value)
        else:
            parts.append(value.to_bytes(1 if kind == _OCTET else 8, "big"))
    head, body = b"".join(parts), message.body
    if 14 + len(head) > longest:
        raise ValueError(f"properties of {len(head)} bytes do not fit a frame of {longest}")
    method = b"\0\0%b%b%c" % (_packed(message.exchange), _packed(message.routing_key), mandatory)
    frames = [FRAME.pack(METHOD, channel, 4 + len(method)), _METHOD_IDS.pack(_PUBLISH), method, _END,
              FRAME.pack(HEADER, channel, 14 + len(head)), _CONTENT.pack(_BASIC, 0, len(body), flags), head, _END]
    for start in range(0, len(body), longest):
        part = body[start:start + longest]
        frames += (FRAME.pack(BODY, channel, len(part)), part, _END)
    return b"".join(frames)


def _packed(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ShortStringTooLong(data)
    return bytes((len(data),)) + data


def ack(channel: int, tag: int) -> bytes:
    """The frame that says a message has been dealt with for good."""
    return _SETTLEMENT.pack(METHOD, channel, 13, _ACK, tag, 0, END)


def nack(channel: int, tag: int) -> bytes:
    """The frame that gives a message back to its queue."""
    return _SETTLEMENT.pack(METHOD, channel, 13, _NACK, tag, _REQUEUE, END)
