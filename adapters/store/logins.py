"""The login budget of several processes (`plugins.api.LoginBudget`), kept in their database: a slot is held in a node's name.

A node that dies frees its slots when it is taken over. One that was only thought dead takes its slots again when it notices, and
gives up the sessions for which there is none any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from twisted.internet.defer import Deferred

from adapters.mml.budget import SLOT_SECONDS, lockout_seconds
from adapters.store.nodes import Membership, NotANode, hold, now_ms
from adapters.store.sharing import lock
from adapters.store.tables import login_account, login_slot
from plugins.api import Account

_log = logging.getLogger(__name__)


class SharedLogins:
    """`run` carries a function out in a transaction of the store's (PostgreSQL). Times are the database's."""

    def __init__(self, *, run: Callable[[Callable[[Connection], Any]], Deferred[Any]], node: Membership,
                 new_id: Callable[[], str]) -> None:
        self._run = run
        self._node = node
        self._new_id = new_id
        self._held: dict[Account, list[tuple[str, Callable[[], None] | None]]] = {}
        self._freed: list[str] = []

    async def take(self, account: Account, lost: Callable[[], None] | None = None) -> float:
        """See `LoginBudget`. Without the database nobody logs in: who knows what the others have."""
        slot, freed = self._new_id(), list(self._freed)

        def work(connection: Connection) -> float:
            return _take(connection, account, slot, self._node.id, freed)

        try:
            wait: float = await self._run(work)
        except Exception as error:  # noqa: BLE001  # whatever it is, no slot was given
            _log.warning("no login slot can be asked for: %s", type(error).__name__)
            return SLOT_SECONDS
        self._freed = [one for one in self._freed if one not in freed]
        if not wait:
            self._held.setdefault(account, []).append((slot, lost))
        return wait

    async def give_back(self, account: Account) -> None:
        """See `LoginBudget`. What cannot be given back now is with the next slot that is taken."""
        held = self._held.get(account)
        if not held:
            return
        slot, _ = held.pop(0)
        self._freed.append(slot)
        if await self._noted(lambda c: c.execute(delete(login_slot).where(login_slot.c.id == slot))):
            self._freed.remove(slot)

    async def refused(self, account: Account) -> None:
        """See `LoginBudget`."""
        await self._noted(lambda c: _refused(c, account))

    async def accepted(self, account: Account) -> None:
        """See `LoginBudget`."""
        await self._noted(lambda c: c.execute(update(login_account).where(*_is(login_account, account))
                                              .values(refusals=0, lockouts=0)))

    async def lost(self) -> None:
        """Others have taken this node for dead, and its slots: take them again, or give up the sessions."""
        before, self._held = self._held, {}
        for account, held in before.items():
            for _, given_up in held:
                if await self.take(account, given_up) and given_up is not None:
                    given_up()

    async def _noted(self, work: Callable[[Connection], Any]) -> bool:
        try:
            await self._run(work)
        except Exception as error:  # noqa: BLE001  # a session must not end because it could not be noted
            _log.warning("a login could not be noted: %s", type(error).__name__)
            return False
        return True


def _take(connection: Connection, account: Account, slot: str, node: str, freed: list[str]) -> float:
    lock(connection, (f"login {account.peer} {account.user}",))
    if node not in hold(connection, (node,)):
        raise NotANode
    if freed:
        connection.execute(delete(login_slot).where(login_slot.c.id.in_(freed)))
    until = connection.execute(select(login_account.c.locked_until - now_ms).where(*_is(login_account, account))).scalar()
    if until is not None and until > 0:
        return float(until) / 1000
    counted = _is(login_slot, account) if not account.apiece else (*_is(login_slot, account), login_slot.c.node == node)
    taken = connection.execute(select(func.count()).select_from(login_slot).where(*counted)).scalar_one()
    if taken >= account.slots:
        return SLOT_SECONDS
    connection.execute(insert(login_slot).values(id=slot, peer=account.peer, account=account.user, node=node))
    return 0.0


def _refused(connection: Connection, account: Account) -> None:
    lock(connection, (f"login {account.peer} {account.user}",))
    known = connection.execute(select(login_account).where(*_is(login_account, account))).first()
    refusals, lockouts = (known.refusals + 1, known.lockouts) if known is not None else (1, 0)
    changes: dict[str, Any] = {"refusals": refusals, "lockouts": lockouts}
    if refusals >= account.attempts:
        pause = round(lockout_seconds(account, lockouts) * 1000)
        changes = {"refusals": account.attempts - 1, "lockouts": lockouts + 1, "locked_until": now_ms + pause}
    if known is None:
        connection.execute(insert(login_account).values(**{"peer": account.peer, "account": account.user, "locked_until": 0, **changes}))
    else:
        connection.execute(update(login_account).where(*_is(login_account, account)).values(changes))


def _is(table: Any, account: Account) -> tuple[Any, Any]:
    return table.c.peer == account.peer, table.c.account == account.user
