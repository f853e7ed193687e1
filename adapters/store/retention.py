"""Removes what the site's policy keeps no longer: a few rows at a time, between the group commits, one node at a time.

The journal is the inbox, and the inbox is what makes a second delivery harmless. So a row stays, whatever its age, while its
answer is still to come, and while anything as old as it is still in the outbox: that could be delivered once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred

from adapters.background import Background
from adapters.store.tables import inbox, milliseconds, outbox
from config.settings import Retention

_LOCK = 0x75697001  # see migrations
_FIRST_SECONDS = 60.0
"""The first sweep leaves the start-up alone."""


class Kind(StrEnum):
    """What is removed: requests of parties, messages among the cores, and messages that were given up."""

    JOURNAL = "journal"
    MESSAGES = "messages"
    DEAD = "dead"


Removed = dict[Kind, int]


_page = select(inbox.c.seq, inbox.c.type, inbox.c.received, inbox.c.pending).where(
    inbox.c.seq > bindparam("after")).order_by(inbox.c.seq).limit(bindparam("rows"))
_forget = delete(inbox).where(inbox.c.seq.in_(bindparam("numbers", expanding=True)))
_given_up = select(outbox.c.id).where(outbox.c.state == "dead", outbox.c.created < bindparam("before")).order_by(
    outbox.c.id).limit(bindparam("rows"))
_drop = delete(outbox).where(outbox.c.id.in_(bindparam("ids", expanding=True)))
_first = select(outbox.c.created).order_by(outbox.c.id).limit(1)
_undelivered = (_first.where(outbox.c.state == "pending"), _first.where(outbox.c.state == "sent"),
                # What a connector has taken is not in this inbox.
                _first.where(outbox.c.state == "dead", outbox.c.address.not_like("connector.%")))


class Sweeper(Background):
    """Sweeps every `policy.every` hours while it runs. `run` carries a function out on the database, in the store's own order.

    `requests` are the types of messages that parties send; `counted` is told the kind and the number of rows removed.
    """

    def __init__(self, *, reactor: Any, run: Callable[[Callable[[Connection], Any]], Deferred[Any]], utcnow: Callable[[], datetime],
                 policy: Retention, requests: Iterable[str], log: Any, counted: Callable[[str, int], None]) -> None:
        super().__init__(reactor)
        self._run = run
        self._utcnow = utcnow
        self._policy = policy
        self._requests = frozenset(requests)
        self._log = log
        self._counted = counted

    async def work(self) -> None:
        """Sweep, for the first time a minute from now. A stop ends it after the batch that is under way."""
        await self.pauses.wait(_FIRST_SECONDS)
        while not self.stopped:
            try:
                await self.sweep()
            except DBAPIError as error:  # the database's trouble; it will be there again
                self._log.error("retention: the sweep ended early", reason=type(error).__name__)
            except Exception as error:  # noqa: BLE001  # ours; the next sweep is not to be lost for it
                self._log.error("retention: the sweep failed", exc_info=error)
            await self.pauses.wait(self._policy.every * 3600)

    async def sweep(self) -> None:
        """Go once through everything, and say in one line what was removed. Raises what the database raises."""
        begun = self._utcnow()
        removed = {kind.value: 0 for kind in Kind}
        for batches in (_Journal(self._policy, self._requests, begun), _GivenUp(self._policy, begun)):
            while not self.stopped and (gone := await self._run(batches.next)) is not None:
                for kind, number in gone.items():
                    removed[kind] += number
                    self._counted(kind.value, number)
                await self.pauses.wait(self._policy.pause)
        self._log.info("retention: swept", seconds=round((self._utcnow() - begun).total_seconds(), 1), **removed)


class _Journal:
    """Walks through the inbox from its oldest row to the first that are too young, each row once."""

    def __init__(self, policy: Retention, requests: frozenset[str], now: datetime) -> None:
        self._rows = policy.rows
        self._requests = requests
        self._before = {Kind.JOURNAL: _age(policy.journal, now), Kind.MESSAGES: _age(policy.messages, now)}
        self._after = 0

    def next(self, connection: Connection) -> Removed | None:
        """Remove what is old among the next rows; None when there is nothing left to do, or another node is at it."""
        if not _alone(connection):
            return None
        rows = connection.execute(_page, {"after": self._after, "rows": self._rows}).all()
        if not any(row.received < max(self._before.values()) for row in rows):
            return None
        self._after = rows[-1].seq
        undelivered = min((time for query in _undelivered if (time := connection.execute(query).scalar()) is not None), default=None)
        gone: dict[Kind, list[int]] = {kind: [] for kind in self._before}
        for row in rows:
            kind = Kind.JOURNAL if row.type in self._requests else Kind.MESSAGES
            if not row.pending and row.received < self._before[kind] and (undelivered is None or row.received < undelivered):
                gone[kind].append(row.seq)
        if numbers := [number for of in gone.values() for number in of]:
            connection.execute(_forget, {"numbers": numbers})
        return {kind: len(of) for kind, of in gone.items()}


class _GivenUp:
    """Goes through the dead rows of the outbox, oldest first. Their age counts from when they were sent."""

    def __init__(self, policy: Retention, now: datetime) -> None:
        self._rows = policy.rows
        self._before = _age(policy.dead, now)

    def next(self, connection: Connection) -> Removed | None:
        """See `_Journal.next`."""
        if not _alone(connection):
            return None
        ids = connection.execute(_given_up, {"before": self._before, "rows": self._rows}).scalars().all()
        if not ids:
            return None
        connection.execute(_drop, {"ids": ids})
        return {Kind.DEAD: len(ids)}


def _age(days: int | None, now: datetime) -> int:
    """Return the time before which things go; 0 when they stay for ever."""
    return milliseconds(now - timedelta(days=days)) if days is not None else 0


def _alone(connection: Connection) -> bool:
    """Whether no other node is at it at this moment; until the end of this transaction none will be."""
    return connection.dialect.name != "postgresql" or bool(connection.execute(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar())
