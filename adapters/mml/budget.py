"""Who may log in to a peer now: its login slots are few, and an account that is refused too often gets locked.

Both belong to the account, not to a connection, so everybody who uses the account shares one budget (`plugins.api.LoginBudget`).
`LocalBudget` is shared by the connectors of one process; processes with a common database have `adapters.store.logins`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plugins.api import Account, LoginBudget

SLOT_SECONDS = 1.0
"""How long to wait before asking again for a slot when all are taken."""
_LONGEST_LOCKOUT = 8
"""Times the first lock-out pause that the pause may grow to."""


def lockout_seconds(account: Account, lockouts: int) -> float:
    """Return how long nobody tries after one refusal too many, when there have been so many lock-outs in a row before."""
    longer: int = min(2 ** lockouts, _LONGEST_LOCKOUT)
    return account.lockout * longer


@dataclass(slots=True)
class _Book:
    taken: int = 0
    refusals: int = 0
    lockouts: int = 0
    locked_until: float = 0.0


class LocalBudget:
    """The budget of one process. `clock` has Twisted's `seconds`."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._books: dict[tuple[str, str], _Book] = {}

    async def take(self, account: Account, lost: Callable[[], None] | None = None) -> float:  # noqa: ARG002  # never lost here
        """See LoginBudget."""
        book = self._book(account)
        wait: float = book.locked_until - self._clock.seconds()
        if wait > 0:
            return wait
        if book.taken >= account.slots:
            return SLOT_SECONDS
        book.taken += 1
        return 0.0

    async def give_back(self, account: Account) -> None:
        """See LoginBudget."""
        book = self._book(account)
        book.taken = max(0, book.taken - 1)

    async def refused(self, account: Account) -> None:
        """See LoginBudget. After a lock-out one more refusal brings the next, which is twice as long, up to a bound."""
        book = self._book(account)
        book.refusals += 1
        if book.refusals >= account.attempts:
            book.locked_until = self._clock.seconds() + lockout_seconds(account, book.lockouts)
            book.lockouts += 1
            book.refusals = account.attempts - 1

    async def accepted(self, account: Account) -> None:
        """See LoginBudget."""
        book = self._book(account)
        book.refusals = book.lockouts = 0

    def _book(self, account: Account) -> _Book:
        return self._books.setdefault((account.peer, account.user), _Book())


__all__ = ["SLOT_SECONDS", "Account", "LocalBudget", "LoginBudget", "lockout_seconds"]
