"""What users of gateways complain of most, each provoked: nothing is lost, nothing hangs, nobody has to restart anything."""

from __future__ import annotations

import json
import logging
import struct
from datetime import UTC, datetime

import pika
import pika.frame
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.ssl import DefaultOpenSSLContextFactory

from core.orders.objects import ProductOrderStateChangeEvent
from plugins.api import Envelope, TryAgain
from tests.adapters.amqp.gate import order, pause, until
from tests.adapters.amqp.proxy import Proxy
from tests.adapters.amqp.test_listener import ORDER
from tests.adapters.test_endpoints import certificate

sync = pytest_twisted.ensureDeferred
QUICK = {"retry_first": 0.02, "retry_longest": 0.1}
GET = '{"id": "PO1"}'


@pytest.fixture
def proxy(gate):
    proxy = Proxy()
    proxy.listen()
    gate.direct_url = gate.url
    gate.url = gate.url.replace(":5672/", f":{proxy.port}/")
    yield proxy
    proxy.heal()  # or the goodbye waits for an answer
    for listener in gate.listeners:
        pytest_twisted.blockon(Deferred.fromCoroutine(listener.stop()))
    pytest_twisted.blockon(Deferred.fromCoroutine(proxy.close()))


def event(number=1):
    return Envelope(ProductOrderStateChangeEvent(productOrder=order(number)), message_id=f"e{number}", correlation_id="c",
                    occurred_at=datetime.now(UTC))


async def outcome(work):
    """How a publish ended: True, or the TryAgain it raised."""
    try:
        await work
    except TryAgain as error:
        return error
    return True


async def answered(foreign, prefix, **more):
    properties, _ = await foreign.soon("ask", "GetProductOrder", GET, exchange=f"{prefix}.requests", **more)
    return properties.type == "ProductOrder"


@sync
async def test_connection_dropped_in_mid_publish(gate, foreign, proxy):
    """Every publish ends, and what it was told is true: taken means the broker has it."""
    listener, prefix = await gate.listen(window=100, **QUICK)
    await foreign.soon("subscribe", f"{prefix}.events", "#")
    published = [Deferred.fromCoroutine(outcome(listener.publish(event(n)))) for n in range(200)]
    published[0].addCallback(lambda said: proxy.cut() or said)  # a hundred are under way, some perhaps confirmed
    outcomes = [value for _, value in await DeferredList(published)]
    arrived = set()
    while (got := await foreign.soon("get", wait=0.2)) is not None:
        arrived.add(got[0].message_id)
    taken = {f"e{n}" for n, said in enumerate(outcomes) if said is True}
    assert taken <= arrived
    assert any(said is not True for said in outcomes)
    await until(lambda: listener.status()["state"] == "consuming")
    await listener.publish(event(1000))
    assert (await foreign.soon("get"))[0].message_id == "e1000"


@sync
async def test_connection_dropped_before_the_answer(gate, foreign, proxy):
    """The request comes again, under the same key, and is answered."""
    listener, prefix = await gate.listen(**QUICK)
    held = Deferred()
    gate.answer = lambda envelope: held if len(gate.taken) == 1 else order(7)
    asked = foreign.soon("ask", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests", message_id="k")
    await until(lambda: gate.taken)
    proxy.cut()
    properties, body = await asked
    assert properties.type == "ProductOrder"
    assert json.loads(body)["id"] == "PO7"
    assert [e.idempotency_key for e in gate.taken] == ["k", "k"]
    held.callback(order(1))
    await until(lambda: listener.status()["in_flight"] == 0)
    assert await answered(foreign, prefix)


@sync
async def test_queue_deleted(gate, foreign):
    listener, prefix = await gate.listen(**QUICK)
    await foreign.soon("delete", f"{prefix}.requests")
    await until(lambda: listener.status()["connections"] == 2)
    assert await answered(foreign, prefix)


def blocked():
    return pika.frame.Method(0, pika.spec.Connection.Blocked("low on memory")).marshal()


def unblocked():
    return pika.frame.Method(0, pika.spec.Connection.Unblocked()).marshal()


@sync
async def test_connection_blocked(gate, foreign, proxy):
    """While the broker is short of memory nothing is sent; afterwards everything is, and nothing was lost or doubled."""
    listener, prefix = await gate.listen(**QUICK)
    await foreign.soon("subscribe", f"{prefix}.events", "#")
    proxy.say(blocked())
    await until(lambda: listener.status()["state"] == "blocked")
    published = Deferred.fromCoroutine(listener.publish(event()))
    asked = foreign.soon("ask", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests", message_id="k", correlation_id="x")
    await until(lambda: gate.taken)
    await pause(0.1)
    assert not published.called
    assert not asked.called
    proxy.say(unblocked())
    await published
    got = {(await asked)[0].type, (await foreign.soon("get"))[0].type}
    assert got == {"ProductOrder", "ProductOrderStateChangeEvent"}
    assert len(gate.taken) == 1


@sync
async def test_connection_blocked_for_too_long(gate, proxy):
    listener, _ = await gate.listen(confirm_timeout=0.2, **QUICK)
    proxy.say(blocked())
    await until(lambda: listener.status()["state"] == "blocked")
    with pytest.raises(TryAgain, match="takes no messages"):
        await listener.publish(event())


@sync
async def test_confirm_that_never_comes(gate, proxy):
    listener, _ = await gate.listen(confirm_timeout=0.2, watch=60, **QUICK)
    proxy.deaf = True
    begun = reactor.seconds()
    with pytest.raises(TryAgain, match="no confirm within"):
        await listener.publish(event())
    assert reactor.seconds() - begun < 3


@sync
async def test_more_than_may_wait_is_refused_at_once(gate, proxy):
    listener, _ = await gate.listen(window=5, watch=60, confirm_timeout=5, **QUICK)
    proxy.deaf = True
    published = [Deferred.fromCoroutine(outcome(listener.publish(event(n)))) for n in range(11)]
    assert [p.called for p in published] == [False] * 10 + [True]
    proxy.cut()
    await DeferredList(published)


@sync
async def test_looks_connected_but_consumes_nothing_because_the_peer_is_gone(gate, foreign, proxy):
    """A half-open connection: TCP has not noticed, nothing is delivered. The watch does notice."""
    listener, prefix = await gate.listen(watch=0.1, proof=0.2, confirm_timeout=0.2, **QUICK)
    proxy.frozen = True
    await pause(0.05)
    asked = foreign.soon("ask", "GetProductOrder", GET, exchange=f"{prefix}.requests")
    await until(lambda: listener.status()["state"] == "connecting")
    proxy.heal()
    proxy.cut()
    assert (await asked)[0].type == "ProductOrder"


@sync
async def test_looks_connected_but_consumes_nothing_because_the_broker_forgot(gate, foreign):
    """The connection is well and the consumer is gone without a word."""
    listener, prefix = await gate.listen(watch=0.1, proof=0.2, **QUICK)
    consumer = listener._consumer
    consumer._subscription._channel.basic_cancel(consumer._subscription.tag)
    asked = foreign.soon("ask", "GetProductOrder", GET, exchange=f"{prefix}.requests")
    assert (await asked)[0].type == "ProductOrder"
    await until(lambda: listener.status()["connections"] == 2)


@sync
async def test_an_idle_listener_stays_connected(gate):
    listener, _ = await gate.listen(watch=0.05, proof=0.2, **QUICK)
    await pause(0.5)
    assert listener.status()["connections"] == 1


@sync
async def test_two_idle_listeners_on_one_queue_stay_connected(gate, foreign):
    one, prefix = await gate.listen(watch=0.05, proof=0.2, **QUICK)
    two, _ = await gate.listen(requests=f"{prefix}.requests", dead=f"{prefix}.dead", watch=0.05, proof=0.2, **QUICK)
    await pause(0.5)
    assert one.status()["connections"] == two.status()["connections"] == 1
    assert await foreign.soon("depth", f"{prefix}.requests") == 0


class Poison(pika.BasicProperties):
    """Headers no client library can make sense of: a time three hundred million centuries from now."""

    def encode(self):
        pieces = super().encode()
        whole = b"".join(pieces)
        good = struct.pack(">cQ", b"T", 1_700_000_000)
        assert good in whole
        return [whole.replace(good, struct.pack(">cQ", b"T", 2**62))]


@sync
async def test_poison_message(gate, foreign):
    """What cannot even be decoded is answered, kept with its reason, and neither comes back nor stops the channel."""
    listener, prefix = await gate.listen(**QUICK)

    def poison():
        foreign.channel.basic_publish(f"{prefix}.requests", "GetProductOrder", GET.encode(), Poison(
            type="GetProductOrder", message_id="bad", reply_to=foreign.inbox, correlation_id="c",
            headers={"when": datetime.fromtimestamp(1_700_000_000, UTC)}))
        return foreign.get()

    foreign.poison = poison
    properties, body = await foreign.soon("poison")
    assert properties.type == "Fault"
    assert properties.correlation_id == "c"
    assert json.loads(body)["code"] == "malformed"
    letter, text = await foreign.soon("get", f"{prefix}.dead")
    assert letter.message_id == "bad"
    assert letter.headers["uip-text"] == "the headers cannot be read"
    assert text == GET.encode()
    assert await answered(foreign, prefix)
    assert listener.status()["connections"] == 1


@sync
async def test_a_message_that_breaks_the_gateway_itself_is_kept_and_stops_nothing(gate, foreign):
    _, prefix = await gate.listen(**QUICK)
    real, gate.dispatch = gate.dispatch, None  # whatever raises something nobody thought of
    await foreign.soon("publish", "SubmitProductOrder", ORDER, exchange=f"{prefix}.requests", message_id="k")
    letter, _ = await foreign.soon("get", f"{prefix}.dead")
    assert letter.headers["uip-reason"] == "internal"
    assert "NoneType" not in str(letter.headers)
    gate.dispatch = real
    assert await answered(foreign, prefix)


@sync
async def test_broker_away_at_the_start_and_back_later(gate, foreign, proxy):
    await proxy.close()
    listener, prefix = await gate.listen(start_timeout=0.1, **QUICK)
    assert listener.status()["state"] == "connecting"
    with pytest.raises(TryAgain):
        await listener.publish(event())
    proxy.listen()
    await until(lambda: listener.status()["state"] == "consuming")
    assert await answered(foreign, prefix)


@sync
async def test_another_broker_takes_over(gate, foreign, proxy):
    listener, prefix = await gate.listen(url=[gate.url, gate.direct_url], **QUICK)
    assert listener.status()["address"].startswith(f"amqp://guest@127.0.0.1:{proxy.port}/")
    await proxy.close()
    await until(lambda: listener.status()["connections"] == 2)
    assert listener.status()["address"].startswith("amqp://guest@127.0.0.1:5672/")
    assert await answered(foreign, prefix)


@sync
async def test_a_wrong_password_is_told_and_never_shown(gate, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    url = gate.url.replace("guest:guest", "guest:opensesame")
    listener, _ = await gate.listen(url=url, start_timeout=2, retry_first=5)
    assert listener.status()["state"] == "connecting"
    assert listener.status()["reason"].startswith("the broker refuses the user or the password of `url` (")
    assert "ACCESS_REFUSED" in listener.status()["reason"]
    said = caplog.text + capsys.readouterr().out + repr(listener.status()) + repr(listener._settings) + repr(listener._broker.url)
    assert "opensesame" not in said


@sync
async def test_stop_leaves_nothing_behind(gate, foreign):
    before = set(reactor.getDelayedCalls())
    listener, prefix = await gate.listen()
    assert await answered(foreign, prefix)
    await listener.drain()
    await listener.stop()
    assert listener.status()["state"] in ("draining", "stopped")
    assert [call for call in set(reactor.getDelayedCalls()) - before if call.active() and "adapters" in str(call)] == []
    assert len(gate.sessions) == 0


@sync
async def test_stop_while_connecting(gate):
    listener, _ = await gate.listen(url="amqp://guest:guest@127.0.0.1:1/x", start_timeout=0.05, retry_first=30)
    begun = reactor.seconds()
    await listener.stop()
    assert reactor.seconds() - begun < 2


@sync
async def test_over_tls(gate, foreign, tmp_path):
    """amqps: the broker's certificate is checked, against the site's authority."""
    certificate(tmp_path, "authority")
    own = certificate(tmp_path, "server", "authority")
    certificate(tmp_path, "stranger")
    proxy = Proxy()
    proxy.listen(DefaultOpenSSLContextFactory(str(tmp_path / own.key), str(tmp_path / own.certificate)))
    url = gate.url.replace("amqp://", "amqps://").replace("127.0.0.1:5672", f"127.0.0.1:{proxy.port}")
    try:
        trusting, prefix = await gate.listen(url=url, tls={"authority": "authority.pem"}, **QUICK)
        assert trusting.status()["address"].startswith("amqps://guest@127.0.0.1:")
        assert await answered(foreign, prefix)
        wary, _ = await gate.listen(url=url, tls={"authority": "stranger.pem"}, start_timeout=0.5, **QUICK)
        assert wary.status()["state"] == "connecting"
        assert "certificate verify failed" in wary.status()["reason"]
        for listener in gate.listeners:
            await listener.stop()
    finally:
        await proxy.close()


@sync
async def test_stop_while_a_broker_that_says_nothing_is_being_connected(gate, proxy):
    proxy.deaf = True
    listener, _ = await gate.listen(start_timeout=0.05)
    assert listener.status()["state"] == "connecting"
    begun = reactor.seconds()
    await listener.stop()
    assert reactor.seconds() - begun < 2
    await until(lambda: not proxy.sides)
