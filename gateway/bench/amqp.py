"""The closed loop over AMQP: a window of requests on one connection, answered by direct reply-to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from gateway.bench.exchanges import START
from gateway.bench.load import BadAnswer, Sample

_REPLY_TO = "amq.rabbitmq.reply-to"


def drive(url: str, *, window: int, seconds: float, most: int = 10_000_000, first: int = 0,
          tick: Callable[[int], None] = lambda _: None) -> Sample:
    """Load the native AMQP listener with orders for later. Raises BadAnswer, or pika's errors when the broker goes."""
    import pika

    sample = Sample()
    sent: dict[str, float] = {}
    clock = time.perf_counter
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    begun = clock()
    until, next_tick = begun + seconds, [begun + 1.0]
    asked = 0

    def ask() -> None:
        nonlocal asked
        number = f"BENCH-A{first + asked}"
        asked += 1
        body = {"externalId": number, "relatedParty": {"id": "C-1000234", "name": "Ann Lee", "role": "customer"},
                "productOrderItem": [{"id": "1", "action": "add", "quantity": 1, "productOffering": "mobile-basic",
                                      "productCharacteristic": [{"name": "TELESERVICES", "value": "basic"}]}],
                "requestedStartDate": START}
        properties = pika.BasicProperties(type="SubmitProductOrder", message_id=number, correlation_id=number, reply_to=_REPLY_TO,
                                          delivery_mode=2, content_type="application/json")
        sent[number] = clock()
        channel.basic_publish("uip.requests", "SubmitProductOrder", json.dumps(body).encode(), properties)

    def answered(_channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        now = clock()
        if properties.type != "ProductOrder":
            raise BadAnswer(f"{properties.type}: {body[:500]!r}")
        sample.latencies.append(now - sent.pop(properties.correlation_id))
        if asked < most and now < until:
            ask()

    channel.basic_consume(_REPLY_TO, answered, auto_ack=True)
    for _ in range(min(window, most)):
        ask()
    stalled = clock() + 20
    while sent:
        before = len(sample.latencies)
        connection.process_data_events(time_limit=1)
        now = clock()
        if len(sample.latencies) > before:
            stalled = now + 20
        elif now > stalled:
            raise TimeoutError("no answer for 20 seconds")
        if now > next_tick[0]:
            tick(len(sample.latencies))
            next_tick[0] = now + 1.0
    sample.seconds = clock() - begun
    connection.close()
    return sample
