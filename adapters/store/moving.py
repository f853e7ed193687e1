"""Everything in one database copied into another of either kind: a site that has outgrown its SQLite file goes to PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, literal, select

from adapters.store.engine import READ_ONLY, file_of
from adapters.store.inserting import insert_rows
from adapters.store.lockfile import LockFile
from adapters.store.migrations import all_metadata, upgrade
from adapters.store.troubles import in_words, shown

_PAGE = 500
_OF_PROCESSES = frozenset({"node", "login_slot"})
"""Tables about processes that run now: none of them moves."""


class NotEmpty(RuntimeError):
    """The database to copy into holds something already; nothing was changed."""


def copy_all(source: Engine, target: Engine, told: Callable[[str, int], None]) -> None:
    """Copy every table's rows, all of them or none; `told` hears of each table and its number of rows.

    Both databases are brought up to date first. Nobody may work on either meanwhile: of a SQLite file that is seen to.
    Raises NotEmpty and Unusable.
    """
    with ExitStack() as held:
        for engine in (source, target):
            if (file := file_of(engine)) is not None:
                lock = LockFile(file)
                lock.take()
                held.callback(lock.give_back)
            with in_words(engine):
                upgrade(engine)
        with in_words(target):
            _copy_tables(source, target, told)


def _copy_tables(source: Engine, target: Engine, told: Callable[[str, int], None]) -> None:
    with source.execution_options(**{READ_ONLY: True}).begin() as reading, target.begin() as writing:
        for table in _tables():
            if writing.execute(select(literal(1)).select_from(table).limit(1)).first() is not None:
                raise NotEmpty(f"{shown(target)} is not empty: it has rows in {table.name}")
            told(table.name, _copy(reading, writing, table))


def _tables() -> Iterator[Table]:
    for metadata in all_metadata():
        yield from (table for table in metadata.sorted_tables if table.name not in _OF_PROCESSES)


def _copy(reading: Connection, writing: Connection, table: Table) -> int:
    count = 0
    rows = reading.execution_options(yield_per=_PAGE).execute(select(table).order_by(*table.primary_key.columns))
    for page in rows.mappings().partitions():
        insert_rows(writing, table, [_with_zone(dict(row)) for row in page])
        count += len(page)
    if count and writing.dialect.name == "postgresql":
        for column in (c for c in table.columns if c.autoincrement is True):
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            writing.execute(select(func.setval(sequence, select(func.max(column)).scalar_subquery())))
    return count


def _with_zone(row: Mapping[str, Any]) -> dict[str, Any]:
    """Instants are UTC in every table, but SQLite does not say so, and PostgreSQL says it in its own zone."""
    return {name: (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)) if isinstance(value, datetime) else value
            for name, value in row.items()}
