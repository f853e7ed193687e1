"""What has come of requests taken before, as the inbox has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from adapters.store.jobs import Outcome, Waiting
from adapters.store.reading import all_rows, among, listed
from adapters.store.tables import inbox
from core.messages.envelope import ModelOf
from core.messages.failures import Failure, Fault

_KNOWN = (inbox.c.address, inbox.c.message_id, inbox.c.party, inbox.c.idempotency_key, inbox.c.type, inbox.c.envelope,
          inbox.c.pending, inbox.c.reply_type, inbox.c.reply)


@cache
def _select(column: ColumnElement[str], dialect: str) -> Select[Any]:
    return select(*_KNOWN).where(among(column, "names", dialect))


def by_message(connection: Connection, ids: Iterable[str]) -> list[Any]:
    """Return the inbox's rows of these messages, at whatever address."""
    return all_rows(connection, _select(inbox.c.message_id, connection.dialect.name), {"names": listed(ids)})


def by_key(connection: Connection, keys: Iterable[str]) -> list[Any]:
    """Return the inbox's rows with these idempotency keys, of whatever party."""
    return all_rows(connection, _select(inbox.c.idempotency_key, connection.dialect.name), {"names": listed(keys)})


_LOOK_UP = 500
"""How many requests one statement looks for."""


def look_for_answers(connection: Connection, model_of: ModelOf, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Outcome]:
    """Find which of these requests (address, message id) have got the answer that was to come later, wherever it was given."""
    found: dict[tuple[str, str], Outcome] = {}
    for start in range(0, len(asked), _LOOK_UP):
        some = asked[start:start + _LOOK_UP]
        wanted = set(some)
        for row in by_message(connection, (message_id for _, message_id in some)):
            if (row.address, row.message_id) in wanted and not row.pending:
                found[row.address, row.message_id] = stored(model_of, row)
    return found


def stored(model_of: ModelOf, row: Any) -> Outcome:
    """Return what came of a request, from its row in the inbox."""
    if row.pending:
        return Waiting(row.address, row.message_id)
    if not row.reply_type:
        return None
    reply = model_of(row.reply_type).model_validate_json(row.reply)
    return Failure.of(reply) if isinstance(reply, Fault) else reply
