"""What the transactions of several processes owe each other: locks in one order, and messages of a key at one node.

PostgreSQL only; on SQLite there is one process and one transaction at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from sqlalchemy import Connection, bindparam, func, or_, select

from adapters.store.nodes import NotANode, hold
from adapters.store.tables import Row, outbox
from core.ids import TimeOrderedIds

_lanes = select(outbox.c.address, outbox.c.key, outbox.c.node, func.max(outbox.c.id).label("last")).where(
    outbox.c.key.in_(bindparam("keys", expanding=True)), outbox.c.state == "pending",
    or_(outbox.c.node != bindparam("me"), outbox.c.handed)).group_by(outbox.c.address, outbox.c.key, outbox.c.node)


def lock(connection: Connection, names: Iterable[str]) -> None:
    """Wait for and keep out every other transaction that locks one of these names, until the commit.

    All are taken at once and in one order, so that two transactions never wait for each other.
    """
    numbers = sorted({int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True) for name in names})
    if numbers:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(n) FROM unnest(%s::bigint[]) AS n", (numbers,))


def place(connection: Connection, me: str, ids: TimeOrderedIds, rows: Sequence[Row]) -> None:
    """Give new outbox rows, in their order, their `id`, `node`, `handed` and `attempts`.

    They are this node's own, except where earlier messages of the same address and key still wait in another node's name (or
    wait to be read in ours): they join those, for only so can they be relayed in order. What this node has yet to read counts
    no try. Raises NotANode when this one is taken for dead.
    """
    nodes: frozenset[str] = frozenset()
    while True:
        waiting = {}
        if keys := {row["key"] for row in rows if row["key"]}:
            for lane in connection.execute(_lanes, {"keys": list(keys), "me": me}):
                waiting[lane.address, lane.key] = lane.node
                ids.pass_by(lane.last)
        wanted = {me, *waiting.values()}
        nodes = nodes | hold(connection, wanted - nodes)
        if me not in nodes:
            raise NotANode
        if wanted <= nodes:
            break  # else one was taken over just now: its messages wait elsewhere
    for row in rows:
        joined = waiting.get((row["address"], row["key"]))
        row.update(id=ids(), node=joined or me, handed=joined is not None, attempts=row["attempts"] - (joined is not None))
