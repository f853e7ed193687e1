"""What provisioning takes from pools, on both databases: they tell differently what an insert has come to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.store.engine import open_engine
from core.messages.base import BusinessObject
from core.messages.envelope import Envelope
from core.provisioning.catalog import Pool
from core.provisioning.resources import ResourceState, move, prepare, take, take_next
from core.provisioning.tables import metadata
from core.unit_of_work import UnitOfWork

NOW = datetime(2026, 3, 15, tzinfo=UTC)
POOL = Pool.model_validate({"id": "msisdn", "characteristic": "MSISDN", "ranges": [{"first": "4790000000", "last": "4790000002"}]})


@pytest.fixture
def uow(url):
    engine = open_engine(url)
    with engine.begin() as connection:
        metadata.create_all(connection)
        yield UnitOfWork(Envelope(body=BusinessObject(), message_id="1", correlation_id="1", occurred_at=NOW), NOW, connection, str)
    engine.dispose()


def test_each_value_of_a_pool_is_taken_once(uow):
    prepare(uow, {"msisdn": POOL})
    assert take(uow, "MSISDN", "4790000001", "by name")
    assert not take(uow, "MSISDN", "4790000001", "somebody else")
    assert [take_next(uow, POOL, owner) for owner in "abc"] == ["4790000000", "4790000002", None]
    move(uow, "a", ResourceState.UNALLOCATED)
    assert take_next(uow, POOL, "d") == "4790000000"
