from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import event

from adapters.store.engine import open_engine
from core.provisioning.catalog import Pool
from core.provisioning.resources import ResourceState, has_free, move, prepare, take, take_next
from core.provisioning.tables import metadata
from core.unit_of_work import UnitOfWork
from tests.adapters.store.conftest import url

__all__ = ["url"]

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
POOL = Pool(id="p", characteristic="MSISDN", ranges=[{"first": "1", "last": "3"}])


def test_a_value_is_taken_once_on_either_database(url):
    engine = open_engine(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        uow = UnitOfWork(None, NOW, connection, None)
        prepare(uow, {"p": POOL})
        prepare(uow, {"p": POOL})
        assert take(uow, "MSISDN", "2", "a")
        assert not take(uow, "MSISDN", "2", "b")
        assert [take_next(uow, POOL, "c") for _ in range(3)] == ["1", "3", None]
        move(uow, "a", ResourceState.UNALLOCATED)
        assert take(uow, "MSISDN", "2", "b", pool="p", expires=NOW + timedelta(minutes=1))
        assert not take(uow, "MSISDN", "2", "c")
        uow.now = NOW + timedelta(minutes=2)
        assert take_next(uow, POOL, "c") == "2"
    engine.dispose()


def test_a_free_value_is_found_without_reading_the_pool(tmp_path):
    """In a pool that has been through once, every order looks for a value that was given back."""
    engine = open_engine(f"sqlite:///{tmp_path}/uip.db")
    metadata.create_all(engine)
    plans = []

    def explain(connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT resource.value"):
            plans.extend(row[3] for row in connection.connection.driver_connection.execute("EXPLAIN QUERY PLAN " + statement, parameters))

    with engine.begin() as connection:
        uow = UnitOfWork(None, NOW, connection, None)
        prepare(uow, {"p": POOL})
        for owner in "abc":
            take_next(uow, POOL, owner)
        event.listen(engine, "before_cursor_execute", explain)
        assert not has_free(uow, POOL)
    engine.dispose()
    assert len(plans) == 2, "those given back, and those whose reservation has lapsed"
    assert all(plan.endswith("resource_free (pool=? AND state=?)") for plan in plans), plans
