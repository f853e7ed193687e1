"""Writes many rows of one table with as little work as can be: the statement is made once, the values go to the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import JSON, Connection, LargeBinary, String, Table, Text, bindparam, cast, column, func, select

# SQLite understands the same `on conflict`, so PostgreSQL's insert serves both.
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.engine import Dialect

from adapters.store.reading import as_any_statement_s

_Rows = Sequence[Mapping[str, Any]]
_Make = Callable[[_Rows], Any]


def insert_rows(connection: Connection, table: Table, rows: _Rows, *, replace: bool = False) -> None:
    """Insert rows that all have the same columns; with `replace`, over those with the same primary key.

    Raises DBAPIError as any statement does. For a group commit's thousands of rows a second, binding each value as
    SQLAlchemy does costs more than the database.
    """
    statement, make = _prepared(table, tuple(rows[0]), replace, connection.dialect)
    many = connection.dialect.positional
    driver: Any = connection.connection.driver_connection
    try:
        driver.executemany(statement, make(rows)) if many else driver.execute(statement, make(rows))
    except connection.dialect.loaded_dbapi.Error as error:
        raise as_any_statement_s(connection, statement, error) from error


def without_waiting(connection: Connection) -> AbstractContextManager[object]:
    """Until it is left, PostgreSQL is sent one `insert_rows` after the other without its answers being waited for: each wait
    costs a batch more than its rows do. The commit waits for them all, and raises what one of them met.
    """
    driver: Any = connection.connection.driver_connection
    return driver.pipeline() if connection.dialect.name == "postgresql" else nullcontext()


@lru_cache(maxsize=256)
def _prepared(table: Table, names: tuple[str, ...], replace: bool, dialect: Dialect) -> tuple[str, _Make]:
    """Return the statement's text and what makes the driver's parameters of the rows."""
    whole = dialect.name == "postgresql"
    statement = _of_json(table, names, dialect) if whole else insert(table).inline()
    if replace:
        key = [c.name for c in table.primary_key]
        statement = statement.on_conflict_do_update(index_elements=key, set_={n: statement.excluded[n] for n in names if n not in key})
    compiled = statement.compile(dialect=dialect, column_keys=None if whole else names)
    binds = {name: table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names}
    if whole:
        return str(compiled), _json({name: convert for name, convert in binds.items()
                                     if convert is not None and not isinstance(table.c[name].type, LargeBinary)})
    columns = [(name, binds[name]) for name in compiled.positiontup or ()]

    def positional(rows: _Rows) -> Any:
        return [tuple([row[name] if convert is None else convert(row[name]) for name, convert in columns]) for row in rows]

    return str(compiled), positional


def _of_json(table: Table, names: Sequence[str], dialect: Dialect) -> Insert:
    """An insert of all rows at once. Row by row, the driver and the server take three times as long over them."""
    # A text that is too long must not be cut to the column's length, as a cast would, but refused.
    types = [Text() if isinstance(kind := table.c[name].type.dialect_impl(dialect), String) else kind for name in names]
    rows = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON)).table_valued(
        *(column(name, kind) for name, kind in zip(names, types, strict=True)), name="r").render_derived(with_types=True)
    return insert(table).from_select(names, select(*rows.c))


def _json(converted: Mapping[str, Callable[[Any], Any]]) -> _Make:
    def make(rows: _Rows) -> Any:
        if converted:
            rows = [{n: converted[n](v) if n in converted else v for n, v in row.items()} for row in rows]
        return {"rows": orjson.dumps(rows, default=_as_text, option=orjson.OPT_NON_STR_KEYS).decode()}

    return make


def _as_text(value: Any) -> str:
    """How PostgreSQL writes what JSON cannot say."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    raise TypeError(f"a column cannot hold {type(value).__name__}")
