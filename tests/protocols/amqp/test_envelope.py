from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.amqp import (
    ReplyAddress,
    ReplyFault,
    pack_event,
    pack_fault,
    pack_reply,
    pack_request,
    read_reply,
    read_request,
    reply_address,
)
from protocols.base import LocalProtocolError, RemoteProtocolError

NAMES = ("content_type", "content_encoding", "headers", "correlation_id", "reply_to", "message_id", "type", "user_id")
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=60)
ANYTHING = st.none() | st.text(max_size=20) | st.binary(max_size=20) | st.integers() | st.dictionaries(st.text(max_size=8), st.text())


def head(**given_ones):
    return SimpleNamespace(**{**dict.fromkeys(NAMES), **given_ones})


def arrived(message):
    """A message we sent, as its properties look to who receives it."""
    return SimpleNamespace(**{name: getattr(message.properties, name) for name in NAMES})


@given(TEXT, st.binary(max_size=50), TEXT, st.none() | TEXT, st.none() | TEXT, st.none() | st.datetimes(timezones=st.just(UTC)))
def test_a_request_comes_out_as_it_went_in(name, body, key, correlation, queue, deadline):
    message = pack_request("uip.requests", name, body, message_id=key, correlation_id=correlation, reply_to=queue, deadline=deadline)
    assert (message.exchange, message.routing_key) == ("uip.requests", name)
    request = read_request(message.routing_key, arrived(message), message.body, max_bytes=50)
    assert (request.name, request.body, request.key, request.correlation_id) == (name, body, key, correlation)
    assert request.deadline == deadline
    to = reply_address(arrived(message))
    assert to == (ReplyAddress(queue, correlation if correlation is not None else key) if queue else None)


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, ANYTHING)), ANYTHING, st.binary(max_size=20))
def test_whatever_arrives_only_codec_errors_come_out(properties, routing_key, body):
    for read in (lambda: read_request(routing_key, head(**properties), body, max_bytes=10), lambda: read_reply(head(**properties), body)):
        with suppress(RemoteProtocolError):
            read()
    address = reply_address(head(**properties))
    assert address is None or isinstance(address.queue, str)


def test_the_type_says_the_name_and_the_routing_key_does_where_there_is_none():
    assert read_request("queue", head(type="Name"), b"", max_bytes=1).name == "Name"
    assert read_request("Name", head(), b"", max_bytes=1).name == "Name"
    with pytest.raises(RemoteProtocolError, match="neither type nor routing key"):
        read_request("", head(), b"", max_bytes=1)


def test_a_body_may_be_as_long_as_allowed():
    assert read_request("N", head(), b"12345", max_bytes=5).body == b"12345"
    with pytest.raises(RemoteProtocolError, match="6 bytes; 5 are allowed"):
        read_request("N", head(), b"123456", max_bytes=5)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf8"'])
def test_json_may_be_called_json(kind):
    assert read_request("N", head(content_type=kind), b"", max_bytes=1)


@pytest.mark.parametrize("properties", [
    {"content_type": "text/plain"}, {"content_type": "application/json; charset=latin-1"}, {"content_encoding": "gzip"},
    {"message_id": b"\xff"}, {"message_id": "a\x00b"}, {"type": "a\nb"}, {"correlation_id": b"\xff"},
    {"headers": {"deadline": "soon"}}, {"headers": {"deadline": "2026-01-31T12:00:00"}}, {"headers": {"deadline": 17}},
    {"damaged": True},
])
def test_what_is_wrong_is_refused(properties):
    with pytest.raises(RemoteProtocolError):
        read_request("N", head(**properties), b"", max_bytes=1)


def test_a_deadline_may_be_text_or_a_timestamp():
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    for given_as in (noon, "2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00"):
        assert read_request("N", head(headers={"deadline": given_as}), b"", max_bytes=1).deadline == noon
    assert noon.utcoffset() == timedelta(0)


@given(TEXT, TEXT, st.none() | TEXT, st.none() | TEXT)
def test_a_fault_comes_out_as_it_went_in(code, message, field, correlation):
    fault = ReplyFault(code, message, field, correlation)
    sent = pack_fault(ReplyAddress("inbox", "c"), fault, message_id="m", now=1)
    assert (sent.exchange, sent.routing_key, sent.properties.type, sent.properties.correlation_id) == ("", "inbox", "Fault", "c")
    assert read_reply(arrived(sent), sent.body) == fault
    assert set(json.loads(sent.body)) <= {"code", "message", "field", "correlationId"}


def test_a_reply_comes_out_as_it_went_in():
    sent = pack_reply(ReplyAddress("inbox", None), "ProductOrder", b"{}", message_id="m", now=1)
    assert read_reply(arrived(sent), sent.body) == ("ProductOrder", b"{}")
    assert sent.properties.delivery_mode == 2


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"code": "x"}', b"\xff", b"[" * 100_000])
def test_a_fault_that_cannot_be_read_is_said_to_be_one(body):
    with pytest.raises(RemoteProtocolError):
        read_reply(head(type="Fault"), body)


def test_an_event_carries_its_time():
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    sent = pack_event("uip.events", "Happened", b"{}", message_id="m", correlation_id="c", occurred_at=now, headers={"key": "K"})
    assert (sent.exchange, sent.routing_key, sent.properties.type) == ("uip.events", "Happened", "Happened")
    assert sent.properties.timestamp == int(now.timestamp())
    assert sent.properties.headers == {"occurredAt": now.isoformat(), "key": "K"}


def test_what_a_short_string_cannot_hold_is_not_sent():
    for to in (ReplyAddress("é" * 128, "c"), ReplyAddress("q", "c" * 256)):
        with pytest.raises(LocalProtocolError):
            pack_reply(to, "N", b"", message_id="m", now=1)
    assert pack_reply(ReplyAddress("q" * 255, "c" * 255), "N", b"", message_id="m", now=1)
