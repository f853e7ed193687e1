"""Writes many rows of one table with as little work as can be: the statement is made once, the values go to the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table

# SQLite understands the same `on conflict`, so PostgreSQL's insert serves both.
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Dialect

_Make = Callable[[Mapping[str, Any]], Any]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, replace: bool = False) -> None:
    """Insert rows that all have the same columns; with `replace`, over those with the same primary key.

    Raises DBAPIError as any statement does. For a group commit's thousands of rows a second, binding each value as
    SQLAlchemy does costs more than the database.
    """
    statement, make = _prepared(table, tuple(rows[0]), replace, connection.dialect)
    connection.exec_driver_sql(statement, [make(row) for row in rows])


@lru_cache(maxsize=256)
def _prepared(table: Table, names: tuple[str, ...], replace: bool, dialect: Dialect) -> tuple[str, _Make]:
    """Return the statement's text and what makes the driver's parameters of a row."""
    statement = insert(table).inline()
    if replace:
        key = [column.name for column in table.primary_key]
        statement = statement.on_conflict_do_update(index_elements=key, set_={n: statement.excluded[n] for n in names if n not in key})
    compiled = statement.compile(dialect=dialect, column_keys=names)
    converted = {name: convert for name in names
                 if (convert := table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) is not None}
    order: list[str] | None = compiled.positiontup
    if order is not None:
        columns = [(name, converted.get(name)) for name in order]

        def positional(row: Mapping[str, Any]) -> tuple[Any, ...]:
            return tuple(row[name] if convert is None else convert(row[name]) for name, convert in columns)

        return str(compiled), positional

    def named(row: Mapping[str, Any]) -> Mapping[str, Any]:
        return row if not converted else {n: converted[n](v) if n in converted else v for n, v in row.items()}

    return str(compiled), named
