"""What a durable request and its answer cost: `python -m tests.adapters.amqp.measure [SECONDS]`.

Two servers, one after the other, each in a process of its own, take requests from a quorum queue and answer them, under the
same load from another process: pika's blocking adapter doing the least it can (the floor: an echo, without confirms, that
looks at nothing), and the listener before a gateway that answers at once. Printed: answers a second, and the server's CPU
microseconds for each.
"""

from __future__ import annotations

import json
import multiprocessing
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests import broker

BODY = json.dumps({
    "externalId": "x", "relatedParty": {"id": "C1", "name": "Ann"},
    "productOrderItem": [{"action": "add", "productOffering": "mobile-basic",
                          "productCharacteristic": [{"name": "MSISDN", "value": "4912345678"}]}]}).encode()
IN_FLIGHT = 256


def listener(url, queue, seconds, results):
    """Our listener, with the real envelope, checks and packing, and no core behind."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    from tests.adapters.amqp.gate import Gate, order

    gate = Gate(url, Path())
    answer = order()

    async def dispatch(session, request, context):
        return answer

    gate.dispatch = dispatch

    async def run():
        from adapters.amqp import adapter
        from plugins.api import Surroundings

        settings = adapter.listener_settings.model_validate({"url": url, "party": "crm", "requests": queue, "events": queue + ".e",
                                                             "dead": queue + ".dead", "prefetch": IN_FLIGHT})
        around = Surroundings(reactor=reactor, site=Path(), catalogue=Gate.catalogue, dialects={}, protocols={}, log=gate.log)
        service = adapter.listener("amqp", settings, gate, around)
        await service.start()
        results.put("ready")
        before, begun = service.status()["answered"], time.process_time()
        while service.status()["answered"] == before:
            begun = time.process_time()
            await pause(0.01)
        await pause(seconds)
        results.put((service.status()["answered"] - before, time.process_time() - begun))
        await service.stop()

    def pause(seconds):
        done = Deferred()
        reactor.callLater(seconds, done.callback, None)
        return done

    def begin():
        Deferred.fromCoroutine(run()).addErrback(lambda failure: failure.printTraceback()).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()


def floor(url, queue, seconds, results):
    """A blocking pika echo: take, answer, acknowledge."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    channel.exchange_declare(queue, "topic", durable=True)
    channel.queue_bind(queue, queue, "#")
    channel.basic_qos(prefetch_count=IN_FLIGHT)
    count = 0

    def echo(channel, method, properties, body):
        nonlocal count
        channel.basic_publish("", properties.reply_to, body, pika.BasicProperties(
            correlation_id=properties.correlation_id, type="ProductOrder", delivery_mode=2))
        channel.basic_ack(method.delivery_tag)
        count += 1

    channel.basic_consume(queue, echo)
    results.put("ready")
    while count == 0:
        connection.process_data_events(0.01)
    before, begun, until = count, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < until:
        connection.process_data_events(0.05)
    results.put((count - before, time.process_time() - begun))
    connection.close()


def load(url, queue, stop):
    """Keeps IN_FLIGHT requests under way."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    inbox = channel.queue_declare("", exclusive=True).method.queue

    def ask():
        channel.basic_publish(queue, "SubmitProductOrder", BODY, pika.BasicProperties(
            type="SubmitProductOrder", message_id=secrets.token_hex(8), reply_to=inbox, correlation_id="c", delivery_mode=2))

    channel.basic_consume(inbox, lambda *_: ask(), auto_ack=True)
    for _ in range(IN_FLIGHT):
        ask()
    with suppress(KeyboardInterrupt):
        while not stop.is_set():
            connection.process_data_events(0.05)
    connection.close()


def measure(server, url, seconds):
    queue = secrets.token_hex(4)
    results, stop = multiprocessing.Queue(), multiprocessing.Event()
    serving = multiprocessing.Process(target=server, args=(url, queue, seconds, results))
    serving.start()
    assert results.get(timeout=30) == "ready"
    loading = multiprocessing.Process(target=load, args=(url, queue, stop))
    loading.start()
    count, cpu = results.get(timeout=seconds + 30)
    stop.set()
    loading.join(10)
    serving.join(10)
    for process in (loading, serving):
        if process.is_alive():
            process.terminate()
    print(f"{server.__name__:10} {count / seconds:8.0f} /s  {cpu / max(count, 1) * 1e6:6.0f} us CPU each", flush=True)  # noqa: T201  # a script


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    with broker.vhost() as address:
        for each in (floor, listener):
            measure(each, address, float(sys.argv[1]) if len(sys.argv) > 1 else 5)
