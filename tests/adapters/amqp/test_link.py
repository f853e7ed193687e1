"""Confirms and returns in the orders a broker may send them, played by hand."""

from __future__ import annotations

import pika
import pika.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from adapters.amqp.errors import NotConnected, PublishError, Refused, Unconfirmed, Unroutable
from adapters.amqp.link import Link
from adapters.amqp.wire import Wire
from protocols.amqp import Message, Properties
from tests.adapters.amqp.test_wire import Transport, handshake

spec = pika.spec


class Played:
    """A link whose broker is the test."""

    def __init__(self, window=100):
        self.clock, self.transport = Clock(), Transport()
        self.wire = Wire(self.clock, pika.ConnectionParameters(heartbeat=0))
        handshake(self.wire, self.transport)
        self.wire.machine.server_capabilities.update({"publisher_confirms": True, "basic.nack": True})
        self.link = Link(self.clock, self.wire, window=window, confirm_timeout=5)
        begun = Deferred.fromCoroutine(self.link.begin())
        self.say(spec.Channel.OpenOk())
        self.say(spec.Confirm.SelectOk())
        assert begun.called
        self.outcomes = {}
        self.transport.clear()

    def say(self, method, channel=1):
        self.wire.dataReceived(pika.frame.Method(channel, method).marshal())

    def publish(self, name):
        def ended(outcome):
            self.outcomes[name] = "taken" if outcome is None else type(outcome.value)

        self.link.publish(Message("", "q", Properties(message_id=name), b"")).addBoth(ended)

    def consume(self, take):
        consuming = Deferred.fromCoroutine(self.link.consume("q", take, prefetch=9))
        self.say(spec.Channel.OpenOk(), 2)
        self.say(spec.Basic.QosOk(), 2)
        self.consumer = self.said()[-1].consumer_tag
        self.say(spec.Basic.ConsumeOk(self.consumer), 2)
        return consuming.result

    def deliver(self, tag, body=b""):
        self.say(spec.Basic.Deliver(self.consumer, tag, exchange="", routing_key="q"), 2)
        self.wire.dataReceived(pika.frame.Header(2, len(body), pika.BasicProperties()).marshal())
        if body:
            self.wire.dataReceived(pika.frame.Body(2, body).marshal())

    def said(self):
        """What the broker was told since."""
        data, told = self.transport.value(), []
        self.transport.clear()
        while data:
            length, frame = pika.frame.decode_frame(data)
            told.append(frame.method)
            data = data[length:]
        return told

    def give_back(self, name):
        self.say(spec.Basic.Return(312, "NO_ROUTE", "", "q"))
        self.wire.dataReceived(pika.frame.Header(1, 0, pika.BasicProperties(message_id=name)).marshal())


def test_a_return_is_its_own_messages_whatever_is_confirmed_first():
    played = Played()
    for name in "abc":
        played.publish(name)
    played.give_back("b")
    played.say(spec.Basic.Ack(1))
    assert played.outcomes == {"a": "taken"}
    played.say(spec.Basic.Ack(3, multiple=True))
    assert played.outcomes == {"a": "taken", "b": Unroutable, "c": "taken"}


def test_two_messages_of_one_id_are_each_told_their_own():
    played = Played()
    played.publish("a")
    played.publish("a")
    played.give_back("a")
    played.say(spec.Basic.Ack(1))
    assert played.outcomes["a"] is Unroutable
    played.say(spec.Basic.Ack(2))
    assert played.outcomes["a"] == "taken"


def test_refused_is_told():
    played = Played()
    played.publish("a")
    played.publish("b")
    played.say(spec.Basic.Nack(2, multiple=True))
    assert played.outcomes == {"a": Refused, "b": Refused}


def test_a_confirm_that_comes_too_late_harms_nobody():
    played = Played()
    played.publish("a")
    played.clock.pump([0.5] * 12)
    assert played.outcomes == {"a": Unconfirmed}
    played.publish("b")
    played.say(spec.Basic.Ack(1))
    assert played.outcomes == {"a": Unconfirmed}
    played.say(spec.Basic.Ack(2))
    assert played.outcomes == {"a": Unconfirmed, "b": "taken"}


def test_what_is_beyond_the_window_waits_for_its_turn():
    played = Played(window=2)
    for name in "abcde":
        played.publish(name)
    assert played.outcomes == {"e": NotConnected}
    assert played.transport.value().count(b"\x00\x3c\x00\x28") == 2  # basic.publish
    played.say(spec.Basic.Ack(2, multiple=True))
    assert played.transport.value().count(b"\x00\x3c\x00\x28") == 4
    played.say(spec.Basic.Ack(4, multiple=True))
    assert played.outcomes == {"e": NotConnected, **dict.fromkeys("abcd", "taken")}


def test_what_arrives_is_settled_once():
    played, arrived = Played(), []
    subscription = played.consume(arrived.append)
    played.deliver(1, b"one")
    played.deliver(2)
    assert [delivery.body for delivery in arrived] == [b"one", b""]
    for delivery in arrived:
        delivery.ack() if delivery.body else delivery.requeue()
        delivery.ack()
    acked, given_back = played.said()
    assert vars(acked) == vars(spec.Basic.Ack(1))
    assert vars(given_back) == vars(spec.Basic.Nack(2, requeue=True))
    assert subscription.unsettled == 0


def test_what_arrives_after_a_consumer_was_cancelled_is_given_back():
    played, arrived = Played(), []
    subscription = played.consume(arrived.append)
    cancelling = Deferred.fromCoroutine(subscription.cancel())
    played.said()
    played.deliver(1, b"late")
    given_back, = played.said()
    assert (given_back.delivery_tag, given_back.requeue, arrived) == (1, True, [])
    played.say(spec.Basic.CancelOk(played.consumer), 2)
    assert cancelling.called


def test_a_message_that_cannot_be_taken_ends_nothing():
    played = Played()
    played.consume(lambda _: 1 // 0)
    played.deliver(1, b"odd")
    assert (played.said(), played.link.lost) == ([], None)


def test_a_broker_that_answers_nothing_ends_the_link():
    played = Played()
    asked = Deferred.fromCoroutine(played.link.declare_queue("q"))
    played.clock.pump([1.0] * 6)
    assert isinstance(played.link.lost, TimeoutError)
    assert played.transport.aborted
    asked.addErrback(lambda failure: failure.trap(NotConnected))


@given(st.data())
def test_every_publish_ends_once_and_truly(data):
    """Whatever mix of confirms, refusals, returns and time a broker comes up with, and then the connection is lost."""
    played = Played(window=4)
    returned, names, confirmed = set(), [], 0
    for _ in range(data.draw(st.integers(1, 25))):
        sent = played.link._sent
        match data.draw(st.sampled_from(["publish", "publish", "ack", "nack", "return", "time"])):
            case "publish":
                names.append(str(len(names)))
                played.publish(names[-1])
            case "return" if sent > confirmed:
                name = data.draw(st.sampled_from([p.message.properties.message_id for p in played.link._unconfirmed.values()] or [""]))
                if name and name not in returned:
                    returned.add(name)
                    played.give_back(name)
            case ("ack" | "nack") as how if sent > confirmed:
                tag = data.draw(st.integers(confirmed + 1, sent))
                method = spec.Basic.Ack if how == "ack" else spec.Basic.Nack
                played.say(method(tag, multiple=True))
                confirmed = tag
            case "time":
                played.clock.advance(0.5)
    played.link.drop(ConnectionError("lost"))
    assert set(played.outcomes) == set(names)
    for name, outcome in played.outcomes.items():
        assert outcome == "taken" or issubclass(outcome, PublishError)
        if outcome == "taken" or outcome is Refused:
            assert name not in returned
        if outcome is Unroutable:
            assert name in returned
    assert played.link.in_flight == 0
    assert not [call for call in played.clock.getDelayedCalls() if "expire" in str(call)]


def test_a_link_is_known_to_be_gone_before_who_waits_for_a_confirm_is_told():
    played, known = Played(), []
    played.link.on_lost = lambda _: known.append("gone")
    played.link.publish(Message("", "q", Properties(message_id="a"), b"")).addErrback(lambda _: known.append("told"))
    played.link.drop(ConnectionError("lost"))
    assert known == ["gone", "told"]


def test_nothing_is_taken_by_a_link_that_is_gone():
    played = Played()
    played.link.drop(ConnectionError("lost"))
    played.publish("a")
    assert played.outcomes == {"a": NotConnected}
    with pytest.raises(NotConnected):
        played.link.declare_queue("q").send(None).result.raiseException()
