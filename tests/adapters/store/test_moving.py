from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, select, text

from adapters.store import moving
from adapters.store.engine import open_engine
from adapters.store.inserting import insert_rows
from adapters.store.migrations import upgrade
from adapters.store.moving import NotEmpty, _tables, copy_all
from adapters.store.tables import inbox
from tests.adapters.store.conftest import url

__all__ = ["url"]

NOON = datetime(2026, 3, 15, 12, 0, 0, 123_000, tzinfo=UTC)


def value(column, number):
    """Something of the column's type that differs from row to row."""
    kind = column.type.python_type if column.type.__class__.__name__ != "DecimalText" else Decimal
    made = {str: f"é{number}", int: number + 1, bool: number % 2 == 0, datetime: NOON + number * timedelta(hours=1),
            date: date(2026, 3, 1 + number), Decimal: Decimal("12.340") + number, bytes: b"\0\xff%d" % number}[kind]
    return None if column.nullable and number == 0 else made


@pytest.fixture
def full(tmp_path):
    """A SQLite database with five rows in every table."""
    engine = open_engine(f"sqlite:///{tmp_path}/full.db")
    upgrade(engine)
    with engine.begin() as connection:
        for table in _tables():
            insert_rows(connection, table, [{c.name: value(c, n) for c in table.columns} for n in range(5)])
    yield engine
    engine.dispose()


def everything(engine):
    with engine.connect() as connection:
        rows = {table.name: connection.execute(select(table).order_by(*table.primary_key.columns)).mappings().all() for table in _tables()}
    return {name: [moving._with_zone(dict(row)) for row in found] for name, found in rows.items()}


def test_everything_goes_there_and_back(full, url, tmp_path, monkeypatch):
    monkeypatch.setattr(moving, "_PAGE", 2)
    there, back = open_engine(url), open_engine(f"sqlite:///{tmp_path}/back.db")
    if there.dialect.name == "postgresql":
        with there.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"ALTER DATABASE {there.url.database} SET timezone TO 'Asia/Tokyo'"))
        there.dispose()
    told = {}
    copy_all(full, there, told.__setitem__)
    assert told == {table.name: 5 for table in _tables()}
    assert everything(there) == everything(full)
    copy_all(there, back, told.__setitem__)
    assert everything(back) == everything(full)
    with there.begin() as connection:  # and it goes on counting where it was
        row = {c.name: value(c, 7) for c in inbox.columns if c.name != "seq"}
        connection.execute(insert(inbox).values(**row))
        assert connection.execute(select(inbox.c.seq).order_by(inbox.c.seq.desc()).limit(1)).scalar() == 6
    there.dispose()
    back.dispose()


def test_nothing_is_mixed(full, tmp_path):
    other = open_engine(f"sqlite:///{tmp_path}/other.db")
    upgrade(other)
    last = list(_tables())[-1]
    with other.begin() as connection:
        insert_rows(connection, last, [{c.name: value(c, 1) for c in last.columns}])
    with pytest.raises(NotEmpty, match=f"is not empty: it has rows in {last.name}"):
        copy_all(full, other, lambda *_: None)
    with other.connect() as connection:
        assert connection.execute(select(inbox)).all() == []
    other.dispose()
