from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from adapters.store.engine import open_engine
from adapters.store.migrations import HERE, all_metadata, newest, upgrade
from config.documents import Unusable


def test_the_migrated_schema_is_the_declared_one(url):
    engine = open_engine(url)
    upgrade(engine)
    upgrade(engine)  # a second start changes nothing
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), all_metadata())
    engine.dispose()
    assert differences == []


def test_the_newest_revision_is_the_one_that_alembic_ends_at(url):
    assert ScriptDirectory(str(HERE)).get_heads() == [newest()]
    engine = open_engine(url)
    upgrade(engine)
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == newest()
        connection.execute(text("UPDATE alembic_version SET version_num = 'later'"))
    with pytest.raises(Unusable, match="this is later, so a newer UIP"):  # a newer program's database
        upgrade(engine)
    engine.dispose()


def test_the_lookups_have_their_indexes(url):
    engine = open_engine(url)
    upgrade(engine)
    unique = {tuple(i["column_names"]) for i in inspect(engine).get_indexes("inbox") if i["unique"]}
    engine.dispose()
    assert unique == {("message_id", "address"), ("idempotency_key", "party")}


def test_a_products_charges_are_found_without_reading_all(url):
    """They are read for every new subscription; without this what an order costs would grow with the number of charges."""
    engine = open_engine(url)
    upgrade(engine)
    indexes = [i["column_names"] for i in inspect(engine).get_indexes("charge")]
    engine.dispose()
    assert ["product"] in indexes
