from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from adapters.store.backup import BackupFailed, back_up
from adapters.store.engine import open_engine


@pytest.fixture
def database(tmp_path):
    """A database in use: a writer has it open, and what it committed is still beside the file."""
    engine = open_engine(f"sqlite:///{tmp_path}/uip.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 'committed')")
    yield engine
    engine.dispose()


def rows(file):
    with closing(sqlite3.connect(file)) as copy:
        return copy.execute("SELECT n FROM t").fetchall()


def test_what_is_committed_is_in_it_and_nothing_else(database, tmp_path):
    assert (tmp_path / "uip.db-wal").stat().st_size > 0
    with database.begin() as writing:
        writing.exec_driver_sql("INSERT INTO t VALUES (2, 'not yet')")
        size = back_up(tmp_path / "uip.db", tmp_path / "copy.db")  # and does not wait for it
    assert rows(tmp_path / "copy.db") == [(1,)]
    assert size == (tmp_path / "copy.db").stat().st_size
    assert sorted(file.name for file in tmp_path.glob("copy*")) == ["copy.db"]
    with pytest.raises(FileExistsError):
        back_up(tmp_path / "uip.db", tmp_path / "copy.db")


def test_a_damaged_database_leaves_no_copy(database, tmp_path):
    with database.begin() as connection:
        for n in range(2, 2000):
            connection.exec_driver_sql(f"INSERT INTO t VALUES ({n}, '{'x' * 200}')")
    database.dispose()
    with (tmp_path / "uip.db").open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(BackupFailed, match=r"is damaged|malformed"):
        back_up(tmp_path / "uip.db", tmp_path / "copy.db")
    assert list(tmp_path.glob("copy*")) == []


def test_a_place_that_cannot_be_written_is_named(database, tmp_path):
    with pytest.raises(BackupFailed, match=r"/none/copy.db: there is no folder"):
        back_up(tmp_path / "uip.db", tmp_path / "none" / "copy.db")
