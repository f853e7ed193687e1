"""The closed loop over AMQP: a window of requests on one connection, answered by direct reply-to.

A plain socket and frames put together once, as in load.py: the load shares its core with the broker. Frames: AMQP 0-9-1, 4.2.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from gateway.bench.exchanges import START
from gateway.bench.load import BadAnswer, Sample

WINDOW = 128
"""Requests outstanding, unless told otherwise. A peer by AMQP sends without waiting: one connection carries what 32 do elsewhere."""
_REPLY_TO = "amq.rabbitmq.reply-to"
_DELIVER = b"\x00\x3c\x00\x3c"  # basic.deliver: class 60, method 60
_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_NUMBER = "BENCH-A0000000000000000"
_OURS = re.compile(rb"BENCH-A\d{16}")
_STALLED_SECONDS = 20.0


def drive(url: str, *, window: int, seconds: float, most: int = 10_000_000, first: int = 0,
          tick: Callable[[int], None] = lambda _: None) -> Sample:
    """Load the native AMQP listener with orders for later.

    Raises BadAnswer, ConnectionError when the broker goes, and TimeoutError when it or the gateway says nothing for 20 seconds.
    """
    sample = Sample()
    sent: dict[bytes, float] = {}
    template, clock = _request(), time.perf_counter
    with _Connection(url) as connection:
        asked, begun = 0, clock()
        until, next_tick = begun + seconds, begun + 1.0

        def requests(count: int) -> Iterator[bytes]:
            nonlocal asked
            now = clock()
            for _ in range(count):
                number = b"BENCH-A%016d" % (first + asked)
                asked += 1
                sent[number] = now
                yield template.replace(_NUMBER.encode(), number)

        connection.write(requests(min(window, most)))
        while sent:
            answers = connection.answers()
            now = clock()
            for header, body in answers:
                sample.latencies.append(now - sent.pop(_checked(header, body)))
            connection.write(requests(min(len(answers), most - asked) if now < until else 0))
            if now > next_tick:
                tick(len(sample.latencies))
                next_tick = now + 1.0
        sample.seconds = clock() - begun
    return sample


def _request() -> bytes:
    """The frames of one order, `_NUMBER` in the place of its number."""
    import pika
    from pika import frame, spec

    body = json.dumps({
        "externalId": _NUMBER, "relatedParty": {"id": "C-1000234", "name": "Ann Lee", "role": "customer"},
        "productOrderItem": [{"id": "1", "action": "add", "quantity": 1, "productOffering": "mobile-basic",
                              "productCharacteristic": [{"name": "TELESERVICES", "value": "basic"}]}],
        "requestedStartDate": START}).encode()
    properties = pika.BasicProperties(type="SubmitProductOrder", message_id=_NUMBER, correlation_id=_NUMBER, reply_to=_REPLY_TO,
                                      delivery_mode=2, content_type="application/json")
    parts = (frame.Method(1, spec.Basic.Publish(exchange="uip.requests", routing_key="SubmitProductOrder")),
             frame.Header(1, len(body), properties), frame.Body(1, body))
    return b"".join(part.marshal() for part in parts)


def _checked(header: bytes, body: bytes) -> bytes:
    """The number of the request that an answer belongs to. Raises BadAnswer when the answer is not an accepted order."""
    number = _OURS.search(header)
    if number is None or b"\x0cProductOrder" not in header or b'"acknowledged"' not in body or number[0] not in body:
        raise BadAnswer(f"{header!r}: {body[:500]!r}")
    return number[0]


class _Connection:
    """One connection with one channel, on which answers are consumed; no more of the protocol than that takes."""

    def __init__(self, url: str) -> None:
        import pika

        parameters: Any = pika.URLParameters(url)
        self._socket = socket.create_connection((parameters.host, parameters.port), timeout=_STALLED_SECONDS)
        if parameters.ssl_options is not None:
            context: ssl.SSLContext = parameters.ssl_options.context
            self._socket = context.wrap_socket(self._socket, server_hostname=parameters.host)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = bytearray()
        self._header = self._body = b""
        self._left = 0
        self._open(parameters)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _open(self, parameters: Any) -> None:
        """Shake hands (4.2.2, 2.2.4)."""
        from pika import frame, spec

        user = parameters.credentials
        self._socket.sendall(frame.ProtocolHeader().marshal())
        self._hear(spec.Connection.Start)
        self._say(0, spec.Connection.StartOk({}, "PLAIN", f"\0{user.username}\0{user.password}".encode(), "en_US"))
        tune = self._hear(spec.Connection.Tune)
        self._say(0, spec.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
        self._say(0, spec.Connection.Open(parameters.virtual_host))
        self._hear(spec.Connection.OpenOk)
        self._say(1, spec.Channel.Open())
        self._hear(spec.Channel.OpenOk)
        self._say(1, spec.Basic.Consume(queue=_REPLY_TO, no_ack=True))
        self._hear(spec.Basic.ConsumeOk)

    def _say(self, channel: int, method: Any) -> None:
        from pika import frame

        self._socket.sendall(frame.Method(channel, method).marshal())

    def _hear(self, wanted: type) -> Any:
        from pika import frame

        while True:
            length, heard = frame.decode_frame(bytes(self._read))
            if heard is None:
                self._receive()
                continue
            del self._read[:length]
            if not isinstance(heard.method, wanted):
                raise ConnectionError(f"the broker said {heard.method}")
            return heard.method

    def _receive(self) -> None:
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the broker has closed the connection")
        self._read += data

    def write(self, requests: Iterator[bytes]) -> None:
        """Send them, in one go."""
        self._socket.sendall(b"".join(requests))

    def answers(self) -> list[tuple[bytes, bytes]]:
        """Wait for something and return the properties and bodies of the deliveries that are whole."""
        self._receive()
        read, at, found = self._read, 0, []
        while len(read) - at >= 8:
            kind, _, size = struct.unpack_from(">BHI", read, at)
            if len(read) - at < size + 8:
                break
            part = bytes(read[at + 7:at + 7 + size])
            at += size + 8
            if kind == _HEADER:
                self._header, self._body, self._left = part, b"", struct.unpack_from(">Q", part, 4)[0]
            elif kind == _BODY:
                self._body += part
                self._left -= size
                if not self._left:
                    found.append((self._header, self._body))
            elif kind != _HEARTBEAT and part[:4] != _DELIVER:
                raise ConnectionError(f"the broker said {part[:300]!r}")
        del read[:at]
        return found
