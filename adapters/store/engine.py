"""How the databases are opened: what each must promise so that a commit means 'on the disk'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from adapters.store.troubles import make_folder
from config.settings import parse_database_url

READ_ONLY = "uip_read_only"
"""Execution option of a connection that will only read: takes no write lock."""

_BUSY_SECONDS = 5
_LOCK_SECONDS = 3
"""How long a transaction waits for another's lock before it is tried again; one that stands still for longer than _STILL_SECONDS
(its process is stopped, or cut off) is ended by the database, and its locks with it."""
_STILL_SECONDS = 10
_BY_INDEX = "-c enable_seqscan=off -c jit=off"
"""A plan made while a table is empty is kept while it grows by thousands of rows a second; every statement of ours has an index."""


def open_engine(url: str) -> Engine:
    """Open SQLite (`sqlite:///path`) or PostgreSQL (`postgresql://...`). Makes the directory of a SQLite file.

    Raises ValueError for any other database.
    """
    parsed = parse_database_url(url)
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_size=2, connect_args={
            "options": f"{parsed.query.get('options', '')} -c lock_timeout={_LOCK_SECONDS}s "
                       f"-c idle_in_transaction_session_timeout={_STILL_SECONDS}s {_BY_INDEX}"})
    file = Path(str(parsed.database))
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "do_connect", lambda *_: make_folder(file))
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def file_of(engine: Engine) -> Path | None:
    """Return the file of a SQLite database; None for a database that has a server."""
    return Path(str(engine.url.database)).absolute() if engine.dialect.name == "sqlite" else None


def _prepare_sqlite(driver: Any, _record: Any) -> None:
    driver.isolation_level = None  # the driver's own BEGIN comes too late to protect what is read before the first write
    # The page size counts when a file is new. Journal rows have about two kilobytes: in pages of four, many would have one to themselves.
    for pragma in ("page_size=8192", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_SECONDS * 1000}"):
        driver.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY)
    # IMMEDIATE: waiting for the lock at the start is safe, being refused it halfway is not.
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
