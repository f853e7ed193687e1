"""Reads one row with as little work as can be: the statement is compiled once, the values go to the driver."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

_Bind = Callable[[Mapping[str, Any]], Any]
_Make = Callable[[tuple[Any, ...]], Any]


def first_row(connection: Connection, statement: Select[Any], parameters: Mapping[str, Any]) -> Any | None:
    """Return the first row that a select finds, with its columns as attributes; None when it finds none.

    The statement is one that is made once and kept. Raises DBAPIError as any statement does. It goes past SQLAlchemy, which takes
    ten times as long over a row as SQLite, and as long as PostgreSQL.
    """
    text, bind, make = _prepared(statement, connection.dialect)
    driver: Any = connection.connection.driver_connection
    try:
        row = driver.execute(text, bind(parameters)).fetchone()
    except connection.dialect.loaded_dbapi.Error as error:
        raise as_any_statement_s(connection, text, error) from error
    return None if row is None else make(row)


def as_any_statement_s(connection: Connection, statement: str, error: Exception) -> Exception:
    """Return what SQLAlchemy would have raised for an error of the driver's. Without the parameters, which may be bodies."""
    dialect = connection.dialect
    return DBAPIError.instance(statement, None, error, dialect.loaded_dbapi.Error, dialect=dialect)


@lru_cache(maxsize=256)
def _prepared(statement: Select[Any], dialect: Dialect) -> tuple[str, _Bind, _Make]:
    """Return the statement's text, what makes the driver's parameters, and what makes a row of the driver's."""
    compiled = statement.compile(dialect=dialect)
    binds = {name: (compiled.params[name], bound.type.dialect_impl(dialect).bind_processor(dialect))
             for bound, name in compiled.bind_names.items()}
    columns = tuple(statement.selected_columns)
    reads = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    names = [column.name for column in columns]
    row_of: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024  # its fields are the statement's

    def values(parameters: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: parameters.get(name, default) for name, (default, _) in binds.items()}
        return {name: value if (process := binds[name][1]) is None else process(value) for name, value in given.items()}

    def in_order(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        named = values(parameters)
        return tuple([named[name] for name in order])

    def make(row: tuple[Any, ...]) -> Any:
        return row_of(*[value if read is None else read(value) for value, read in zip(row, reads, strict=True)])

    order: Sequence[str] = compiled.positiontup or ()
    return str(compiled), in_order if compiled.positional else values, row_of._make if not any(reads) else make
