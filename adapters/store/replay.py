"""Messages sent again: those that were given up, and requests from an archive that a restored database does not know.

Each becomes a timer that is due at once. Whatever process fires timers puts it into its outbox like any other message, and since it
is the same message, with the same id, every core takes it once however often it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, delete, func, select
from twisted.internet.defer import Deferred

from adapters.background import Background
from adapters.store.engine import READ_ONLY
from adapters.store.inserting import insert_rows
from adapters.store.journal import BadLine, parsed
from adapters.store.tables import Row, instant, milliseconds, outbox, timer

OWNER = "replay"
"""The owner of these timers; no core has that name."""

_PAGE = 500
_MILLISECOND = timedelta(milliseconds=1)
_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Dead:
    """A message that was given up: its outbox id, when it was sent, and the reason it was not taken."""

    id: str
    address: str
    type: str
    message_id: str
    party: str
    created: datetime
    attempts: int
    reason: str
    envelope: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the dead: by outbox or message id, receiver, type, party, and sent from `since` on and before `until`."""

    ids: Collection[str] = ()
    address: str | None = None
    type: str | None = None
    party: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[Any]:
        """Return what of it the database can tell."""
        found: list[Any] = [column == value for column, value in ((outbox.c.address, self.address), (outbox.c.type, self.type))
                            if value is not None]
        if self.since is not None:
            found.append(outbox.c.created >= milliseconds(self.since))
        if self.until is not None:
            found.append(outbox.c.created < milliseconds(self.until))
        return found

    def has(self, message: Dead) -> bool:
        """Tell the rest."""
        return (not self.ids or message.id in self.ids or message.message_id in self.ids) and self.party in {None, message.party}


def revive(engine: Engine, wanted: Wanted, now: datetime, told: Callable[[Dead], None], *, send: bool) -> int:
    """Tell each of the wanted, oldest first, and with `send` have them delivered again; returns how many. Raises DBAPIError.

    A message is either still dead or on its way. Some hundred go in one transaction, so that nobody waits long for it.
    """
    count, after = 0, ""
    query = select(outbox).where(outbox.c.state == "dead", *wanted.conditions()).order_by(outbox.c.id).limit(_PAGE)
    while True:
        with _transaction(engine, writing=send) as connection:
            rows = connection.execute((query.with_for_update() if send else query).where(outbox.c.id > after)).all()
            found = [message for row in rows if (message := _readable(row)) is not None and wanted.has(message)]
            if send and found:
                # Named by the outbox row: one event may have died at several receivers.
                _set(connection, [_timer(one.id, one.address, one.envelope, now, one.attempts) for one in found])
                connection.execute(delete(outbox).where(outbox.c.id.in_([one.id for one in found])))
        for one in found:
            told(one)
        count += len(found)
        if len(rows) < _PAGE:
            return count
        after = rows[-1].id


def _readable(row: Any) -> Dead | None:
    """Return a dead row as it is told; None when it died because nobody can read it."""
    try:
        head = orjson.loads(row.envelope)["head"]
        return Dead(row.id, row.address, row.type, head["messageId"], head["party"], instant(row.created), row.attempts,
                    row.last_error or "", row.envelope)
    except (ValueError, KeyError, TypeError):
        return None


def resend(engine: Engine, lines: Iterable[bytes], addresses: Collection[str], now: datetime, told: Callable[[Row], None],
           refused: Callable[[int, str], None], *, send: bool) -> int:
    """Have the requests among exported lines handled (see journal.py), in their order; returns how many. What the cores told each
    other about them is passed over: it comes about anew. `refused` hears of bad lines by their numbers from 1. Raises DBAPIError.
    """
    requests = _requests(lines, addresses, refused)
    count = 0
    while page := list(islice(requests, _PAGE)):
        if send:
            with _transaction(engine, writing=True) as connection:
                # A millisecond apart, so that they are fired in this order.
                _set(connection, [_timer(row["message_id"], row["address"], row["envelope"], now + (count + n) * _MILLISECOND)
                                  for n, row in enumerate(page)])
        for row in page:
            told(row)
        count += len(page)
    return count


def _requests(lines: Iterable[bytes], addresses: Collection[str], refused: Callable[[int, str], None]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        try:
            row = parsed(line)
        except BadLine as error:
            refused(number, str(error))
            continue
        if orjson.loads(row["envelope"])["head"].get("causationId") is not None:
            continue
        if row["address"] in addresses:
            yield row
        else:
            refused(number, f"address: there is no core {row['address']}; there are {', '.join(sorted(addresses))}")


def _transaction(engine: Engine, *, writing: bool) -> AbstractContextManager[Connection]:
    return engine.execution_options(**{READ_ONLY: not writing}).begin()


def _timer(name: str, address: str, envelope: str, due: datetime, attempts: int = 0) -> Row:
    return {"owner": OWNER, "id": name, "due": milliseconds(due), "address": address, "envelope": envelope, "attempts": attempts}


def _set(connection: Connection, rows: list[Row]) -> None:
    insert_rows(connection, timer, rows, replace=True)


class Watch(Background):
    """Notices what another process set to be sent again, within some seconds. `fire` is told when the first of it is due."""

    def __init__(self, *, reactor: Any, run: Callable[[Callable[[Connection], Any]], Deferred[Any]], fire: Callable[[int], None],
                 log: Any) -> None:
        super().__init__(reactor)
        self._run = run
        self._fire = fire
        self._log = log

    async def work(self) -> None:
        """Look, again and again."""
        first = select(func.min(timer.c.due)).where(timer.c.owner == OWNER)
        while not self.stopped:
            try:
                due = await self._run(lambda c: c.execute(first).scalar())
            except Exception as error:  # noqa: BLE001  # the database's trouble; it is asked again
                self._log.error("what is to be sent again could not be looked for", reason=type(error).__name__)
            else:
                if due is not None:
                    self._fire(due)
            await self.pauses.wait(_LOOK_SECONDS)
