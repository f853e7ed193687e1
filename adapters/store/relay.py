"""Carries the outbox to the bus: in order for each address and key, side by side otherwise, again when not taken."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from twisted.internet.defer import Deferred

from adapters.store.jobs import Outgoing, Upkeep
from adapters.store.nodes import Membership
from adapters.store.tables import Row, milliseconds, outbox
from core.bus import Bus, NoSuchAddress, TryAgain
from core.ids import TimeOrderedIds
from core.messages.envelope import Envelope, ModelOf
from core.messages.failures import Failure

_log = logging.getLogger(__name__)

_pending = select(outbox).where(outbox.c.state == "pending").order_by(outbox.c.id)
_handed = _pending.where(outbox.c.node == bindparam("of"), outbox.c.handed).limit(bindparam("most"))
_read = update(outbox).values(handed=False, attempts=outbox.c.attempts + 1)


@dataclass(frozen=True, slots=True)
class Retrying:
    """How often and how long: `first` and `longest` are seconds, doubled each time, with full jitter below.

    `attempts` ends only what fails without a reason that time can heal; who says `TryAgain` is asked for ever.
    """

    first: float = 0.2
    longest: float = 60.0
    attempts: int = 10

    def delay(self, attempt: int, at_least: float | None) -> float:
        """Return how long to wait before the try after number `attempt` (from 0)."""
        ceiling = min(self.longest, self.first * 2.0 ** min(attempt, 30))
        return max(at_least or 0.0, random.uniform(self.first / 4, ceiling))  # noqa: S311  # spreads load, hides nothing


USUAL = Retrying()


@dataclass(slots=True)
class _Lane:
    """Messages of one address and key, the first of which is under way or waits for its next try."""

    waiting: deque[Outgoing] = field(default_factory=deque)
    begun: bool = False


@dataclass(slots=True)
class _Address:
    in_flight: int = 0
    depth: int = 0
    pumping: bool = False
    ready: deque[tuple[str, str]] = field(default_factory=deque)


class Relay:
    """`upkeep` gives what is recorded in the next commit, and sees to it that there is one soon.

    `read` runs a function on the database in the store's own order. At most `capacity` messages are held in memory; the
    rest stays in the table and is read page by page as room comes. `in_flight` bounds the deliveries under way to an address.

    Only what is in the name of this process's node is relayed, and only while that owns it. Messages are handed over in the table, to
    be read at the next `look`; `ids` makes the ids of new ones, which must be greater than those. `kept` tells how a message stays in the
    table although the bus has it (see claims.py); None when it goes.
    """

    def __init__(self, *, reactor: Any, model_of: ModelOf, utcnow: Callable[[], datetime],
                 read: Callable[[Callable[[Connection], Any]], Deferred[Any]], upkeep: Callable[[], Upkeep],
                 node: Membership, ids: Callable[[], TimeOrderedIds], kept: Callable[[Outgoing], Row | None] = lambda _: None,
                 retrying: Retrying = USUAL, capacity: int = 10_000, in_flight: int = 256) -> None:
        self._node = node
        self._ids = ids
        self._kept = kept
        self._life = 0
        self._reactor = reactor
        self._model_of = model_of
        self._utcnow = utcnow
        self._read = read
        self._upkeep = upkeep
        self._retrying = retrying
        self._capacity = capacity
        self._limit = in_flight
        self._bus: Bus | None = None
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._addresses: dict[str, _Address] = {}
        self._delayed: set[Any] = set()
        self._held = 0
        self._under_way = 0
        self._cursor = ""
        self._behind = True  # until the table has been read to its end
        self._reading = False
        self._read_again = False
        self._idle: list[Deferred[None]] = []

    def resume(self, bus: Bus) -> None:
        """Begin to deliver what is in the table and what is added."""
        self._bus = bus
        self._read_page()

    def add(self, rows: Sequence[Outgoing]) -> None:
        """Deliver rows that have just been committed, in this order."""
        for row in rows:
            if self._behind or self._held >= self._capacity:
                self._behind = True  # order: once one stays in the table, all after it do
                continue
            self._take(row)
        if self._behind and self._bus is not None:
            self._read_page()

    def look(self) -> None:
        """Read what has been handed over, and go on with what was held up while nobody knew whose it was."""
        self._read_page()
        for address in self._addresses.values():
            self._pump(address)

    def forget(self) -> None:
        """Everything has been taken over: drop it all. What is under way ends, and nothing is noted of it."""
        self._life += 1
        for call in self._delayed:
            call.cancel()
        self._delayed.clear()
        self._lanes.clear()
        self._addresses.clear()
        self._held = 0
        self._behind = False  # a new node has nothing in the table

    async def drain(self) -> None:
        """Begin no further delivery; return when those under way have ended."""
        self._bus = None
        for call in self._delayed:
            call.cancel()
        self._delayed.clear()
        if self._under_way:
            done: Deferred[None] = Deferred()
            self._idle.append(done)
            await done

    def _take(self, row: Outgoing) -> None:
        self._held += 1
        self._cursor = max(self._cursor, row.id)
        # Messages without a key have nobody to be in order with.
        name = (row.to, row.envelope.key or "\n" + row.id)
        lane = self._lanes.get(name)
        address = self._addresses.get(row.to)
        if address is None:
            address = self._addresses[row.to] = _Address()
        address.depth += 1
        if lane is None:
            lane = self._lanes[name] = _Lane()
        lane.waiting.append(row)
        if not lane.begun:
            lane.begun = True
            self._begin(name, lane)

    def _begin(self, name: tuple[str, str], lane: _Lane) -> None:
        """Try the first message of a lane, now or when it is due."""
        row = lane.waiting[0]
        wait = (row.not_before - milliseconds(self._utcnow())) / 1000 if row.not_before else 0.0
        if wait > 0:
            # A clock that was set back must not hold a message for longer than any back-off could.
            self._later(min(wait, self._retrying.longest), name)
        else:
            self._ready(name)

    def _later(self, seconds: float, name: tuple[str, str]) -> None:
        def due() -> None:
            self._delayed.discard(call)
            self._ready(name)

        call = self._reactor.callLater(seconds, due)
        self._delayed.add(call)

    def _ready(self, name: tuple[str, str]) -> None:
        address = self._addresses[name[0]]
        address.ready.append(name)
        self._pump(address)

    def _pump(self, address: _Address) -> None:
        if address.pumping:  # a delivery that ended at once: the loop it was begun in goes on; one in another is too deep for the stack
            return
        address.pumping = True
        while self._bus is not None and address.ready and address.in_flight < self._limit and self._node.owns():
            name = address.ready.popleft()
            address.in_flight += 1
            self._under_way += 1
            Deferred.fromCoroutine(self._deliver(self._bus, name, address)).addErrback(
                lambda failure: _log.error("the relay failed on a message", exc_info=failure.value))
        address.pumping = False

    async def _deliver(self, bus: Bus, name: tuple[str, str], address: _Address) -> None:
        lane = self._lanes[name]
        row = lane.waiting[0]
        life = self._life
        failed: Exception | None = None
        try:
            await bus.send(row.to, row.envelope)
        except Exception as error:  # noqa: BLE001  # whatever a receiver raises, it has not taken the message
            failed = error
        finally:
            address.in_flight -= 1
            self._under_way -= 1
        if life == self._life:  # else it is another node's by now, which finds out for itself
            self._note(name, lane, failed)
            if lane.waiting[0] is row:
                self._next(name, lane, address)
            self._pump(address)
        if not self._under_way:
            idle, self._idle = self._idle, []
            for done in idle:
                done.callback(None)

    def _note(self, name: tuple[str, str], lane: _Lane, failed: Exception | None) -> None:
        """Have it recorded what came of the first message of a lane."""
        row = lane.waiting[0]
        if failed is None:
            kept = self._kept(row)
            if kept is None:
                self._upkeep().taken.append(row.id)
            else:
                self._upkeep().sent.append(kept)
        elif isinstance(failed, Failure):
            self._bury(row, str(failed))
        elif isinstance(failed, TryAgain | NoSuchAddress):
            self._retry(name, lane, str(failed) or type(failed).__name__, getattr(failed, "delay", None))
        elif row.attempt + 1 >= self._retrying.attempts:
            self._bury(row, f"{type(failed).__name__} after {row.attempt + 1} attempts")
        else:
            self._retry(name, lane, type(failed).__name__, None)

    def _next(self, name: tuple[str, str], lane: _Lane, address: _Address) -> None:
        lane.waiting.popleft()
        address.depth -= 1
        self._held -= 1
        if lane.waiting:
            self._begin(name, lane)
        else:
            del self._lanes[name]
        if self._behind and self._held <= self._capacity // 2:
            self._read_page()

    def _bury(self, row: Outgoing, reason: str) -> None:
        _log.error("message %s (%s) for %s is dead: %s", row.envelope.message_id, row.envelope.type, row.to, reason)
        self._record(row, row.attempt + 1, 0, reason, "dead")

    def _retry(self, name: tuple[str, str], lane: _Lane, reason: str, at_least: float | None) -> None:
        row = lane.waiting[0]
        delay = self._retrying.delay(row.attempt, at_least)
        not_before = milliseconds(self._utcnow()) + round(delay * 1000)
        # Two tries are counted: the one that ended and the one to come, which must be on the disk before it begins.
        self._record(row, row.attempt + 2, not_before, reason, "pending")
        lane.waiting[0] = Outgoing(row.id, row.to, _tried(row.envelope, row.attempt + 1), row.created, row.attempt + 1, not_before)
        life = self._life
        self._upkeep().after.append(lambda: self._begin(name, lane) if life == self._life else None)

    def _record(self, row: Outgoing, attempts: int, not_before: int, reason: str, state: str) -> None:
        self._upkeep().retries.append({"row": row.id, "new_attempts": attempts, "new_not_before": not_before,
                                       "new_last_error": reason[:500], "new_state": state})

    def _read_page(self) -> None:
        if self._reading or self._bus is None:
            self._read_again = self._reading  # what was just handed over may not be in what is being read
            return
        room = self._capacity - self._held
        if room <= 0:
            self._behind = True
            return
        self._reading = True
        cursor, behind, life, node = self._cursor, self._behind, self._life, self._node.id

        def read(connection: Connection) -> list[Any]:
            return read_rows(connection, node, cursor, room, behind=behind, ids=self._ids())

        def got(rows: list[Any]) -> None:
            self._reading = False
            if life != self._life:
                return
            self._behind = len(rows) == room
            for row in rows:
                self._take_row(row)
            again, self._read_again = self._read_again, False
            if again or (self._behind and self._held <= self._capacity // 2):
                self._read_page()

        def failed(failure: Any) -> None:
            self._reading = False
            _log.error("the outbox could not be read: %s", type(failure.value).__name__)
            call = self._reactor.callLater(1.0, again)
            self._delayed.add(call)

        def again() -> None:
            self._delayed = {call for call in self._delayed if call.active()}
            self._read_page()

        self._read(read).addCallbacks(got, failed)

    def _take_row(self, row: Any) -> None:
        try:
            envelope = Envelope.from_json(row.envelope, self._model_of, attempt=row.attempts)
        except (ValueError, KeyError) as error:
            self._cursor = row.id
            _log.error("message in outbox row %s cannot be read any more: %s", row.id, type(error).__name__)  # its text quotes the body
            self._upkeep().retries.append({"row": row.id, "new_attempts": row.attempts, "new_not_before": 0,
                                           "new_last_error": f"cannot be read: {type(error).__name__}", "new_state": "dead"})
            return
        self._take(Outgoing(row.id, row.address, envelope, row.created, row.attempts, row.not_before))

    def queues(self) -> list[tuple[str, int, int]]:
        """Return for each address with waiting messages: address, how many are in memory, when the oldest was made."""
        oldest: dict[str, int] = {}
        for (to, _), lane in self._lanes.items():
            created = lane.waiting[0].created
            oldest[to] = min(created, oldest.get(to, created))
        return [(to, self._addresses[to].depth, created) for to, created in sorted(oldest.items())]


def read_rows(connection: Connection, node: str, cursor: str, room: int, *, behind: bool, ids: TimeOrderedIds) -> list[Any]:
    """Read, in order, what has been handed to `node` and, when it is behind, what it has left in the table itself.

    What is handed over and read counts a try more. Raises DBAPIError.
    """
    handed_over = _handed if not behind else _handed.where(outbox.c.id <= cursor)
    rows = list(connection.execute(handed_over, {"of": node, "most": room}))
    if behind and len(rows) < room:
        rows += connection.execute(_pending.where(outbox.c.node == node, outbox.c.id > cursor).limit(room - len(rows)))
    handed = [row.id for row in rows if row.handed]
    if handed:
        ids.pass_by(max(handed))
        connection.execute(_read.where(outbox.c.id.in_(handed), outbox.c.node == node))
    return rows


def _tried(envelope: Envelope[Any], attempt: int) -> Envelope[Any]:
    return replace(envelope, attempt=attempt)
