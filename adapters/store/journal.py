"""The journal outside the database: ranges of it as JSON lines, and back again.

A line is one row: `address` (the core that took the message), `received`, `pending` (its answer is still to come), `key` (the
idempotency key it is known by), `envelope` (head and body), `replyType` and `reply`. Envelope and reply are JSON inside the line, or
a string holding the JSON where writing it anew would not give the same bytes: a stored answer is given byte for byte for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Engine, select

from adapters.store.engine import READ_ONLY
from adapters.store.inserting import insert_rows
from adapters.store.tables import Row, inbox, instant, milliseconds
from protocols.wording import said

_PAGE = 500

Mask = Callable[[Any], Any]
"""Takes a JSON value; returns it with what is secret hidden."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows: received from `since` on and before `until`, of one party, one type, one correlation id. None: all."""

    since: datetime | None = None
    until: datetime | None = None
    party: str | None = None
    type: str | None = None
    correlation: str | None = None

    def conditions(self) -> list[Any]:
        """Return them as conditions on the inbox."""
        columns = ((inbox.c.party, self.party), (inbox.c.type, self.type), (inbox.c.correlation_id, self.correlation))
        found: list[Any] = [column == value for column, value in columns if value is not None]
        if self.since is not None:
            found.append(inbox.c.received >= milliseconds(self.since))
        if self.until is not None:
            found.append(inbox.c.received < milliseconds(self.until))
        return found


def export(engine: Engine, selection: Selection, mask: Mask | None = None) -> Iterator[bytes]:
    """Yield the selected rows in the order they were taken, a line each, with its end. Raises SQLAlchemyError.

    Reads page by page, each in a transaction of its own, so that a running gateway's checkpoints need not wait for a slow reader.
    """
    after = 0
    query = select(inbox).where(*selection.conditions()).order_by(inbox.c.seq).limit(_PAGE)
    while True:
        with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            rows = connection.execute(query.where(inbox.c.seq > after)).all()
        for row in rows:
            yield _line(row, mask)
        if len(rows) < _PAGE:
            return
        after = rows[-1].seq


def _line(row: Any, mask: Mask | None) -> bytes:
    whole = {"address": row.address, "received": instant(row.received).isoformat(), "pending": row.pending, "key": row.idempotency_key,
             "envelope": _outside(row.envelope, mask), "replyType": row.reply_type, "reply": _outside(row.reply, mask)}
    return orjson.dumps({**whole, "masked": True} if mask else whole, option=orjson.OPT_APPEND_NEWLINE)


def _outside(text: str | None, mask: Mask | None) -> Any:
    if text is None:
        return None
    value = orjson.loads(text)
    if mask is not None:
        return mask(value)
    return value if orjson.dumps(value) == text.encode() else text


class _Head(BaseModel):
    message_id: Annotated[str, Field(alias="messageId", min_length=1, max_length=128)]
    correlation_id: Annotated[str, Field(alias="correlationId", max_length=128)]
    party: Annotated[str, Field(max_length=128)]
    session: Annotated[str, Field(max_length=128)]
    type: Annotated[str, Field(min_length=1, max_length=96)]


class _Envelope(BaseModel):
    head: _Head
    body: dict[str, Any]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    address: Annotated[str, Field(min_length=1, max_length=96)]
    received: Annotated[AwareDatetime, Field(strict=False)]
    pending: bool
    key: Annotated[str, Field(max_length=255)] | None
    envelope: str | dict[str, Any]
    reply_type: Annotated[str | None, Field(alias="replyType", max_length=96)]
    reply: str | dict[str, Any] | None
    masked: bool = False


class BadLine(ValueError):
    """A line is not one that `export` wrote; the text says which field, and what is allowed."""


def parsed(line: bytes) -> Row:
    """Read a line as a row of the inbox. Raises BadLine."""
    try:
        given = _Line.model_validate(orjson.loads(line))
        envelope = _inside(given.envelope)
        head = _Envelope.model_validate(orjson.loads(envelope)).head
        reply = _inside(given.reply) if given.reply is not None else None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        named = [str(part) for part in first["loc"] if part not in {"str", "dict[str,any]"}]
        where = ["envelope", *named] if error.title == _Envelope.__name__ else named
        raise BadLine(f"{'.'.join(where) or 'the line'}: {said(first)}") from None
    except ValueError as error:
        raise BadLine(f"is not JSON: {error}") from None
    if given.masked:
        raise BadLine("masked: was exported with --mask; what is hidden cannot be put back")
    if (given.reply_type is None) != (reply is None):
        raise BadLine("reply: reply and replyType come together")
    return {"address": given.address, "message_id": head.message_id, "correlation_id": head.correlation_id, "party": head.party,
            "idempotency_key": given.key, "session": head.session, "type": head.type, "envelope": envelope,
            "received": milliseconds(given.received.astimezone(UTC)), "pending": given.pending, "reply_type": given.reply_type,
            "reply": reply}


def _inside(value: str | Mapping[str, Any]) -> str:
    if isinstance(value, str):
        orjson.loads(value)
        return value
    return orjson.dumps(value).decode()


@dataclass(slots=True)
class Taken:
    """What an import came to: rows added, rows that were there already, and by line number what could not be taken."""

    added: int = 0
    present: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


def take_in(engine: Engine, lines: Iterable[bytes], *, dry_run: bool = False,
            refused: Callable[[int, str], None] = lambda _line, _why: None) -> Taken:
    """Put exported rows back, some hundred in a transaction. Rows that are there stay as they are; `refused` hears of each line
    that cannot be taken, by its number from 1. With `dry_run` nothing is written. Raises SQLAlchemyError.
    """
    taken = Taken()

    def refuse(number: int, why: str) -> None:
        taken.refused.append((number, why))
        refused(number, why)

    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while page := list(islice(numbered, _PAGE)):
        rows: list[tuple[int, Row]] = []
        for number, line in page:
            try:
                rows.append((number, parsed(line)))
            except BadLine as error:
                refuse(number, str(error))
        with engine.begin() as connection:
            new = _new(connection, rows, taken, refuse)
            if new and not dry_run:
                insert_rows(connection, inbox, new)
            taken.added += len(new)
    return taken


def _new(connection: Connection, rows: Sequence[tuple[int, Row]], taken: Taken, refuse: Callable[[int, str], None]) -> list[Row]:
    """Return those rows that are not there yet and may come."""
    known = {_name(row): row for row in _found(connection, inbox.c.message_id, [row["message_id"] for _, row in rows])}
    by_key = [row["idempotency_key"] for _, row in rows if row["idempotency_key"] is not None]
    keys = {_key(row): _name(row) for row in _found(connection, inbox.c.idempotency_key, by_key)}
    new: list[Row] = []
    for number, row in rows:
        name, key = _name(row), _key(row) if row["idempotency_key"] is not None else None
        there = known.get(name)
        if there is not None:
            wanted = ("envelope", "reply") if row["reply"] is not None else ("envelope",)  # it was not answered yet when it was exported
            differs = [column for column in wanted if there[column] != row[column]]
            if differs:
                refuse(number, f"message {name[0]} is there, with another {differs[0]}; what is there was left")
            else:
                taken.present += 1
        elif key is not None and keys.get(key, name) != name:
            refuse(number, f"key: party {key[1]} has used it for another message, {keys[key][0]}; what is there was left")
        else:
            new.append(row)
            known[name] = row
            if key is not None:
                keys[key] = name
    return new


def _found(connection: Connection, column: Any, values: Sequence[str]) -> list[Mapping[str, Any]]:
    return [dict(row) for row in connection.execute(select(inbox).where(column.in_(values))).mappings()] if values else []


def _name(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["message_id"], row["address"]


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["idempotency_key"], row["party"]
