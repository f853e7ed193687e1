"""What keeps a store from starting is told in an operator's words, with what is needed, and never with a password."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from adapters.store.engine import open_engine
from adapters.store.lockfile import LockFile
from adapters.store.migrations import newest, upgrade
from adapters.store.troubles import in_words
from config.documents import Unusable


def told(engine, error=None):
    def refuse():
        raise OperationalError("BEGIN", None, error)

    with pytest.raises(Unusable) as refused, in_words(engine):
        upgrade(engine) if error is None else refuse()
    engine.dispose()
    assert refused.value.key == ("url",)
    return str(refused.value)


@pytest.fixture
def engine(tmp_path):
    return open_engine(f"sqlite:///{tmp_path}/uip.db")


def test_a_file_that_is_no_database(engine, tmp_path):
    (tmp_path / "uip.db").write_text("these are somebody's notes, not a database\n" * 100)
    assert told(engine).startswith(f"sqlite:///{tmp_path}/uip.db: it is not a SQLite database: name another file")


def test_a_folder_in_the_place_of_the_file(engine, tmp_path):
    (tmp_path / "uip.db").mkdir()
    assert "it cannot be opened: it must be a file in a folder that the gateway's user may write" in told(engine)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "notes").write_text("")
    file = tmp_path / "notes" / "uip.db"
    wanted = rf"{file} cannot be written \({file.parent}: .*\): it must be a file in a folder that the gateway's user may write"
    with pytest.raises(Unusable, match=wanted):
        LockFile(file).take()
    with pytest.raises(Unusable, match=wanted):
        upgrade(open_engine(f"sqlite:///{file}"))


def test_a_lock_file_that_cannot_be_written(tmp_path):
    (tmp_path / "uip.db.lock").mkdir()
    with pytest.raises(Unusable, match=r"uip\.db cannot be written \(.*/uip\.db\.lock: Is a directory\)"):
        LockFile(tmp_path / "uip.db").take()


def test_the_database_of_a_newer_program(engine):
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert f"it is not for this UIP, which knows revisions up to {newest()}: this is 9999, so a newer UIP" in told(engine)


@pytest.mark.parametrize(("code", "words"), [
    (sqlite3.SQLITE_BUSY, "it is locked by another program"),
    (sqlite3.SQLITE_READONLY_DIRECTORY, "it cannot be written: the gateway's user must be allowed"),
    (sqlite3.SQLITE_FULL, "there is no room left on its disk"),
    (sqlite3.SQLITE_IOERR_FSYNC, "its disk has a fault"),
    (sqlite3.SQLITE_CORRUPT, "it is damaged: put a backup in its place"),
    (sqlite3.SQLITE_MISUSE, "uip.db: what the driver says"),
])
def test_what_sqlite_refuses(engine, code, words):
    error = sqlite3.OperationalError("what the driver says")
    error.sqlite_errorcode = code
    assert words in told(engine, error)


def test_no_postgresql_there():
    said = told(open_engine("postgresql://postgres:hidden@127.0.0.1:1/uip"))
    assert said.startswith("postgresql://postgres:***@127.0.0.1:1/uip: no PostgreSQL answers there; is it running, ")
    assert "hidden" not in said


def test_no_such_database(postgresql):
    said = told(open_engine(f"{postgresql}_not"))
    assert "there is no such database on that server; `createdb` makes one" in said


@pytest.mark.parametrize(("says", "words"), [
    ('FATAL:  password authentication failed for user "uip"', "the server refuses the user or the password"),
    ("fe_sendauth: no password supplied", "the server refuses the user or the password"),
    ('FATAL:  role "uip" does not exist', "there is no such user on that server"),
    ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "its pg_hba.conf says who may"),
    ('FATAL:  sorry, too many clients already', "NAME: FATAL:  sorry, too many clients already"),
])
def test_what_postgresql_refuses(says, words):
    assert words in told(open_engine("postgresql://uip@127.0.0.1:1/NAME"), RuntimeError(f"connection failed: {says}\n\tmore"))
