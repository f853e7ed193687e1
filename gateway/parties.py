"""Who may ask, as the site says at this moment: a reload replaces all of it at once."""

from __future__ import annotations

from collections.abc import Iterable

from config.settings import Party


class Parties:
    """The parties by name: their secrets, the operations they may call (`*` for all), their rates in requests a second.

    `share` is this process's part of the rates, where several share the listeners.
    """

    def __init__(self, parties: Iterable[Party] = (), share: float = 1.0) -> None:
        self._share = share
        self.secrets: dict[str, str] = {}
        self.allowed: dict[str, frozenset[str]] = {}
        self.rates: dict[str, float] = {}
        self.replace(parties)

    def replace(self, parties: Iterable[Party]) -> None:
        """Put others in their place. Who is logged in and still there stays so."""
        listed = tuple(parties)
        for known in (self.secrets, self.allowed, self.rates):
            known.clear()
        self.secrets.update({p.name: p.secret.get_secret_value() for p in listed})
        self.allowed.update({p.name: frozenset(p.operations) for p in listed})
        self.rates.update({p.name: p.rate * self._share for p in listed if p.rate is not None})
