"""Processes that share a database: each is a node for one life, and what a dead one leaves goes over to another.

A node keeps a lease by the database's clock, so no two machines need to agree on the time. Its row is what it owns by: while
the row is there, everything in its name is its own; who takes over deletes the row in the transaction that takes the rest,
and every commit that writes in a node's name looks for the row (`hold`). By its own clock a node ends what it does for its
lease a little before the database could think so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import BigInteger, Connection, Engine, cast, delete, exists, func, insert, select, update
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from adapters.store.tables import login_slot, node, outbox

_log = logging.getLogger(__name__)

_SAFETY = 0.9
"""The part of a lease that a node makes use of."""

now_ms = cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
"""The database's own clock, in Unix milliseconds (PostgreSQL)."""


class NotANode(Exception):
    """The lease of this process has ended and another node has taken over what was its own; nothing was written."""


@dataclass(frozen=True, slots=True)
class Lease:
    """How long a node is believed to live without word of it, and how often it gives word; in seconds."""

    seconds: float = 4.0
    renewed: float = 1.0


USUAL = Lease()


class Membership(Protocol):
    """One process among those that use the database: the one we are in."""

    @property
    def id(self) -> str:
        """The node that this process is now."""

    @property
    def shared(self) -> bool:
        """Whether there can be other nodes."""

    @property
    def others(self) -> bool:
        """Whether there were others when last looked."""

    def owns(self) -> bool:
        """Whether what is in this node's name is still its own, as far as this process's clock tells."""

    async def join(self) -> None:
        """Become a node."""

    async def look(self) -> None:
        """Renew the lease, take over from the dead; become a new node when others have thought this one dead."""

    async def leave(self) -> None:
        """Be a node no more; what is left goes to the others."""


class Alone:
    """The only process of its database, as on SQLite, where a lock on the file sees to that."""

    id = ""
    shared = False
    others = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def owns(self) -> bool:
        """See `Membership`."""
        return True

    async def join(self) -> None:
        """See `Membership`. Everything is its own, also what came from a database with nodes. Raises DBAPIError."""
        with self._engine.begin() as connection:
            connection.execute(update(outbox).where(outbox.c.node != self.id).values(node=self.id, handed=False))

    async def look(self) -> None:
        """See `Membership`."""

    async def leave(self) -> None:
        """See `Membership`."""


class Nodes:
    """One of several on PostgreSQL. `looked` is told after each look that found this node alive, with whether it took something
    over; `lost` when it was not alive and has become a new one. It renews in a thread of its own: a commit that waits must not
    cost the lease.
    """

    shared = True

    def __init__(self, engine: Engine, *, reactor: Any, new_id: Callable[[], str], looked: Callable[[bool], None],
                 lost: Callable[[], None], lease: Lease = USUAL) -> None:
        self._engine = engine
        self._reactor = reactor
        self._new_id = new_id
        self._looked = looked
        self._lost = lost
        self._lease = lease
        self._until = reactor.seconds()
        self._thread = ThreadPool(1, 1, "lease")
        self._renewing = LoopingCall(self.look)
        self._renewing.clock = reactor
        self._failed = False
        self.id = new_id()
        self.others = False

    def owns(self) -> bool:
        """See `Membership`."""
        return bool(self._reactor.seconds() < self._until)

    async def join(self) -> None:
        """See `Membership`. Raises DBAPIError."""
        self._thread.start()
        await self._become(self.id)
        self._renewing.start(self._lease.renewed, now=False).addErrback(
            lambda failure: _log.error("the lease is not renewed any more", exc_info=failure.value))

    async def look(self) -> None:
        """See `Membership`. Errors of the database are logged: the next look may find it again, or the lease ends."""
        begun = self._reactor.seconds()
        try:
            result = await self._in_thread(renew, self._engine, self.id, self._lease)
            if result is None:
                _log.error("this node's lease ended and others have taken over: it goes on as a new one")
                await self._become(self._new_id())
                self._lost()
                return
        except Exception as error:  # noqa: BLE001  # whatever it is, it is tried again
            if not self._failed:
                _log.error("the lease could not be renewed: %s", type(error).__name__)  # a trace would show statements
            self._failed = True
            return
        self._failed = False
        self._until = begun + self._lease.seconds * _SAFETY
        self.others = result.others
        if result.messages:
            _log.warning("what nodes that ended had left was taken over: %d messages", result.messages)
        self._looked(result.taken)

    async def leave(self) -> None:
        """See `Membership`. Without the database, others find out by the lease."""
        if self._renewing.running:
            self._renewing.stop()
        if not self._thread.started:
            return
        self._until = self._reactor.seconds()
        try:
            await self._in_thread(leave, self._engine, self.id)
        except Exception as error:  # noqa: BLE001  # it is left in any case
            _log.warning("the lease could not be given back: %s", type(error).__name__)
        self._thread.stop()

    async def _become(self, new: str) -> None:
        begun = self._reactor.seconds()
        await self._in_thread(join, self._engine, new, self._lease)
        self.id = new
        self._until = begun + self._lease.seconds * _SAFETY

    def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._thread, work, *arguments)


@dataclass(frozen=True, slots=True)
class Look:
    """What a node saw when it renewed its lease: whether there are others, and what it took over."""

    others: bool
    taken: bool
    messages: int


def join(engine: Engine, name: str, lease: Lease) -> None:
    """Make a node, and give it what is in the name of nodes that never were here (it came from another database).

    Raises DBAPIError.
    """
    with engine.begin() as connection:
        connection.execute(insert(node).values(id=name, lease=now_ms + _ms(lease)))
        connection.execute(update(outbox).where(outbox.c.state != "dead", ~exists().where(node.c.id == outbox.c.node))
                           .values(node=name, handed=outbox.c.state == "pending"))


def renew(engine: Engine, name: str, lease: Lease) -> Look | None:
    """Renew a node's lease and take over from those whose lease has ended; None when others took over from this one.

    What is taken over is marked as handed, to be read in its order. Raises DBAPIError.
    """
    with engine.begin() as connection:
        if not connection.execute(update(node).where(node.c.id == name).values(lease=now_ms + _ms(lease))).rowcount:
            return None
        # Skipped is who is just renewing, committing or being taken over.
        dead = connection.execute(select(node.c.id).where(node.c.lease < now_ms, node.c.id != name)
                                  .with_for_update(skip_locked=True)).scalars().all()
        messages = 0
        if dead:
            connection.execute(update(outbox).where(outbox.c.state == "sent", outbox.c.node.in_(dead)).values(node=name))
            messages = connection.execute(update(outbox).where(outbox.c.state == "pending", outbox.c.node.in_(dead))
                                          .values(node=name, handed=True)).rowcount
            connection.execute(delete(login_slot).where(login_slot.c.node.in_(dead)))
            connection.execute(delete(node).where(node.c.id.in_(dead)))
        others = connection.execute(select(exists().where(node.c.id != name))).scalar_one()
    return Look(others, bool(dead), messages)


def leave(engine: Engine, name: str) -> None:
    """End a node's lease now. Raises DBAPIError."""
    with engine.begin() as connection:
        connection.execute(update(node).where(node.c.id == name).values(lease=0))
        connection.execute(delete(login_slot).where(login_slot.c.node == name))


def hold(connection: Connection, names: Collection[str]) -> frozenset[str]:
    """Keep these nodes from being taken over until the commit; returns which of them there are."""
    found = select(node.c.id).where(node.c.id.in_(names)).order_by(node.c.id).with_for_update(read=True, key_share=True)
    return frozenset(connection.execute(found).scalars())


def _ms(lease: Lease) -> int:
    return round(lease.seconds * 1000)
