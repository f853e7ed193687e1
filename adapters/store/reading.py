"""Reads rows with as little work as can be: a statement is compiled once, the values go to the driver."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import JSON, ColumnElement, Connection, Select, Text, bindparam, cast, func, select
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

_Bind = Callable[[Mapping[str, Any]], Any]
_Make = Callable[[tuple[Any, ...]], Any]


def first_row(connection: Connection, statement: Select[Any], parameters: Mapping[str, Any]) -> Any | None:
    """Return the first row that a select finds, with its columns as attributes; None when it finds none.

    The statement is one that is made once and kept. Raises DBAPIError as any statement does. It goes past SQLAlchemy, which takes
    ten times as long over a row as SQLite, and as long as PostgreSQL.
    """
    cursor, make = _executed(connection, statement, parameters)
    row = cursor.fetchone()
    return None if row is None else make(row)


def all_rows(connection: Connection, statement: Select[Any], parameters: Mapping[str, Any]) -> list[Any]:
    """Return every row that a select finds. Like `first_row` otherwise."""
    cursor, make = _executed(connection, statement, parameters)
    return [make(row) for row in cursor.fetchall()]


def among(column: ColumnElement[str], name: str, dialect: str) -> ColumnElement[bool]:
    """The condition that a text is one of those given as the parameter `name`, which is made by `listed`.

    However many there are it is the same statement; SQLAlchemy's `in_` writes and prepares a new one for each number of values.
    """
    if dialect == "sqlite":
        return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))
    values = func.json_array_elements_text(cast(bindparam(name, type_=Text), JSON)).table_valued("value")
    # An array, not a subquery: for that PostgreSQL could plan to read the whole table, and keep to it while the table grows.
    return column == func.any(func.array(select(values.c.value).scalar_subquery()))


def listed(values: Iterable[str]) -> str:
    """A parameter for `among`."""
    return orjson.dumps(list(values)).decode()


def as_any_statement_s(connection: Connection, statement: str, error: Exception) -> Exception:
    """Return what SQLAlchemy would have raised for an error of the driver's. Without the parameters, which may be bodies."""
    dialect = connection.dialect
    return DBAPIError.instance(statement, None, error, dialect.loaded_dbapi.Error, dialect=dialect)


def _executed(connection: Connection, statement: Select[Any], parameters: Mapping[str, Any]) -> tuple[Any, _Make]:
    text, bind, make = _prepared(statement, connection.dialect)
    driver: Any = connection.connection.driver_connection
    try:
        return driver.execute(text, bind(parameters)), make
    except connection.dialect.loaded_dbapi.Error as error:
        raise as_any_statement_s(connection, text, error) from error


@lru_cache(maxsize=256)
def _prepared(statement: Select[Any], dialect: Dialect) -> tuple[str, _Bind, _Make]:
    """Return the statement's text, what makes the driver's parameters, and what makes a row of the driver's."""
    compiled = statement.compile(dialect=dialect)
    places = (compiled.positiontup or ()) if compiled.positional else tuple(compiled.bind_names.values())
    binds = [(name, compiled.params[name], compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in places]
    columns = tuple(statement.selected_columns)
    reads = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    names = [column.name for column in columns]
    row_of: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024  # its fields are the statement's

    def in_order(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        values = [(parameters.get(name, default), process) for name, default, process in binds]
        return tuple([value if process is None else process(value) for value, process in values])

    def by_name(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict(zip(places, in_order(parameters), strict=True))

    def make(row: tuple[Any, ...]) -> Any:
        return row_of(*[value if read is None else read(value) for value, read in zip(row, reads, strict=True)])

    return str(compiled), in_order if compiled.positional else by_name, row_of._make if not any(reads) else make
