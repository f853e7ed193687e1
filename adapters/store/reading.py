"""Reads one row with as little work as can be: the statement is compiled once, the values go to the driver."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.engine import Dialect

_Bind = Callable[[Mapping[str, Any]], tuple[Any, ...]]
_Make = Callable[[tuple[Any, ...]], Any]


def first_row(connection: Connection, statement: Select[Any], parameters: Mapping[str, Any]) -> Any | None:
    """Return the first row that a select finds, with its columns as attributes; None when it finds none.

    The statement is one that is made once and kept. Raises DBAPIError as any statement does. On SQLite, where every
    microsecond is the reactor's, it goes past SQLAlchemy, which takes ten times as long over a row as the database.
    """
    if connection.dialect.name != "sqlite":
        return connection.execute(statement, parameters).first()
    text, bind, make = _prepared(statement, connection.dialect)
    driver: Any = connection.connection.driver_connection
    try:
        row = driver.execute(text, bind(parameters)).fetchone()
    except driver.Error:
        # SQLAlchemy meets the same error, and knows what it means for the connection.
        return connection.execute(statement, parameters).first()
    return None if row is None else make(row)


@lru_cache(maxsize=256)
def _prepared(statement: Select[Any], dialect: Dialect) -> tuple[str, _Bind, _Make]:
    """Return the statement's text, what makes the driver's parameters, and what makes a row of the driver's."""
    compiled = statement.compile(dialect=dialect)
    binds = [(name, compiled.params[name], compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
             for name in compiled.positiontup or ()]
    columns = tuple(statement.selected_columns)
    reads = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    names = [column.name for column in columns]
    row_of: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024  # its fields are the statement's

    def bind(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        values = [(parameters.get(name, default), process) for name, default, process in binds]
        return tuple([value if process is None else process(value) for value, process in values])

    def make(row: tuple[Any, ...]) -> Any:
        return row_of(*[value if read is None else read(value) for value, read in zip(row, reads, strict=True)])

    return str(compiled), bind, row_of._make if not any(reads) else make
