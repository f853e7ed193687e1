"""What is written goes out at once, in order, whole, and only where nothing has to be encrypted first."""

from __future__ import annotations

import socket

import pytest
from twisted.internet import tcp
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.protocols.policies import ProtocolWrapper

from adapters.sending import send


@pytest.fixture
def pair():
    """A transport of Twisted's, whose reactor is never run, and the peer's socket."""
    ours, peer = socket.socketpair()
    for end in (ours, peer):
        end.settimeout(0)
    transport = tcp.Connection(ours, Protocol(), MemoryReactor())
    transport.connected = True
    yield transport, peer
    ours.close()
    peer.close()


def read(peer):
    got = bytearray()
    try:
        while data := peer.recv(65_536):
            got += data
    except BlockingIOError:
        pass
    return bytes(got)


def test_it_is_out_before_the_reactor_turns(pair):
    transport, peer = pair
    send(transport, b"answer")
    assert read(peer) == b"answer"
    assert not transport.reactor.getWriters()


def test_what_the_socket_does_not_take_follows_in_order(pair):
    transport, peer = pair
    data = bytes(range(256)) * 20_000
    send(transport, data)
    send(transport, b"the end")
    assert transport.reactor.getWriters() == [transport]
    got = read(peer)
    assert 0 < len(got) < len(data)
    while transport.reactor.getWriters():
        transport.doWrite()
        got += read(peer)
    assert got == data + b"the end"


def test_an_error_is_met_by_the_reactor(pair):
    transport, peer = pair
    peer.close()
    send(transport, b"nobody reads this")
    assert isinstance(transport.doWrite(), Exception)


def test_nothing_goes_past_an_encryption(pair):
    transport, peer = pair
    wrapped = _Encrypting(transport)
    assert wrapped.writeSomeData == transport.writeSomeData
    send(wrapped, b"secret")
    transport.doWrite()
    assert read(peer) == b"terces"


def test_other_transports_are_written_to():
    transport = StringTransport()
    send(transport, b"answer")
    assert transport.value() == b"answer"


class _Encrypting(ProtocolWrapper):
    """As Twisted's TLS does it, which hands on what it does not have itself."""

    def __init__(self, transport):
        self.transport = transport

    def write(self, data):
        self.transport.write(data[::-1])
