"""The order in which the parts start, drain and stop, and how long each may take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, DeferredLock
from twisted.internet.defer import TimeoutError as TwistedTimeoutError
from twisted.internet.task import LoopingCall

from adapters.background import Background
from config.documents import Document
from core.bus import Bus
from gateway.admission import Admission
from gateway.parts import Parts
from gateway.sessions import Sessions
from gateway.status import Status
from plugins.api import Connector, Service

_SWEEP_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.02


class StoreLike(Protocol):
    """The part of the store that starts and stops."""

    async def start(self, bus: Bus) -> None:
        """Open it, and let the bus bring the cores their messages."""

    async def resume(self) -> None:
        """Deliver what an earlier run left."""

    async def drain(self) -> None:
        """Deliver nothing more; return when everything begun is committed."""

    async def stop(self) -> None:
        """Close it."""


class Desk(Protocol):
    """What takes the elements' alarms."""

    async def drain(self) -> None:
        """Take no more; return when what was taken is handed over."""

    async def stop(self) -> None:
        """Hand nothing more over."""


class Services:
    """All running parts. Inside out when starting, outside in when stopping: nobody is let in before there is an answer,
    and what was let in is answered before anything it needs goes away. `main` is uip.yaml, where it says what cannot be had.
    """

    def __init__(self, *, reactor: Any, log: Any, store: StoreLike, bus: Bus, parts: Parts, console: Service, sessions: Sessions,
                 admission: Admission, status: Status, alarms: Desk, drain_timeout: float, main: Document,
                 every_second: Sequence[Callable[[], None]] = (), background: Sequence[Background] = ()) -> None:
        self._reactor = reactor
        self._log = log
        self._store = store
        self._bus = bus
        self._parts = parts
        self._console = console
        self._admission = admission
        self._status = status
        self._alarms = alarms
        self._drain_timeout = drain_timeout
        self._background = background
        self._main = main
        self._stopping = DeferredLock()
        self._sweeps = [LoopingCall(work) for work in (sessions.sweep, *every_second)]
        for sweep in self._sweeps:
            sweep.clock = reactor

    async def start(self) -> None:
        """Start everything. Raises SiteError for what the site asks for and cannot be had, and what else the failing part raised,
        after stopping what had started.
        """
        try:
            with self._main.blamed("database"):
                await self._store.start(self._bus)
            await self._bus.start()
            for name, connector in self._parts.connectors.items():
                with self._main.blamed("connectors", name):
                    await connector.service.start()
            await self._store.resume()
            for name, listener in self._parts.listeners.items():
                with self._main.blamed("listeners", name):
                    await listener.service.start()
            with self._main.blamed("console"):
                await self._console.start()
        except BaseException:
            await self.stop()
            raise
        for sweep in self._sweeps:
            sweep.start(_SWEEP_SECONDS, now=False).addErrback(
                lambda failure: self._log.error("what is done every second failed", exc_info=failure.value))
        for work in self._background:
            work.start()
        self._status.state = "running"

    async def stop(self) -> None:
        """Drain, then stop: accepted work is answered and stored, within `drain_timeout` seconds; then all is closed. Whoever stops
        it a second time, waits for the first.
        """
        await self._stopping.run(lambda: Deferred.fromCoroutine(self._stop()))

    async def _stop(self) -> None:
        if self._status.state == "stopped":
            return
        self._status.state = "draining"
        await self._bounded(self._drain(), "drain")
        self._status.state = "stopped"
        for sweep in self._sweeps:
            if sweep.running:
                sweep.stop()
        parts: tuple[Any, ...] = (*self._parts.all_listeners(), self._console, *self._connectors(), self._alarms,
                                  self._bus, self._store)
        for part in parts:
            await self._bounded(part.stop(), f"stop of {getattr(part, 'name', type(part).__name__)}")

    def _connectors(self) -> list[Connector]:
        return [part.service for part in self._parts.connectors.values()]

    async def _drain(self) -> None:
        await DeferredList([Deferred.fromCoroutine(_run(listener.drain())) for listener in self._parts.all_listeners()])
        self._admission.draining = True  # not before: whoever was let in shall be answered, not turned away
        while self._admission.in_flight:
            await self._pause(_LOOK_AGAIN_SECONDS)
        for connector in self._connectors():
            await connector.drain()
        await self._alarms.drain()
        await self._store.drain()

    async def _bounded(self, work: Awaitable[None], what: str) -> None:
        try:
            await Deferred.fromCoroutine(_run(work)).addTimeout(self._drain_timeout, self._reactor)
        except TwistedTimeoutError:
            self._log.warning(f"{what} took longer than allowed; what is left is in the store and goes on at the next start",
                              seconds=self._drain_timeout)
        except Exception as error:  # noqa: BLE001  # one part that will not stop must not keep the others running
            self._log.error(f"{what} failed", exc_info=error)

    def _pause(self, seconds: float) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._reactor.callLater(seconds, waiting.callback, None)
        return waiting


async def _run(work: Awaitable[None]) -> None:
    await work
