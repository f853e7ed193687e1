from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests import broker
from tests.adapters.amqp.gate import Gate


@pytest.fixture(scope="module")  # its queues hold files that the broker has few of
def vhost_url():
    with broker.vhost() as url:
        yield url


@pytest.fixture
def gate(vhost_url, tmp_path):
    gate = Gate(vhost_url, tmp_path)
    yield gate
    pytest_twisted.blockon(Deferred.fromCoroutine(gate.close()))


@pytest.fixture
def foreign(vhost_url):
    foreign = broker.Foreign(vhost_url)
    yield foreign
    foreign.close()
