from __future__ import annotations

import struct
from datetime import UTC, datetime

import pika
import pika.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from adapters.amqp.dead import dead_letter
from adapters.amqp.wire import DamagedProperties, Wire, read_frame

SHORT = st.none() | st.text(st.characters(codec="utf-8"), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=10) | st.binary(max_size=10)
    | st.integers(0, 250_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8)
PROPERTIES = st.builds(
    pika.BasicProperties, content_type=SHORT, content_encoding=SHORT, headers=st.none() | st.dictionaries(st.text(max_size=8), VALUES),
    delivery_mode=st.sampled_from([None, 1, 2]), priority=st.none() | st.integers(0, 255), correlation_id=SHORT, reply_to=SHORT,
    message_id=SHORT, type=SHORT, user_id=SHORT, app_id=SHORT, timestamp=st.none() | st.integers(0, 2**63))


class Broken(pika.BasicProperties):
    """Encodes its headers with one more that nobody can decode: field type `?`."""

    def encode(self):
        whole = b"".join(super().encode())
        at = 2
        for part in (self.content_type, self.content_encoding):
            at += 0 if part is None else 1 + len(part.encode())
        size, = struct.unpack_from(">I", whole, at)
        return [whole[:at] + struct.pack(">I", size + 3) + b"\x01x?" + whole[at + 4:]]


@given(PROPERTIES, st.integers(0, 2**40))
def test_what_pika_can_read_is_read_as_pika_does(properties, size):
    data = pika.frame.Header(1, size, properties).marshal()
    length, frame = read_frame(data + b"more")
    assert length == len(data)
    assert frame.properties == properties
    assert not isinstance(frame.properties, DamagedProperties)


@given(PROPERTIES, st.integers(0, 2**40))
def test_headers_nobody_can_read_cost_only_the_headers(properties, size):
    broken = Broken(**{**vars(properties), "headers": properties.headers or {"a": 1}})
    data = pika.frame.Header(7, size, broken).marshal()
    with pytest.raises(Exception, match=r"\?"):
        pika.frame.decode_frame(data)
    length, frame = read_frame(data + b"more")
    assert length == len(data)
    assert (frame.channel_number, frame.body_size) == (7, size)
    assert isinstance(frame.properties, DamagedProperties)
    assert not frame.properties.headers
    for name, value in vars(properties).items():
        assert name == "headers" or getattr(frame.properties, name) == value


class Delivered:
    queue, exchange, routing_key, attempt = "q", b"\xff", "r", 0

    def __init__(self, properties, body=b""):
        self.properties = properties
        self.headers = properties.headers or {}
        self.body = body


@given(PROPERTIES.filter(lambda p: p.headers), st.dictionaries(st.binary(max_size=6), st.floats(), max_size=2))
def test_a_dead_letter_can_always_be_sent(properties, odd):
    """Whatever pika could decode, keys and numbers it cannot encode itself among it."""
    properties.headers = {**properties.headers, **odd, "CC": ["elsewhere"], b"huge": 2**70}
    letter = dead_letter("dead", Delivered(properties), "why", "because", datetime.now(UTC), {"nothing": None})
    p = letter.properties
    b"".join(pika.BasicProperties(headers=dict(p.headers), type=p.type, message_id=p.message_id).encode())
    assert "CC" not in p.headers
    assert "nothing" not in p.headers
    assert p.headers["uip-reason"] == "why"


def handshake(wire, transport):
    """Play the broker until the connection is open."""
    spec = pika.spec
    wire.makeConnection(transport)
    for method in (spec.Connection.Start(server_properties={}, mechanisms="PLAIN"), spec.Connection.Tune(1, 131072, 4),
                   spec.Connection.OpenOk()):
        wire.dataReceived(pika.frame.Method(0, method).marshal())


class Transport(StringTransport):
    aborted = False

    def setTcpNoDelay(self, on):
        self.no_delay = on

    def abortConnection(self):
        self.aborted = True


@pytest.fixture
def open_wire():
    clock, transport = Clock(), Transport()
    wire = Wire(clock, pika.ConnectionParameters(heartbeat=4))
    wire.lost = []
    wire.on_lost = wire.lost.append
    handshake(wire, transport)
    assert wire.opened.called
    return wire, clock, transport


def test_small_frames_are_not_held_back(open_wire):
    _, _, transport = open_wire
    assert transport.no_delay


def test_a_broker_that_falls_silent_is_given_up_after_missed_heartbeats(open_wire):
    """Not closed but aborted: a close waits for what was written to be sent, which a dead peer never lets happen."""
    _, clock, transport = open_wire
    transport.clear()
    clock.pump([1.0] * 8)
    assert b"\x08\x00\x00\x00\x00\x00\x00\xce" in transport.value()  # our heartbeats went out
    assert not transport.aborted
    clock.pump([1.0] * 11)  # the second whole window (heartbeat and five seconds) without a byte
    assert transport.aborted


def test_a_broker_that_sends_heartbeats_is_kept(open_wire):
    wire, clock, transport = open_wire
    for _ in range(30):
        clock.advance(1)
        wire.dataReceived(pika.frame.Heartbeat().marshal())
    assert not transport.aborted


def test_bytes_that_are_no_amqp_end_the_connection_with_a_reason(open_wire):
    wire, _, transport = open_wire
    wire.dataReceived(b"\x01\x00\x00\x00\x00\x00\x01XY")
    assert transport.aborted
    wire.connectionLost()
    assert len(wire.lost) == 1


@given(st.data())
def test_splitting_the_input_anywhere_gives_the_same(data):
    clock, transport = Clock(), Transport()
    wire = Wire(clock, pika.ConnectionParameters(heartbeat=0))
    handshake(wire, transport)
    got = []
    wire.machine.add_on_connection_blocked_callback(lambda _, frame: got.append(frame.method.reason))
    whole = b"".join(pika.frame.Method(0, pika.spec.Connection.Blocked(str(n))).marshal() for n in range(5))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        wire.dataReceived(whole[start:end])
    assert got == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("data", [b"AMQP\x00\x00\x09\x01", b"\x05\x00\x00\x00\x00\x00\x00\xce", b"\x01\x00\x00\x7f\xff\xff\xff\x00",
                                  b"HTTP/1.1 400 Bad Request\r\n"])
def test_what_is_no_frame_or_too_large_for_one_is_not_waited_for(open_wire, data):
    wire, _, transport = open_wire
    wire.dataReceived(data)
    assert transport.aborted
