"""The native listener on a real broker, spoken to by a client that knows nothing of us."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pika
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from core.messages.failures import Failure, Kind
from core.orders.objects import ProductOrderStateChangeEvent
from plugins.api import Envelope
from tests.adapters.amqp.gate import order, pause, until

sync = pytest_twisted.ensureDeferred

ORDER = json.dumps({
    "externalId": "x", "relatedParty": {"id": "C1", "name": "Ann"},
    "productOrderItem": [{"action": "add", "productOffering": "mobile-basic",
                          "productCharacteristic": [{"name": "MSISDN", "value": "4912345678"}]}]})


def fault_of(answer):
    properties, body = answer
    assert properties.type == "Fault"
    return json.loads(body)


@sync
async def test_a_request_is_answered(gate, foreign):
    listener, prefix = await gate.listen()
    properties, body = await foreign.soon("ask", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests",
                                          message_id="key-1", correlation_id="mine")
    assert properties.type == "ProductOrder"
    assert properties.correlation_id == "mine"
    assert properties.content_type == "application/json"
    assert json.loads(body)["id"] == "PO1"
    [envelope] = gate.taken
    assert (envelope.type, envelope.idempotency_key, envelope.party) == ("SubmitProductOrder", "key-1", "crm")
    assert envelope.body.productOrderItem[0].productCharacteristic[0].value == "4912345678"
    assert listener.status()["state"] == "consuming"
    assert "guest:guest" not in str(listener.status())
    await until(lambda: listener.status()["in_flight"] == 0)
    assert await foreign.soon("depth", f"{prefix}.requests") == 0


@sync
async def test_the_answer_carries_the_message_id_where_no_correlation_id_was_given(gate, foreign):
    _, prefix = await gate.listen()
    properties, _ = await foreign.soon("ask", "GetProductOrder", '{"id": "PO1"}', exchange=f"{prefix}.requests",
                                       message_id="m1", correlation_id=None)
    assert properties.correlation_id == "m1"


@sync
async def test_direct_reply_to(gate, foreign):
    _, prefix = await gate.listen()

    def ask():
        channel = foreign.connection.channel()
        messages = channel.consume("amq.rabbitmq.reply-to", auto_ack=True, inactivity_timeout=10)
        next_message = iter(messages)
        # the consumer has to be there before the request is sent
        channel.basic_publish(f"{prefix}.requests", "GetProductOrder", b'{"id": "PO1"}',
                              pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="c"))
        return next(next_message)

    foreign.direct = ask
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        await foreign.soon("direct")  # without a consumer the broker refuses; with one it is answered:

    def ask_well():
        channel = foreign.connection.channel()
        got = []
        channel.basic_consume("amq.rabbitmq.reply-to", lambda *message: got.append(message), auto_ack=True)
        channel.basic_publish(f"{prefix}.requests", "GetProductOrder", b'{"id": "PO1"}',
                              pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="c"))
        while not got:
            foreign.connection.process_data_events(1)
        return got[0]

    foreign.direct = ask_well
    _, _, properties, body = await foreign.soon("direct")
    assert properties.correlation_id == "c"
    assert json.loads(body)["id"]
    assert await foreign.soon("depth", f"{prefix}.dead") == 0


@pytest.mark.parametrize("kind", [k for k in Kind if k not in (Kind.MALFORMED, Kind.BUSY, Kind.TIMEOUT)])
@sync
async def test_a_refusal_by_a_core_is_told(gate, foreign, kind):
    _, prefix = await gate.listen()

    def refuse(envelope):
        raise Failure(kind, "why not", "some.field")

    gate.answer = refuse
    told = fault_of(await foreign.soon("ask", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests",
                                       message_id="k", correlation_id="c-1"))
    assert told == {"code": kind.value, "message": "why not", "field": "some.field", "correlationId": "c-1"}
    assert await foreign.soon("depth", f"{prefix}.dead") == 0


@sync
async def test_busy_is_answered_at_once(gate, foreign):
    _, prefix = await gate.listen()
    gate.admission.draining = True
    told = fault_of(await foreign.soon("ask", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests"))
    assert told["code"] == "busy"
    assert gate.taken == []


@sync
async def test_wrong_bodies_and_names_are_told(gate, foreign):
    _, prefix = await gate.listen()
    exchange = f"{prefix}.requests"
    assert fault_of(await foreign.soon("ask", "Nonsense", "{}", exchange=exchange))["code"] == "unknownOperation"
    told = fault_of(await foreign.soon("ask", "SubmitProductOrder", ORDER.replace('"add"', '"melt"'), exchange=exchange))
    assert told["code"] == "invalid"
    assert told["field"] == "productOrderItem[0].action"
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    told = fault_of(await foreign.soon("ask", "GetProductOrder", '{"id": "P"}', exchange=exchange, headers={"deadline": past}))
    assert told["code"] == "timeout"
    assert gate.taken == []
    assert await foreign.soon("depth", f"{prefix}.dead") == 0
    assert (gate.refused_as("unknownOperation"), gate.refused_as("invalid")) == (1, 1)


@pytest.mark.parametrize(("properties", "body"), [
    ({}, "{not json"),
    ({}, b"\xff\xfe"),
    ({}, "x" * 3_000),
    ({"content_type": "text/xml"}, "{}"),
    ({"content_encoding": "gzip"}, "{}"),
    ({"message_id": "line\nbreak"}, "{}"),
    ({"headers": {"deadline": "tomorrow"}}, "{}"),
])
@sync
async def test_malformed_is_told_and_dead_lettered_with_its_reason(gate, foreign, properties, body):
    _, prefix = await gate.listen(max_message_bytes=2_000)
    told = fault_of(await foreign.soon("ask", "GetProductOrder", body, exchange=f"{prefix}.requests", **properties))
    assert told["code"] == "malformed"
    letter, text = await foreign.soon("get", f"{prefix}.dead")
    assert text == (body if isinstance(body, bytes) else body.encode())
    assert letter.headers["uip-reason"] == "malformed"
    assert letter.headers["uip-text"] == told["message"]
    assert letter.headers["uip-queue"] == letter.headers["uip-exchange"] == f"{prefix}.requests"
    assert letter.headers["uip-routing-key"] == "GetProductOrder"
    assert await foreign.soon("depth", f"{prefix}.requests") == 0
    assert gate.taken == []
    assert gate.refused_as("malformed") == 1


@sync
async def test_a_refusal_nobody_waits_for_is_a_dead_letter_with_everything_in_it(gate, foreign):
    _, prefix = await gate.listen()
    sent = {"message_id": "k", "correlation_id": "c", "app_id": "shop", "timestamp": 1_700_000_000, "user_id": "guest",
            "expiration": "60000", "priority": 3, "content_type": "application/json",
            "headers": {"a": 1, "b": [True, None, {"c": "d"}], "CC": [f"{prefix}.copy"], "n": -5, "raw": b"\xff"}}
    foreign.channel.queue_declare(f"{prefix}.copy")
    await foreign.soon("publish", "SubmitProductOrder", '{"externalId": ""}', exchange=f"{prefix}.requests", **sent)
    letter, body = await foreign.soon("get", f"{prefix}.dead")
    assert body == b'{"externalId": ""}'
    for name in ("message_id", "correlation_id", "app_id", "timestamp", "priority", "content_type"):
        assert getattr(letter, name) == sent[name], name
    assert letter.type == "SubmitProductOrder"
    assert letter.expiration is None
    assert letter.headers["a"] == 1
    assert letter.headers["b"] == [True, None, {"c": "d"}]
    assert letter.headers["raw"] == b"\xff"
    assert letter.headers["uip-reason"] == "invalid"
    assert letter.headers["uip-field"] == "externalId"
    assert letter.headers["uip-user"] == "guest"
    assert letter.headers["uip-expiration"] == "60000"
    assert letter.headers["uip-attempts"] == 1
    assert letter.headers["uip-listener"] == "amqp"
    assert datetime.fromisoformat(letter.headers["uip-time"]).tzinfo
    # The sender's CC must not carry the letter anywhere else.
    assert await foreign.soon("depth", f"{prefix}.copy") == 0


@sync
async def test_what_the_cores_cannot_take_now_is_tried_again_when_nobody_waits(gate, foreign):
    _, prefix = await gate.listen()

    def busy_twice(envelope):
        if len(gate.taken) < 3:
            raise Failure(Kind.BUSY, "later")
        return order()

    gate.answer = busy_twice
    await foreign.soon("publish", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests", message_id="k")
    await until(lambda: len(gate.taken) == 3)
    assert {e.idempotency_key for e in gate.taken} == {"k"}
    await pause(0.05)
    assert await foreign.soon("depth", f"{prefix}.dead") == 0


@sync
async def test_trying_again_has_an_end_and_the_letter_tells_it(gate, foreign):
    _, prefix = await gate.listen(attempts=3)

    def never(envelope):
        raise Failure(Kind.UNAVAILABLE, "the database is away")

    gate.answer = never
    await foreign.soon("publish", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests", message_id="k")
    letter, _ = await foreign.soon("get", f"{prefix}.dead")
    assert letter.headers["uip-reason"] == "unavailable"
    assert letter.headers["uip-text"] == "the database is away"
    assert len(gate.taken) == 3


@sync
async def test_without_an_address_for_the_answer_a_request_is_still_done_once(gate, foreign):
    listener, prefix = await gate.listen()
    await foreign.soon("publish", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests", message_id="k")
    await until(lambda: listener.status()["answered"] == 1)
    assert len(gate.taken) == 1
    assert await foreign.soon("depth", f"{prefix}.dead") == 0


@sync
async def test_an_answer_that_reaches_nobody_is_a_dead_letter_and_the_channel_goes_on(gate, foreign):
    _, prefix = await gate.listen()
    await foreign.soon("publish", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests", message_id="k",
                       reply_to="no.such.queue")
    letter, body = await foreign.soon("get", f"{prefix}.dead")
    assert letter.headers["uip-reason"] == "unanswerable"
    assert "NO_ROUTE" in letter.headers["uip-text"]
    assert body.decode() == ORDER
    properties, _ = await foreign.soon("ask", "GetProductOrder", '{"id": "PO1"}', exchange=f"{prefix}.requests")
    assert properties.type == "ProductOrder"


@sync
async def test_returns_are_matched_to_the_message_that_was_returned(gate, foreign):
    """Among many answers in flight only the unroutable one may be taken for returned."""
    _, prefix = await gate.listen()
    held = []
    gate.answer = lambda envelope: held.append(Deferred()) or held[-1]
    for n in range(20):
        to = {"reply_to": "no.such.queue"} if n == 7 else {"reply_to": foreign.inbox}
        await foreign.soon("publish", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests", message_id=f"k{n}", **to)
    await until(lambda: len(held) == 20)
    keys = [e.idempotency_key for e in gate.taken]
    for n, answer in enumerate(held):
        answer.callback(order(n))
    answers = {(await foreign.soon("get"))[0].correlation_id for _ in range(19)}
    assert answers == set(keys) - {"k7"}
    letter, _ = await foreign.soon("get", f"{prefix}.dead")
    assert letter.message_id == "k7"
    assert await foreign.soon("depth", f"{prefix}.dead") == 0


@sync
async def test_the_party_is_who_the_broker_vouches_for(gate, foreign):
    _, prefix = await gate.listen()
    exchange = f"{prefix}.requests"
    await foreign.soon("ask", "GetProductOrder", '{"id": "P"}', exchange=exchange, user_id="guest")
    assert gate.taken[-1].party == "guest"
    assert fault_of(await foreign.soon("ask", "SubmitProductOrder", ORDER, exchange=exchange,
                                       user_id="guest"))["code"] == "authorization"
    await foreign.soon("ask", "GetProductOrder", '{"id": "P"}', exchange=exchange)
    assert gate.taken[-1].party == "crm"
    assert len(gate.sessions) == 2


@sync
async def test_nobody_vouched_for_and_no_party_set(gate, foreign):
    _, prefix = await gate.listen(party=None)
    told = fault_of(await foreign.soon("ask", "GetProductOrder", '{"id": "P"}', exchange=f"{prefix}.requests"))
    assert told["code"] == "authentication"
    assert gate.taken == []
    assert len(gate.sessions) == 0


@sync
async def test_a_session_ended_by_the_gateway_is_opened_again(gate, foreign):
    _, prefix = await gate.listen()
    await foreign.soon("ask", "GetProductOrder", '{"id": "P"}', exchange=f"{prefix}.requests")
    [session] = gate.sessions
    session.close("idle")
    assert len(gate.sessions) == 0
    await foreign.soon("ask", "GetProductOrder", '{"id": "P"}', exchange=f"{prefix}.requests")
    assert gate.taken[-1].session != session.id


@sync
async def test_events_go_out_under_their_name(gate, foreign):
    listener, prefix = await gate.listen()
    await foreign.soon("subscribe", f"{prefix}.events", "ProductOrderStateChangeEvent")
    event = ProductOrderStateChangeEvent(productOrder=order())
    now = datetime.now(UTC)
    await listener.publish(Envelope(event, message_id="e1", correlation_id="c1", occurred_at=now, key="PO1"))
    properties, body = await foreign.soon("get")
    assert properties.type == "ProductOrderStateChangeEvent"
    assert properties.message_id == "e1"
    assert properties.delivery_mode == 2
    assert properties.headers["occurredAt"] == now.isoformat()
    assert json.loads(body) == json.loads(event.model_dump_json(exclude_none=True))


@sync
async def test_draining_answers_what_is_in_hand_and_leaves_the_rest(gate, foreign):
    listener, prefix = await gate.listen(prefetch=1)
    held = []
    gate.answer = lambda envelope: held.append(Deferred()) or held[-1]
    for n in range(3):
        await foreign.soon("publish", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests", message_id=f"k{n}",
                           reply_to=foreign.inbox)
    await until(lambda: held)
    drained = Deferred.fromCoroutine(listener.drain())
    await pause(0.05)
    assert not drained.called
    held[0].callback(order())
    await drained
    assert (await foreign.soon("get"))[0].correlation_id == "k0"
    await listener.stop()
    assert len(gate.taken) == 1
    assert await foreign.soon("depth", f"{prefix}.requests") == 2


@sync
async def test_a_redelivered_request_without_an_id_is_not_done_twice(gate, foreign):
    first, prefix = await gate.listen()
    held = []
    gate.answer = lambda envelope: held.append(Deferred()) or held[-1]
    await foreign.soon("publish", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests")
    await until(lambda: held)
    await first.stop()  # before it was answered: the message goes back
    await gate.listen(requests=f"{prefix}.requests", dead=f"{prefix}.dead")
    letter, _ = await foreign.soon("get", f"{prefix}.dead")
    assert letter.headers["uip-reason"] == "conflict"
    assert letter.headers["uip-attempts"] == 2
    assert len(gate.taken) == 1
