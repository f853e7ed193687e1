"""Peers spread over the processes that listen to one socket."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import Factory, Protocol

from adapters.crowd import Counts, CrowdedPort, counts_file
from adapters.endpoints import bound, client_endpoint, closed

sync = pytest_twisted.ensureDeferred


class Staying(Protocol):
    def connectionMade(self):
        self.factory.here.add(self)
        self.transport.write(b"welcome")

    def connectionLost(self, reason=None):
        self.factory.here.discard(self)
        if self.factory.gone is not None:
            self.factory.gone.callback(None)


class House(Factory):
    noisy = False
    protocol = Staying

    def __init__(self):
        self.here = set()
        self.gone = None


class Visitor(Protocol):
    def __init__(self):
        self.welcome = Deferred()

    def dataReceived(self, data):
        self.welcome.callback(self)


@pytest.fixture
def street(tmp_path):
    """One socket, and two processes' houses that listen to it."""
    with counts_file(2) as file, bound("127.0.0.1", 0) as made:
        houses, ports, crowd = [], [], []
        for number in range(2):
            counts = Counts(file.fileno())
            counts.join(number)
            crowd.append(counts)
            houses.append(House())
            ports.append(CrowdedPort.adopt(reactor, made.fileno(), made.family, houses[-1], counts))
        endpoint = client_endpoint(reactor, tmp_path, "127.0.0.1", made.getsockname()[1])
        visitors = []

        async def come():
            visitor = await endpoint.connect(Factory.forProtocol(Visitor))
            visitors.append(visitor)
            await visitor.welcome

        yield houses, ports, crowd, come
        for visitor in visitors:
            visitor.transport.abortConnection()
        for port in ports:
            pytest_twisted.blockon(closed(port))


@sync
async def test_who_comes_one_by_one_goes_to_the_house_with_fewer(street):
    houses, _, _, come = street
    for _ in range(10):
        await come()
    assert [len(house.here) for house in houses] == [5, 5]
    houses[0].gone = Deferred()
    next(iter(houses[0].here)).transport.loseConnection()
    await houses[0].gone
    await come()
    assert [len(house.here) for house in houses] == [5, 5]


@sync
async def test_a_house_that_does_not_come_to_the_door_turns_nobody_away(street):
    houses, ports, _, come = street
    await closed(ports[1])  # without a word
    await DeferredList([Deferred.fromCoroutine(come()) for _ in range(4)], fireOnOneErrback=True)
    assert [len(house.here) for house in houses] == [4, 0]


def test_who_has_left_is_not_waited_for():
    with counts_file(3) as file:
        one, two = Counts(file.fileno()), Counts(file.fileno())
        one.join(0)
        assert one.first
        two.join(1)
        one.add(2)
        two.add(1)
        assert not one.first
        assert two.first
        one.left(1)
        assert one.first
        two.add(-1)  # its peers go, and it does not come back for that
        assert one.first
