"""Who has which number: reserving, allocating and releasing resources, race-free.

A resource is unallocated (or has no row at all), preOccupied, allocated or inUse. Two takers of one value meet at the
table's primary key, two takers of a pool at its cursor: the second waits for the first one's commit, then sees it taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, or_, select, update

# SQLite understands the same `on conflict do nothing`, so PostgreSQL's insert serves both.
from sqlalchemy.dialects.postgresql import insert

from core.columns import utc
from core.provisioning.catalog import Pool
from core.provisioning.tables import pool_cursor, reservation, resource
from core.unit_of_work import UnitOfWork


class ResourceState(StrEnum):
    """TMF639 resourceStatus in the words of the process. `quarantine` is for values that must rest before the next use."""

    UNALLOCATED = "unallocated"
    PRE_OCCUPIED = "preOccupied"
    ALLOCATED = "allocated"
    IN_USE = "inUse"
    QUARANTINE = "quarantine"


class ReservationState(StrEnum):
    """A reservation is held until it is allocated (an order takes it up), released or expired."""

    HELD = "held"
    ALLOCATED = "allocated"
    RELEASED = "released"
    EXPIRED = "expired"


def prepare(uow: UnitOfWork, pools: Mapping[str, Pool]) -> None:
    """Give every new pool its cursor; rows for values are made when they are taken."""
    for pool in pools.values():
        uow.execute(insert(pool_cursor).values(pool=pool.id, next=0).on_conflict_do_nothing())


def take(uow: UnitOfWork, characteristic: str, value: str, owner: str, *, pool: str | None = None,
         reserved: str | None = None, expires: datetime | None = None) -> bool:
    """Pre-occupy this value for `owner`; False when somebody else has it. `reserved` names a reservation it may come from."""
    row = {"pool": pool, "state": ResourceState.PRE_OCCUPIED, "owner": owner, "expires": expires}
    # Not by its row count: for an insert, PostgreSQL's driver is not asked for it.
    new = insert(resource).values(characteristic=characteristic, value=value, **row).on_conflict_do_nothing()
    if uow.execute(new.returning(resource.c.value)).first() is not None:
        return True
    free = _free(uow.now)
    if reserved is not None:
        free = or_(free, and_(resource.c.owner == reserved, resource.c.state == ResourceState.PRE_OCCUPIED))
    found = and_(resource.c.characteristic == characteristic, resource.c.value == value, free)
    return uow.execute(update(resource).where(found).values(row)).rowcount == 1


def take_next(uow: UnitOfWork, pool: Pool, owner: str, *, expires: datetime | None = None) -> str | None:
    """Pre-occupy a free value of the pool for `owner`: one never taken before, else a released one; None when exhausted."""
    cursor = (update(pool_cursor).where(pool_cursor.c.pool == pool.id, pool_cursor.c.next < pool.size)
              .values(next=pool_cursor.c.next + 1).returning(pool_cursor.c.next))
    while (following := uow.execute(cursor).scalar()) is not None:
        value = pool.value(following - 1)
        # A value that was ordered by name lies ahead of the cursor: it is passed once, and found below when it is free.
        if take(uow, pool.characteristic, value, owner, pool=pool.id, expires=expires):
            return value
    released = _released(uow, pool, lock=True)
    if released is not None and take(uow, pool.characteristic, released, owner, pool=pool.id, expires=expires):
        return released
    return None


def _released(uow: UnitOfWork, pool: Pool, *, lock: bool = False) -> str | None:
    """Return a value of the pool that was taken before and is free again.

    Asked in two steps, each of which the index answers: a pool may have millions of values, nearly all of them in use.
    """
    for free in (_unallocated, _lapsed(uow.now)):
        found = select(resource.c.value).where(resource.c.pool == pool.id, free).order_by(resource.c.value).limit(1)
        value = uow.execute(found.with_for_update(skip_locked=True) if lock else found).scalar()
        if value is not None:
            return str(value)
    return None


def move(uow: UnitOfWork, owner: str, state: ResourceState) -> None:
    """Bring everything `owner` has to `state`; what becomes unallocated has no owner any more."""
    changes: dict[str, object] = {"state": state, "expires": None}
    if state is ResourceState.UNALLOCATED:
        changes["owner"] = None
    uow.execute(update(resource).where(resource.c.owner == owner).values(changes))


def is_free(uow: UnitOfWork, characteristic: str, value: str) -> bool:
    """Whether nobody has this value now."""
    taken = select(resource.c.value).where(resource.c.characteristic == characteristic, resource.c.value == value,
                                           ~_free(uow.now))
    return uow.execute(taken).first() is None


def has_free(uow: UnitOfWork, pool: Pool) -> bool:
    """Whether the pool has a value for somebody now."""
    following = uow.execute(select(pool_cursor.c.next).where(pool_cursor.c.pool == pool.id)).scalar_one()
    return following < pool.size or _released(uow, pool) is not None


def hold(uow: UnitOfWork, reservation_id: str, expires: datetime) -> None:
    """Note a reservation. Its resources carry its id as their owner until an order takes them up."""
    uow.insert(reservation, id=reservation_id, state=ReservationState.HELD, expires=expires)


def is_held(uow: UnitOfWork, reservation_id: str) -> bool:
    """Whether the reservation can be taken up: read with the clock, so a late timer does not prolong it."""
    row = uow.execute(select(reservation.c.state, reservation.c.expires).where(reservation.c.id == reservation_id)
                      .with_for_update()).first()
    if row is None or row.state != ReservationState.HELD:
        return False
    return utc(row.expires) > uow.now


def reserved_values(uow: UnitOfWork, reservation_id: str) -> dict[str, str]:
    """Return what a reservation holds: characteristic to value."""
    held = select(resource.c.characteristic, resource.c.value).where(resource.c.owner == reservation_id)
    return {row.characteristic: row.value for row in uow.execute(held)}


def end_reservation(uow: UnitOfWork, reservation_id: str, state: ReservationState) -> None:
    """End a held reservation and release what no order took up; nothing happens to one that has ended before."""
    held = and_(reservation.c.id == reservation_id, reservation.c.state == ReservationState.HELD)
    if uow.execute(update(reservation).where(held).values(state=state)).rowcount:
        move(uow, reservation_id, ResourceState.UNALLOCATED)


_unallocated = resource.c.state == ResourceState.UNALLOCATED


def _lapsed(now: datetime) -> ColumnElement[bool]:
    return and_(resource.c.state == ResourceState.PRE_OCCUPIED, resource.c.expires.is_not(None), resource.c.expires <= now)


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(_unallocated, _lapsed(now))
