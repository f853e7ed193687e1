"""Messages of one key one after the other, those of different keys side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred

Work = Callable[[], Coroutine[Any, Any, None]]


class Lanes:
    """`failed` is told of an error in a piece of work; the lane goes on with the next."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._lanes: dict[str, deque[Work]] = {}
        self._running = 0
        self._idle: list[Deferred[None]] = []

    def add(self, key: str, work: Work) -> None:
        """Do `work` when everything added before under the same key has ended. Without a key, at once."""
        if not key:
            self._begin(self._run(work))
            return
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append(work)
            return
        self._lanes[key] = deque([work])
        self._begin(self._follow(key))

    async def idle(self) -> None:
        """Return when nothing is being done."""
        while self._running:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._running += 1
        Deferred.fromCoroutine(coroutine).addBoth(lambda _: self._ended())

    def _ended(self) -> None:
        self._running -= 1
        if not self._running:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)

    async def _follow(self, key: str) -> None:
        lane = self._lanes[key]
        while lane:
            await self._run(lane[0])
            lane.popleft()
        del self._lanes[key]

    async def _run(self, work: Work) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # one message must not hold up those behind it
            self._failed(error)
