from __future__ import annotations

import pika
import pika.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from adapters.amqp.wire import Wire


def handshake(wire, transport):
    """Play the broker until the connection is open."""
    spec = pika.spec
    wire.makeConnection(transport)
    for method in (spec.Connection.Start(server_properties={}, mechanisms="PLAIN"), spec.Connection.Tune(2, 131072, 4),
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
