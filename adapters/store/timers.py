"""Timers: rows that become outbox rows when they are due. From there the relay's promises hold for them too."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select
from twisted.internet.defer import Deferred

from adapters.store.batch import Outgoing
from adapters.store.tables import milliseconds, outbox, timer
from core.messages.envelope import Envelope, ModelOf

_log = logging.getLogger(__name__)

_PAGE = 500
_LONGEST_SLEEP = 10.0
"""Seconds. Timers are due by the wall clock, which may be set; so it is looked at again this often."""


class Timers:
    """Keeps one reactor call for the timer that is due next. `run` carries a function out in the store's own order."""

    def __init__(self, *, reactor: Any, model_of: ModelOf, utcnow: Callable[[], datetime], outbox_id: Callable[[], str],
                 run: Callable[[Callable[[Connection], Any]], Deferred[Any]],
                 fired: Callable[[list[Outgoing]], None]) -> None:
        self._reactor = reactor
        self._model_of = model_of
        self._utcnow = utcnow
        self._outbox_id = outbox_id
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

    def set(self, due: int | None) -> None:
        """Say that a timer has been committed that is due then (Unix milliseconds)."""
        if due is not None and (self._next is None or due < self._next):
            self._next = due
            self._sleep()

    def _sleep(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._running and not self._firing and self._next is not None:
            wait = (self._next - milliseconds(self._utcnow())) / 1000
            self._call = self._reactor.callLater(min(max(wait, 0.0), _LONGEST_SLEEP), self._wake)

    def _wake(self) -> None:
        self._call = None
        if self._next is not None and self._next <= milliseconds(self._utcnow()):
            self._fire()
        else:
            self._sleep()

    def _fire(self) -> None:
        self._firing = True
        self._next = None
        self._run(self._move_due).addCallbacks(self._moved, self._failed)

    def _move_due(self, connection: Connection) -> tuple[list[Outgoing], int | None]:
        """Turn due timers into outbox rows: one transaction, so each fires once."""
        now = milliseconds(self._utcnow())
        due = connection.execute(select(timer).where(timer.c.due <= now).order_by(timer.c.due).limit(_PAGE)).all()
        moved: list[Outgoing] = []
        for row in due:
            envelope: Envelope[Any] = Envelope.from_json(row.envelope, self._model_of)
            outgoing = Outgoing(self._outbox_id(), row.address, envelope, now)
            moved.append(outgoing)
            connection.execute(insert(outbox).values(
                id=outgoing.id, address=row.address, key=envelope.key, type=envelope.type, envelope=row.envelope, created=now,
                attempts=1, not_before=0, last_error=None, state="pending"))
            connection.execute(timer.delete().where(timer.c.owner == row.owner, timer.c.id == row.id))
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
