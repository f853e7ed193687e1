"""What a database or its disk refuses, in an operator's words: the one place that knows how the drivers say it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from config.documents import Unusable

_KEY = ("url",)
_SQLITE: Mapping[int, str] = {
    sqlite3.SQLITE_PERM: "it cannot be opened: the gateway's user must be allowed to read and write the file and its folder",
    sqlite3.SQLITE_BUSY: "it is locked by another program: end that first (`uip backup` makes copies without locking it)",
    sqlite3.SQLITE_READONLY: "it cannot be written: the gateway's user must be allowed to write the file and its folder",
    sqlite3.SQLITE_IOERR: "it cannot be read or written: its disk has a fault",
    sqlite3.SQLITE_CORRUPT: "it is damaged: put a backup in its place",
    sqlite3.SQLITE_FULL: "it cannot be written: there is no room left on its disk",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: it must be a file in a folder that the gateway's user may write",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database: name another file, or put a backup in its place",
}
"""By the primary result code (https://sqlite.org/rescode.html)."""
_POSTGRESQL: Mapping[str, str] = {
    "Connection refused|timeout expired|unreachable|No route": "no PostgreSQL answers there; is it running, and is this its address?",
    "resolve host|translate host": "there is no host of that name",
    "password authentication failed|no password supplied":
        "the server refuses the user or the password, which comes from PGPASSWORD, ~/.pgpass or the URL",
    "database .* does not exist": "there is no such database on that server; `createdb` makes one",
    "role .* does not exist": "there is no such user on that server; `createuser` makes one",
    "pg_hba.conf": "the server does not let that user in from here; its pg_hba.conf says who may",
}
"""By what the driver says of a connection that was not made, for it has no code then."""


def shown(engine: Engine) -> str:
    """Return a database's URL as an operator writes it, without the password."""
    return engine.url.set(drivername=engine.dialect.name).render_as_string(hide_password=True)


def unusable(engine: Engine, why: str) -> Unusable:
    """Say why a database cannot be used."""
    return Unusable(_KEY, f"{shown(engine)}: {why}")


def unwritable(file: Path, error: OSError) -> Unusable:
    """Say that there can be no database at `file`."""
    return Unusable(_KEY, f"{file} cannot be written ({error.filename}: {error.strerror}): it must be a file in a folder that the "
                    "gateway's user may write")


def make_folder(file: Path) -> None:
    """Make the folder of a database's file. Raises Unusable."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(file, error) from error


@contextmanager
def in_words(engine: Engine) -> Iterator[None]:
    """Raise Unusable, saying what is wrong and what is needed, for all that the database refuses within."""
    try:
        yield
    except DBAPIError as error:
        raise unusable(engine, _said(error.orig)) from error


def _said(error: BaseException | None) -> str:
    text = str(error).strip().partition("\n")[0].removeprefix("connection failed: ")
    if isinstance(error, sqlite3.Error):
        words = _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xff)  # the rest of it says more than is told here
    else:
        words = next((words for pattern, words in _POSTGRESQL.items() if re.search(pattern, text)), None)
    return f"{words} ({text})" if words else text
