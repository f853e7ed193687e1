"""What only a bus between processes can show: several nodes, their loss, and dead letters."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from core.bus import TryAgain
from core.messages.failures import Failure, Kind
from tests.contracts.buses import Answer, message, pause, until
from tests.contracts.test_bus import Receiver

sync = pytest_twisted.ensureDeferred
begin = Deferred.fromCoroutine


async def node(rabbit, receiver=None, address="core", **settings):
    bus = rabbit.make(**settings)
    if receiver is None:
        bus.know(address)
    else:
        bus.receive(address, receiver)
    await bus.start()
    return bus


def crash(bus):
    """End a node's connection as the loss of its process would; nothing it had in hand is settled."""
    bus._running = False
    for broker in brokers(bus):
        broker._stopping = True
        broker.link.drop(ConnectionError("crash"))


def brokers(bus):
    return [bus._broker, *(partition.broker for partition in bus._partitions)]


async def pull_the_cable(bus):
    """Lose every connection; returns when all are there again."""
    for broker in brokers(bus):
        broker.link.drop(ConnectionError("cable pulled"))
    for broker in brokers(bus):
        await broker.ready()


@sync
async def test_a_call_from_one_process_is_answered_by_another(rabbit):
    core = Receiver(lambda envelope: Answer(text="from the core"))
    await node(rabbit, core)
    gateway = await node(rabbit)
    assert await gateway.call("core", message()) == Answer(text="from the core")


@sync
async def test_messages_for_a_process_that_is_not_there_yet_wait_for_it(rabbit):
    gateway = await node(rabbit)
    await gateway.send("core", message("early", key="k"))
    core = Receiver()
    await node(rabbit, core)
    await until(lambda: core.ended)
    assert core.texts == ["early"]


@sync
async def test_calls_are_shared_by_the_processes_of_a_core(rabbit):
    one, two = (Receiver(lambda envelope: Answer(text="")) for _ in range(2))
    await node(rabbit, one)
    await node(rabbit, two)
    gateway = await node(rabbit)
    for _ in range(20):
        await gateway.call("core", message())
    assert len(one.ended) + len(two.ended) == 20
    assert min(len(one.ended), len(two.ended)) >= 5


@sync
async def test_a_receiver_lost_before_it_was_done_is_replaced_and_the_next_one_knows(rabbit):
    never = Receiver(lambda envelope: Deferred())
    lost = await node(rabbit, never)
    gateway = await node(rabbit)
    waiting = begin(gateway.call("core", message("called")))
    await gateway.send("core", message("sent", key="k"))
    await until(lambda: len(never.begun) == 2)
    heir = Receiver(lambda envelope: Answer(text="done"))
    await node(rabbit, heir)
    crash(lost)
    assert await waiting == Answer(text="done")
    await until(lambda: len(heir.ended) == 2)
    assert {(e.body.text, e.attempt) for e in heir.ended} == {("called", 1), ("sent", 1)}
    assert {e.message_id for e in heir.ended} == {e.message_id for e in never.begun}


@sync
async def test_one_key_stays_in_order_when_its_process_is_lost(rabbit):
    first = Receiver(lambda envelope: Deferred() if envelope.body.text == "3" else None)
    lost = await node(rabbit, first)
    second = Receiver(lambda envelope: pause(0.001))
    await node(rabbit, second)
    gateway = await node(rabbit)
    for n in range(10):
        await gateway.send("core", message(str(n), key="order-1"))
    await until(lambda: [e.body.text for e in first.begun][-1:] == ["3"])
    assert second.begun == []
    crash(lost)
    await until(lambda: len(second.ended) == 7)
    assert first.texts + second.texts == [str(n) for n in range(10)]


@pytest.mark.parametrize("leave", [crash, lambda bus: begin(bus.stop())], ids=["lost", "stopped"])
@sync
async def test_one_key_stays_in_order_when_its_process_goes_with_messages_it_has_not_begun(rabbit, leave):
    held: Deferred[None] = Deferred()
    first = Receiver(lambda envelope: held if envelope.body.text == "1" else pause(0.001))
    going = await node(rabbit, first, prefetch=3)
    second = Receiver(lambda envelope: pause(0.001))
    await node(rabbit, second, prefetch=3)
    gateway = await node(rabbit)
    for n in range(12):
        await gateway.send("core", message(str(n), key="order-1"))
    await until(lambda: len(first.begun) == 2)
    leave(going)
    held.callback(None)
    await until(lambda: "11" in second.texts)
    # Each may be taken twice, by the one that goes and the one that comes, but never after a later one.
    assert second.texts == [str(n) for n in range(int(second.texts[0]), 12)]
    assert int(second.texts[0]) <= len(first.ended)


@sync
async def test_a_broken_connection_is_made_anew_and_the_call_still_answered(rabbit):
    held = Deferred()
    core = Receiver(lambda envelope: held)
    core_bus = await node(rabbit, core)
    gateway = await node(rabbit)
    waiting = begin(gateway.call("core", message()))
    await until(lambda: core.begun)
    pulled = begin(pull_the_cable(gateway))
    held.callback(Answer(text="kept"))
    assert await waiting == Answer(text="kept")
    await pulled
    await pull_the_cable(core_bus)
    core.script = lambda envelope: Answer(text="again")
    assert await gateway.call("core", message()) == Answer(text="again")
    assert gateway.status()["connections"] == core_bus.status()["connections"] == 2


@sync
async def test_what_is_redelivered_while_its_first_delivery_is_at_work_waits_for_that(rabbit):
    """After a reconnect the broker delivers again what is still being handled; both at once would race."""
    held = Deferred()
    core = Receiver(lambda envelope: held if len(core.begun) == 1 else None)
    bus = await node(rabbit, core)
    await bus.send("core", message("m", key="k"))
    await until(lambda: core.begun)
    await pull_the_cable(bus)
    await pause(0.1)
    assert len(core.begun) == 1
    held.callback(None)
    await until(lambda: len(core.ended) == 2)
    assert [e.attempt for e in core.ended] == [0, 1]


@sync
async def test_without_the_broker_a_message_is_not_taken(rabbit):
    bus = rabbit.make(url="amqp://guest:guest@127.0.0.1:1/none", start_timeout=0.05)
    bus.receive("core", Receiver())
    await bus.start()
    with pytest.raises(TryAgain):
        await bus.send("core", message())
    with pytest.raises(Failure) as failed:
        await bus.call("core", message())
    assert failed.value.kind is Kind.UNAVAILABLE
    assert bus.status()["state"] == "connecting"
    assert "guest:guest" not in str(bus.status())


@sync
async def test_what_is_refused_or_hopeless_is_a_dead_letter_with_its_reason(rabbit, foreign):
    def script(envelope):
        raise Failure(Kind.STATE, "never") if envelope.body.text == "refused" else RuntimeError("secret")

    core = Receiver(script)
    bus = await node(rabbit, core, attempts=3)
    refused, hopeless = message("refused", key="a"), message("hopeless", key="b")
    await bus.send("core", refused)
    letter, body = await foreign.soon("get", f"{rabbit.prefix}.dead")
    assert letter.headers["uip-reason"] == "state"
    assert letter.headers["uip-text"] == "never"
    assert body == refused.to_json()
    await bus.send("core", hopeless)
    letter, body = await foreign.soon("get", f"{rabbit.prefix}.dead")
    assert letter.headers["uip-reason"] == "failed"
    assert letter.headers["uip-text"] == "RuntimeError after 3 attempts"
    assert body == hopeless.to_json()
    assert len(core.begun) == 4


@pytest.mark.parametrize("body", [b"", b"{}", b"not json", b'{"head": {"type": "Unheard"}, "body": {}}', b"[1]", b"\xff"])
@sync
async def test_a_poison_message_is_a_dead_letter_and_holds_up_nobody(rabbit, foreign, body):
    core = Receiver(lambda envelope: None)
    bus = await node(rabbit, core, partitions=1)
    await foreign.soon("publish", f"{rabbit.prefix}.core.0", body, exchange="")
    letter, found = await foreign.soon("get", f"{rabbit.prefix}.dead")
    assert found == body
    assert letter.headers["uip-reason"] == "malformed"
    await bus.send("core", message("after"))
    await until(lambda: core.ended)
    assert bus.status()["connections"] == 1


@sync
async def test_a_deleted_queue_comes_back(rabbit, foreign):
    core = Receiver(lambda envelope: Answer(text="back"))
    bus = await node(rabbit, core)
    await foreign.soon("delete", f"{rabbit.prefix}.core.calls")
    await until(lambda: bus.status()["connections"] == 2)
    assert await bus.call("core", message()) == Answer(text="back")


@sync
async def test_what_was_in_hand_when_its_queue_was_deleted_is_done_all_the_same(rabbit, foreign):
    first: Deferred[None] = Deferred()

    def work(envelope):
        taken.append(envelope.body.text)
        return first if envelope.body.text == "0" else pause(0)

    taken = []
    bus = await node(rabbit, Receiver(work), partitions=1)
    for number in range(4):
        await bus.send("core", message(str(number), key="order"))
    await until(lambda: bus._partitions[0]._in_hand() == 4)
    await foreign.soon("delete", f"{rabbit.prefix}.core.0")
    await until(lambda: bus._partitions[0].broker.connections == 2)
    first.callback(None)
    await until(lambda: taken == ["0", "1", "2", "3"])


def active(bus):
    return sum(partition.active for partition in bus._partitions)


@sync
async def test_partitions_are_shared_with_a_process_that_comes_later_and_no_key_loses_its_order(rabbit):
    def work(envelope):
        taken.append((envelope.key, int(envelope.body.text), envelope.attempt))
        return pause(0.002)

    taken = []
    one = await node(rabbit, Receiver(work), partitions=4, watch=0.2)
    assert active(one) == 4
    gateway = await node(rabbit, partitions=4)
    two = await node(rabbit, Receiver(work), partitions=4, watch=0.2)
    assert active(two) == 0
    number = 0
    while (active(one), active(two)) != (2, 2):
        for key in range(20):
            await gateway.send("core", message(str(number), key=f"order {key}"))
        number += 1
        assert number < 400
    await until(lambda: len({(key, n) for key, n, _ in taken}) == 20 * number)
    for key in range(20):
        assert [n for k, n, _ in taken if k == f"order {key}"] == list(range(number)), key
    crash(two)
    await until(lambda: active(one) == 4)
