"""Replies as report blocks, and back: nothing of the object is lost, and every label is the object's own field name.

Plain values are lines `name  =  value`, those of nested objects with dotted names. Each list is a table of its own. Inside
a table's row a list of plain values is the columns `name.1`, `name.2` and on; a list of objects is another table, whose column
`#` holds the number of the row it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.failures import BY_RETCODE, FAILURES
from adapters.mml.native import is_object, shape_of
from core.messages.base import BusinessObject
from core.messages.failures import Failure, Fault, Kind
from plugins.checking import checked
from protocols.mml import Command, Report

PARENT = "#"
ABSENT = ("-", "")
"""What stands in a table's cell where the object has no value, in text and in a frame."""

Rows = list[dict[str, str]]


def report(reply: BusinessObject, command: Command, *, joint: str = ".", retcode: str = "0",
           description: str = "Operation succeeded") -> Report:
    """Write a reply. `joint` joins the names of nested fields: `_` where a dialect's names cannot hold a dot."""
    fields: dict[str, str] = {}
    tables: dict[str, Rows] = {}
    _spread(reply.model_dump(mode="json", exclude_none=True), "", fields, "", "", tables, joint)
    return Report(retcode, description, fields, tuple((title, tuple(rows)) for title, rows in tables.items()), command.raw,
                  command.session, command.transaction)


def _spread(data: Mapping[str, Any], prefix: str, cells: dict[str, str], table: str, row: str, tables: dict[str, Rows],
            joint: str) -> None:
    """Put an object's values into `cells` and its lists into `tables`; `row` is its number in `table`, if it stands in one."""
    for name, value in data.items():
        if type(value) is str:
            cells[prefix + name] = value
        elif type(value) is dict:
            _spread(value, f"{prefix}{name}{joint}", cells, table, row, tables, joint)
        elif type(value) is list:
            if row and value and type(value[0]) is not dict:
                cells.update((f"{prefix}{name}{joint}{number}", _plain(item)) for number, item in enumerate(value, 1))
            elif value:
                title = f"{table}{joint}{prefix}{name}" if table else prefix + name
                _rows(value, name, title, row, tables, joint)
        else:
            cells[prefix + name] = _plain(value)


def _rows(items: list[Any], name: str, title: str, row: str, tables: dict[str, Rows], joint: str) -> None:
    rows = tables.setdefault(title, [])
    for item in items:
        line = {PARENT: row} if row else {}
        rows.append(line)
        if type(item) is dict:
            _spread(item, "", line, title, str(len(rows)), tables, joint)
            if not line:
                line[PARENT] = str(len(rows))
        else:
            line[name] = _plain(item)


def _plain(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def refusal(failure: Failure, command: Command) -> Report:
    """Say a failure, with the correlation id by which the operator finds it."""
    fault = failure.fault()
    fields = {"code": fault.code.value}
    if fault.field:
        fields["field"] = fault.field
    if fault.correlationId:
        fields["correlationId"] = fault.correlationId
    return Report(str(FAILURES[failure.kind].retcode), fault.message, fields, (), command.raw, command.session, command.transaction)


def failure_of(answer: Report) -> Failure | None:
    """Return the failure that a report of a gateway tells, None for a success."""
    if not answer.retcode.strip("0"):
        return None
    fields = _keys(answer.fields)
    code = answer.retcode.lstrip("0")
    kind = BY_RETCODE.get(int(code), Kind.INTERNAL) if code.isdecimal() else Kind.INTERNAL
    return Failure.of(Fault(code=kind, message=answer.description[:512], field=fields.get("field"),
                            correlationId=fields.get("correlationid")))


def read(answer: Report, model: type[BusinessObject]) -> dict[str, Any]:
    """Read a report back into the nested dict it was made of, values as texts. The model says what belongs where."""
    tables = {_key(title): [_keys(row) for row in rows] for title, rows in answer.tables}
    return _gather(model, "", _keys(answer.fields), "", None, tables)


def read_object(answer: Report, model: type[BusinessObject]) -> BusinessObject:
    """Read a report back into the object. Raises the Failure it tells, or Failure(INVALID) when it does not fit."""
    failure = failure_of(answer)
    if failure is not None:
        raise failure
    return checked(model, read(answer, model))


def _key(name: str) -> str:
    return name.lower().replace(".", "_")


def _keys(names: Mapping[str, str]) -> dict[str, str]:
    return {_key(name): value for name, value in names.items()}


def _gather(model: type[BusinessObject], prefix: str, cells: Mapping[str, str], table: str, row: str | None,
            tables: Mapping[str, Rows]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        kind, many = shape_of(info.annotation)
        key = prefix + name.lower()
        value: Any = None
        if many and row is not None and not is_object(kind):
            value = _listed(cells, f"{key}_")
        elif many:
            value = _list(kind, name.lower(), f"{table}_{key}" if table else key, row, tables)
        elif is_object(kind):
            value = _gather(kind, f"{key}_", cells, table, row, tables)
        else:
            text = cells.get(key)
            if text is not None and not (row is not None and text in ABSENT):
                data[name] = text
        if value:
            data[name] = value
    return data


def _listed(cells: Mapping[str, str], key: str) -> list[str]:
    """The plain values that stand in a row's columns `key1`, `key2` and on."""
    numbered = sorted((int(c[len(key):]), v) for c, v in cells.items() if c.startswith(key) and c[len(key):].isdecimal())
    found = ["" if v in ABSENT else v for _, v in numbered]
    while found and not found[-1]:
        found.pop()
    return found


def _list(kind: Any, name: str, title: str, row: str | None, tables: Mapping[str, Rows]) -> list[Any]:
    items: list[Any] = []
    for number, line in enumerate(tables.get(title, ()), 1):
        if row is None or line.get(PARENT, row) == row:
            items.append(_gather(kind, "", line, title, str(number), tables) if is_object(kind) else line[name])
    return items
