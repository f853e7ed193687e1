from __future__ import annotations

import pytest

from tests import broker


@pytest.fixture(scope="module")  # its queues hold files that the broker has few of
def vhost_url():
    with broker.vhost() as url:
        yield url
