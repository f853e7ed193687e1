"""Frames as pika reads and writes them: one codec is the oracle of the other."""

from __future__ import annotations

import struct
from contextlib import suppress
from datetime import UTC, datetime

import pika
import pika.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.exceptions import InvalidFrameError, ShortStringTooLong, UnexpectedFrameError, UnsupportedAMQPFieldException

from adapters.amqp import frames
from adapters.amqp.dead import dead_letter
from adapters.amqp.frames import BODY, HEADER, METHOD, Traffic, read_header
from protocols.amqp import Message, Properties

spec = pika.spec

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
    body_size, head = read_header(pika.frame.Header(1, size, properties).marshal()[7:-1])
    assert body_size == size
    assert {name: getattr(head, name) for name in vars(properties)} == vars(properties)
    assert not head.damaged


@given(PROPERTIES, st.integers(0, 2**40))
def test_headers_nobody_can_read_cost_only_the_headers(properties, size):
    broken = Broken(**{**vars(properties), "headers": properties.headers or {"a": 1}})
    data = pika.frame.Header(7, size, broken).marshal()
    with pytest.raises(Exception, match=r"\?"):
        pika.frame.decode_frame(data)
    body_size, head = read_header(data[7:-1])
    assert body_size == size
    assert head.damaged
    assert not head.headers
    for name, value in vars(properties).items():
        assert name == "headers" or getattr(head, name) == value


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


def test_a_dead_letter_with_more_headers_than_a_frame_holds_can_be_sent_too():
    large = pika.BasicProperties(headers={f"h{number}": "x" * 1_000 for number in range(130)}, type="Order")
    letter = dead_letter("dead", Delivered(large, b"body"), "why", "because", datetime.now(UTC), {})
    assert frames.publish(1, letter, mandatory=True, longest=131_064)
    assert (letter.properties.type, letter.body, letter.properties.headers["uip-reason"]) == ("Order", b"body", "why")
    assert letter.properties.headers["uip-headers-left-out"] > 130_000
    assert "h1" not in letter.properties.headers


OURS = st.builds(
    Properties, type=SHORT, message_id=SHORT, correlation_id=SHORT, reply_to=SHORT, content_type=SHORT, content_encoding=SHORT,
    delivery_mode=st.sampled_from([1, 2]), priority=st.none() | st.integers(0, 255), expiration=SHORT,
    timestamp=st.none() | st.integers(0, 2**63), user_id=SHORT, app_id=SHORT,
    headers=st.none() | st.dictionaries(st.text(max_size=8), VALUES))


def decoded(data):
    """What pika makes of frames."""
    found = []
    while data:
        length, frame = pika.frame.decode_frame(data)
        found.append(frame)
        data = data[length:]
    return found


@given(OURS, st.text(max_size=20), st.text(max_size=20), st.binary(max_size=3000), st.booleans())
def test_pika_reads_what_is_published(properties, exchange, routing_key, body, mandatory):
    longest = 1000 + 14 + len(b"".join(pika.BasicProperties(headers=properties.headers).encode()))
    method, header, *parts = decoded(frames.publish(3, Message(exchange, routing_key, properties, body), mandatory=mandatory,
                                                    longest=longest))
    assert {frame.channel_number for frame in (method, header, *parts)} == {3}
    assert vars(method.method) == vars(spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory))
    expected = pika.BasicProperties(**{name: getattr(properties, name) for name in Properties.__slots__})
    assert header.properties == expected
    assert header.body_size == len(body)
    assert all(0 < len(part.fragment) <= longest for part in parts)
    assert b"".join(part.fragment for part in parts) == body


@given(st.integers(1, 2**16 - 1), st.integers(1, 2**63))
def test_pika_reads_what_is_settled(channel, tag):
    acked, = decoded(frames.ack(channel, tag))
    assert acked.channel_number == channel
    assert vars(acked.method) == vars(spec.Basic.Ack(tag))
    given_back, = decoded(frames.nack(channel, tag))
    assert vars(given_back.method) == vars(spec.Basic.Nack(tag, multiple=False, requeue=True))


@pytest.mark.parametrize(("message", "error"), [
    (Message("", "k" * 256, Properties(), b""), ShortStringTooLong),
    (Message("e" * 256, "k", Properties(), b""), ShortStringTooLong),
    (Message("", "k", Properties(type="\u20ac" * 86), b""), ShortStringTooLong),
    (Message("", "k", Properties(priority=256), b""), OverflowError),
    (Message("", "k", Properties(headers={"a": "x" * 4096}), b""), ValueError),
    (Message("", "k", Properties(headers={"a": object()}), b""), UnsupportedAMQPFieldException)])
def test_what_the_broker_would_end_the_connection_for_is_not_written(message, error):
    with pytest.raises(error):
        frames.publish(1, message, mandatory=True, longest=4088)


class Watched:
    """A channel's traffic, and what came of it."""

    def __init__(self):
        self.came, self.confirms = [], []
        self.traffic = Traffic(delivered=lambda *message: self.came.append(("delivered", *message)),
                               returned=lambda *message: self.came.append(("returned", *message)),
                               confirmed=lambda *confirm: self.confirms.append(confirm))

    def take(self, *parts):
        return [self.traffic.take(kind, payload) for kind, payload in parts]


def method(of):
    return METHOD, pika.frame.Method(1, of).marshal()[7:-1]


def header(size, **properties):
    return HEADER, pika.frame.Header(1, size, pika.BasicProperties(**properties)).marshal()[7:-1]


@given(SHORT, st.integers(1, 2**63), st.booleans(), st.text(max_size=9), st.text(max_size=9), st.lists(st.binary(min_size=1)))
def test_a_delivery_is_put_together(message_id, tag, redelivered, exchange, routing_key, parts):
    watched = Watched()
    body = b"".join(parts)
    taken = watched.take(method(spec.Basic.Deliver("consumer", tag, redelivered, exchange, routing_key)),
                         header(len(body), message_id=message_id), *((BODY, part) for part in parts))
    assert all(taken)
    (how, came, head, whole), = watched.came
    assert (how, came.tag, came.redelivered, came.exchange, came.routing_key) == ("delivered", tag, redelivered, exchange, routing_key)
    assert (head.message_id, whole) == (message_id, body)


def test_a_message_that_came_back_tells_why():
    watched = Watched()
    watched.take(method(spec.Basic.Return(312, "NO_ROUTE", "x", "key")), header(2, message_id="m"), (BODY, b"ab"))
    (how, came, head, body), = watched.came
    assert (how, came.reason, came.exchange, came.routing_key, head.message_id, body) == (
        "returned", "NO_ROUTE", "x", "key", "m", b"ab")


@given(st.integers(1, 2**63), st.booleans())
def test_confirms_are_told(tag, multiple):
    watched = Watched()
    watched.take(method(spec.Basic.Ack(tag, multiple)), method(spec.Basic.Nack(tag, multiple, requeue=False)))
    assert watched.confirms == [(tag, multiple, True), (tag, multiple, False)]


def test_what_is_nobodys_is_left_to_others():
    assert Watched().take(method(spec.Channel.Close(404, "NOT_FOUND", 60, 40))) == [False]
    assert Traffic().take(*method(spec.Basic.Deliver("c", 1, False, "", "q"))) is False  # noqa: FBT003  # pika's order


DELIVER = method(spec.Basic.Deliver("c", 1, exchange="", routing_key="q"))


@pytest.mark.parametrize("parts", [
    [header(0)], [(BODY, b"x")], [DELIVER, DELIVER], [DELIVER, (BODY, b"x")], [DELIVER, header(2), header(2)],
    [DELIVER, header(2), (BODY, b"xyz")], [DELIVER, header(2), DELIVER]])
def test_frames_out_of_turn_are_not_put_together(parts):
    with pytest.raises(UnexpectedFrameError):
        Watched().take(*parts)


@given(st.sampled_from([METHOD, HEADER, BODY]), st.binary(max_size=60) | st.binary(max_size=40).map(lambda rest: DELIVER[1][:4] + rest))
def test_bytes_that_mean_nothing_are_refused_by_what_the_wire_expects(kind, payload):
    watched = Watched()
    watched.traffic.take(*DELIVER)
    for each in (watched, Watched()):
        with suppress(UnexpectedFrameError, InvalidFrameError, struct.error, IndexError):
            each.traffic.take(kind, payload)
