"""Work that goes on beside everything else, from a start to a stop."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from adapters.pauses import Pauses


class Background:
    """`work` is what subclasses do until `stopped`; they wait by `pauses`, which a stop cuts short."""

    def __init__(self, reactor: Any) -> None:
        self.pauses = Pauses(reactor)
        self.stopped = False
        self._ended: Deferred[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._ended = Deferred.fromCoroutine(self.work())

    async def stop(self) -> None:
        """End after what is just being done."""
        self.stopped = True
        self.pauses.end()
        if self._ended is not None:
            await self._ended

    async def work(self) -> None:
        """Go on until `stopped`."""
        raise NotImplementedError
