"""What every bus promises (`core.bus.Bus`), asked of both implementations."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from core.bus import NoSuchAddress, TryAgain
from core.messages.failures import Failure, Kind
from tests.contracts.buses import Answer, Happened, InProcess, RabbitMq, full_message, message, pause, until

sync = pytest_twisted.ensureDeferred


@pytest.fixture(params=["in-process", "rabbitmq"])
def kind(request):
    kind = InProcess() if request.param == "in-process" else RabbitMq(request.getfixturevalue("vhost_url"))
    yield kind
    pytest_twisted.blockon(Deferred.fromCoroutine(kind.close()))


class Receiver:
    """Takes messages as `script` says: a function of the envelope whose result or exception is the outcome."""

    def __init__(self, script=lambda envelope: None):
        self.script = script
        self.begun = []
        self.ended = []

    async def __call__(self, envelope):
        self.begun.append(envelope)
        outcome = self.script(envelope)
        if isinstance(outcome, Deferred):
            outcome = await outcome
        self.ended.append(envelope)
        return outcome

    @property
    def texts(self):
        return [e.body.text for e in self.ended]


async def started(kind, **receivers):
    bus = kind.make()
    for address, receiver in receivers.items():
        bus.receive(address, receiver)
    await bus.start()
    return bus


def begin(awaitable):
    async def wait():
        return await awaitable

    return Deferred.fromCoroutine(wait())


@sync
async def test_a_call_is_answered_and_the_envelope_arrives_whole(kind):
    receiver = Receiver(lambda envelope: Answer(text="yes"))
    bus = await started(kind, core=receiver)
    sent = full_message()
    assert await bus.call("core", sent) == Answer(text="yes")
    assert receiver.begun == [sent]
    assert receiver.begun[0].attempt == 0


@sync
async def test_a_refusal_passes_through_a_call(kind):
    def refuse(envelope):
        raise Failure(Kind.STATE, "not in this state", "some.field")

    bus = await started(kind, core=Receiver(refuse))
    with pytest.raises(Failure) as refused:
        await bus.call("core", message())
    assert (refused.value.kind, refused.value.message, refused.value.field) == (Kind.STATE, "not in this state", "some.field")


@pytest.mark.parametrize(("outcome", "told"), [
    (TryAgain("the store is away"), (Kind.UNAVAILABLE, "the store is away")),
    (RuntimeError("a secret"), (Kind.INTERNAL, "the request failed inside; it was not carried out")),
    (None, (Kind.INTERNAL, "Ask has no answer")),
])
@sync
async def test_a_call_that_cannot_be_answered_says_so_and_no_more(kind, outcome, told):
    def script(envelope):
        if outcome is not None:
            raise outcome

    bus = await started(kind, core=Receiver(script))
    with pytest.raises(Failure) as failed:
        await bus.call("core", message())
    assert (failed.value.kind, failed.value.message) == told


@sync
async def test_nobody_receives_there(kind):
    bus = await started(kind, core=Receiver())
    with pytest.raises(NoSuchAddress):
        await bus.call("nowhere", message())
    with pytest.raises(NoSuchAddress):
        await bus.send("nowhere", message())


@sync
async def test_two_cannot_receive_at_one_address(kind):
    bus = kind.make()
    bus.receive("core", Receiver())
    with pytest.raises(ValueError, match="core is taken"):
        bus.receive("core", Receiver())


@sync
async def test_what_is_sent_arrives_whole(kind):
    receiver = Receiver()
    bus = await started(kind, core=receiver)
    sent = full_message()
    await kind.post(bus, "core", sent)
    await until(lambda: receiver.ended)
    assert receiver.ended == [sent]


@pytest.mark.parametrize("error", [TryAgain("later"), TryAgain("later", 0.05), RuntimeError("broken for now")])
@sync
async def test_what_was_not_taken_is_delivered_again_and_says_so(kind, error):
    def not_at_first(envelope):
        if len(receiver.begun) < 3:
            raise error

    receiver = Receiver(not_at_first)
    bus = await started(kind, core=receiver)
    await kind.post(bus, "core", message("m"))
    await until(lambda: receiver.ended)
    assert [e.attempt for e in receiver.begun] == [0, 1, 2]
    assert len({e.message_id for e in receiver.begun}) == 1


@sync
async def test_the_senders_own_attempts_are_told(kind):
    receiver = Receiver()
    bus = await started(kind, core=receiver)
    await kind.post(bus, "core", replace(message(), attempt=4))
    await until(lambda: receiver.ended)
    assert receiver.ended[0].attempt == 4


@sync
async def test_a_refused_message_is_not_delivered_again_and_holds_up_nobody(kind):
    def refuse_the_first(envelope):
        if envelope.body.text == "bad":
            raise Failure(Kind.STATE, "never")

    receiver = Receiver(refuse_the_first)
    bus = await started(kind, core=receiver)
    with suppress(Failure):  # a bus that delivers at once tells at once
        await kind.post(bus, "core", message("bad", key="k"))
    await kind.post(bus, "core", message("good", key="k"))
    await until(lambda: receiver.ended)
    await pause(0.05)
    assert [e.body.text for e in receiver.begun] == ["bad", "good"]


@sync
async def test_messages_of_one_key_are_taken_in_the_order_they_were_sent(kind):
    stumbled = []

    def stumble(envelope):
        if envelope.body.text in ("0", "3") and envelope.body.text not in stumbled:
            stumbled.append(envelope.body.text)
            raise TryAgain("once")
        return pause(0.002)

    receiver = Receiver(stumble)
    bus = await started(kind, core=receiver)
    for n in range(8):
        await kind.post(bus, "core", message(str(n), key="order-1"))
    await until(lambda: len(receiver.ended) == 8)
    assert receiver.texts == [str(n) for n in range(8)]


@sync
async def test_a_key_that_is_held_up_holds_up_no_other(kind):
    held = Deferred()
    receiver = Receiver(lambda envelope: held if envelope.key == "stuck" else None)
    bus = await started(kind, core=receiver)
    stuck = begin(kind.post(bus, "core", message("stuck", key="stuck")))
    await until(lambda: receiver.begun)
    for n in range(10):
        await kind.post(bus, "core", message(str(n), key=f"key {n}"))
    await until(lambda: len(receiver.ended) == 10)
    held.callback(None)
    await stuck
    await until(lambda: len(receiver.ended) == 11)


@sync
async def test_an_event_goes_to_every_subscriber(kind):
    one, two, other = Receiver(), Receiver(), Receiver()
    bus = kind.make()
    bus.receive("one", one, frozenset({"Happened"}))
    bus.receive("two", two, frozenset({"Happened", "Else"}))
    bus.receive("other", other)
    await bus.start()
    assert bus.subscribers("Happened") == {"one", "two"}
    assert bus.subscribers("Nothing") == frozenset()
    event = message(body=Happened(text="it"), key="k")
    for address in bus.subscribers("Happened"):
        await kind.post(bus, address, event)
    await until(lambda: one.ended and two.ended)
    assert one.ended == two.ended == [event]
    assert other.begun == []


@sync
async def test_stop_waits_for_what_is_being_delivered(kind):
    held = [Deferred(), Deferred()]
    receiver = Receiver(lambda envelope: held[len(receiver.begun) - 1])
    bus = await started(kind, core=receiver)
    sent = begin(kind.post(bus, "core", message("sent")))
    called = begin(bus.call("core", message("called")))
    await until(lambda: len(receiver.begun) == 2)
    stopped = begin(bus.stop())
    await pause(0.02)
    assert not stopped.called
    for hold in held:
        hold.callback(Answer(text="done"))
    await stopped
    assert len(receiver.ended) == 2
    await sent
    assert await called == Answer(text="done")


@sync
async def test_a_stopped_bus_takes_nothing_and_delivers_nothing(kind):
    receiver = Receiver()
    bus = await started(kind, core=receiver)
    await bus.stop()
    with pytest.raises(TryAgain):
        await bus.send("core", message())
    with pytest.raises(Failure) as refused:
        await bus.call("core", message())
    assert refused.value.kind is Kind.UNAVAILABLE
    assert receiver.begun == []


@sync
async def test_who_stops_waiting_for_a_call_does_not_stop_the_work(kind):
    held = Deferred()
    receiver = Receiver(lambda envelope: held)
    bus = await started(kind, core=receiver)
    waiting = begin(bus.call("core", message()))
    await until(lambda: receiver.begun)
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    held.callback(Answer(text="late"))
    await until(lambda: receiver.ended)
    receiver.script = lambda envelope: Answer(text="next")
    assert await bus.call("core", message()) == Answer(text="next")
