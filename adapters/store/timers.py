"""Timers: rows that become outbox rows when they are due. From there the relay's promises hold for them too."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select
from twisted.internet.defer import Deferred

from adapters.store.jobs import Means, Outgoing
from adapters.store.sharing import place
from adapters.store.tables import Row, milliseconds, outbox, timer
from core.messages.envelope import Envelope

_log = logging.getLogger(__name__)

_PAGE = 500
_LONGEST_SLEEP = 10.0
"""Seconds. Timers are due by the wall clock, which may be set; so it is looked at again this often, and, where there are other
processes, the table too: one of them may have set a timer and died.
"""


class Timers:
    """Keeps one reactor call for the timer that is due next. `run` carries a function out in the store's own order. Each timer
    is fired by one process, whichever comes first.
    """

    def __init__(self, *, reactor: Any, means: Callable[[], Means], utcnow: Callable[[], datetime],
                 run: Callable[[Callable[[Connection], Any]], Deferred[Any]],
                 fired: Callable[[list[Outgoing]], None]) -> None:
        self._reactor = reactor
        self._means = means
        self._utcnow = utcnow
        self._run = run
        self._fired = fired
        self._next: int | None = None
        self._call: Any = None
        self._firing = False
        self._running = False

    def resume(self) -> None:
        """Begin to fire, first what fell due while nobody looked."""
        self._running = True
        self._fire()

    def stop(self) -> None:
        """Fire no more."""
        self._running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def look(self) -> None:
        """Fire what is due in the table, whoever set it."""
        if self._running and not self._firing:
            self._fire()

    def set(self, due: int | None) -> None:
        """Say that a timer has been committed that is due then (Unix milliseconds)."""
        if due is not None and (self._next is None or due < self._next):
            self._next = due
            self._sleep()

    def _sleep(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        shared = self._means().shared
        if self._running and not self._firing and (self._next is not None or shared):
            wait = (self._next - milliseconds(self._utcnow())) / 1000 if self._next is not None else _LONGEST_SLEEP
            self._call = self._reactor.callLater(min(max(wait, 0.0), _LONGEST_SLEEP), self._wake)

    def _wake(self) -> None:
        self._call = None
        if self._means().shared or (self._next is not None and self._next <= milliseconds(self._utcnow())):
            self._fire()
        else:
            self._sleep()

    def _fire(self) -> None:
        self._firing = True
        self._next = None
        self._run(self._move_due).addCallbacks(self._moved, self._failed)

    def _move_due(self, connection: Connection) -> tuple[list[Outgoing], int | None]:
        """Turn due timers into outbox rows: one transaction, so each fires once."""
        now, means = milliseconds(self._utcnow()), self._means()
        node = means.node()
        # What another process is just firing is skipped.
        due = connection.execute(select(timer).where(timer.c.due <= now).order_by(timer.c.due).limit(_PAGE)
                                 .with_for_update(skip_locked=True)).all()
        rows: list[Row] = []
        envelopes: list[Envelope[Any]] = []
        for row in due:
            envelope: Envelope[Any] = Envelope.from_json(row.envelope, means.model_of, attempt=row.attempts)
            envelopes.append(envelope)
            rows.append({"id": means.outbox_ids(), "address": row.address, "key": envelope.key, "type": envelope.type,
                         "envelope": row.envelope, "created": now, "attempts": row.attempts + 1, "not_before": 0, "last_error": None,
                         "state": "pending", "node": node, "handed": False})
            connection.execute(timer.delete().where(timer.c.owner == row.owner, timer.c.id == row.id))
        if rows:
            if means.shared:
                place(connection, node, means.outbox_ids, rows)
            connection.execute(insert(outbox), rows)
        moved = [Outgoing(row["id"], row["address"], envelope, now, envelope.attempt)
                 for row, envelope in zip(rows, envelopes, strict=True) if not row["handed"]]
        return moved, connection.execute(select(func.min(timer.c.due))).scalar()

    def _moved(self, result: tuple[list[Outgoing], int | None]) -> None:
        self._firing = False
        moved, due = result
        if due is not None:
            self._next = due if self._next is None else min(due, self._next)
        self._fired(moved)
        self._sleep()

    def _failed(self, failure: Any) -> None:
        _log.error("timers could not be fired: %s", type(failure.value).__name__)
        self._firing = False
        self._next = milliseconds(self._utcnow()) + 1000
        self._sleep()
