from __future__ import annotations

import pytest

from tests import broker


@pytest.fixture(scope="session")
def vhost_url():
    with broker.vhost() as url:
        yield url
