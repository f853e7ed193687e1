from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests import broker
from tests.contracts.buses import RabbitMq


@pytest.fixture(scope="module")  # its queues hold files that the broker has few of
def vhost_url():
    with broker.vhost() as url:
        yield url


@pytest.fixture
def rabbit(vhost_url):
    rabbit = RabbitMq(vhost_url)
    yield rabbit
    pytest_twisted.blockon(Deferred.fromCoroutine(rabbit.close()))


@pytest.fixture
def foreign(vhost_url):
    foreign = broker.Foreign(vhost_url)
    yield foreign
    foreign.close()
