"""One row read past SQLAlchemy is the row that SQLAlchemy would have read."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Boolean, Column, DateTime, MetaData, String, Table, bindparam, insert, select
from sqlalchemy.exc import DBAPIError

from adapters.store.engine import open_engine
from adapters.store.reading import all_rows, among, first_row, listed
from core.columns import DecimalText

metadata = MetaData()
paper = Table("paper", metadata, Column("id", String, primary_key=True), Column("amount", DecimalText), Column("open", Boolean),
              Column("noted", DateTime(timezone=True)))
by_id = select(paper).where(paper.c.id == bindparam("wanted"))
by_amount = select(paper.c.id).where(paper.c.amount == bindparam("wanted"), paper.c.open == True).order_by(paper.c.id).limit(1)  # noqa: E712  # SQL
elsewhere = select(Table("nowhere", MetaData(), Column("id", String)))


@pytest.fixture
def connection(url):
    engine = open_engine(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(paper), [
            {"id": "a", "amount": Decimal("1.10"), "open": True, "noted": datetime(2026, 3, 15, 12, tzinfo=UTC)},
            {"id": "b", "amount": Decimal("1.10"), "open": True, "noted": None},
            {"id": "c", "amount": None, "open": False, "noted": None}])
        yield connection
    engine.dispose()


@pytest.mark.parametrize(("statement", "wanted"), [(by_id, "a"), (by_id, "c"), (by_id, "x"), (by_amount, Decimal("1.10"))])
def test_it_is_the_same_row(connection, statement, wanted):
    expected = connection.execute(statement, {"wanted": wanted}).first()
    found = first_row(connection, statement, {"wanted": wanted})
    assert found == expected
    assert (found is None) == (wanted == "x")
    if found is not None:
        assert found._asdict() == expected._asdict()
        assert type(found.id) is str


@pytest.mark.parametrize("wanted", [[], ["a"], ["c", "x", "a", "a"], ['"', "a'", "é"]])
def test_all_rows_among_those_named(connection, wanted):
    statement = select(paper.c.id, paper.c.amount).where(among(paper.c.id, "wanted", connection.dialect.name))
    found = all_rows(connection, statement, {"wanted": listed(wanted)})
    assert sorted((row.id, row.amount) for row in found) == [
        (name, amount) for name, amount in (("a", Decimal("1.10")), ("c", None)) if name in wanted]


def test_an_error_is_one_that_the_store_understands(connection):
    with pytest.raises(DBAPIError) as raised:
        first_row(connection, elsewhere, {})
    assert "nowhere" in str(raised.value.orig)
