"""A simulated system found by name or file, checked, and served."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, TextIO

from twisted.internet.defer import Deferred, succeed

from adapters.endpoints import address_of, closed
from config.documents import Document, SiteError
from gateway.simulators.files import dialects_for, read_protocol
from protocols.mapping import Definition, Habit, Said, Simulation
from protocols.wording import nearest

TRANSPORTS: Mapping[str, str] = {"mml": "gateway.simulators.mml", "amqp": "gateway.simulators.amqp", "soap": "adapters.soap.simulator"}
"""Each transport that can be simulated, and the module whose `simulate` does it."""


def find(name: str) -> tuple[Document, Definition]:
    """Read a protocol file that has a simulator in it. Raises SiteError."""
    document, definition = read_protocol(name)
    if definition.simulator is None:
        raise SiteError([document.problem((), "has no `simulator:` section")])
    if definition.transport not in TRANSPORTS:
        raise SiteError([document.problem(("transport",), f"there is no simulator for {definition.transport}"
                                                          f"{nearest(definition.transport, TRANSPORTS)}")])
    return document, definition


class Report:
    """Writes what was applied, one JSON object a line, each at once."""

    def __init__(self, file: TextIO | None, utcnow: Callable[[], datetime]) -> None:
        self._file = file
        self._utcnow = utcnow

    def write(self, simulator: str, applied: Mapping[str, Any]) -> None:
        """Write one line."""
        if self._file is not None:
            json.dump({"simulator": simulator, "time": self._utcnow().isoformat(), **applied}, self._file, default=str)
            self._file.write("\n")
            self._file.flush()


def _now() -> datetime:
    return datetime.now(UTC)


class Simulated:
    """One simulated system, ready to listen; `alarms` are names of its file's, and the seconds from a peer's login to each.

    Raises SiteError when its file is wrong, or has no such alarm.
    """

    def __init__(self, name: str, faults: Sequence[Habit] = (), report: TextIO | None = None,
                 utcnow: Callable[[], datetime] = _now, alarms: Sequence[tuple[str, float]] = ()) -> None:
        self.document, self.definition = find(name)
        assert self.definition.simulator is not None
        self.name = self.definition.protocol
        known = self.definition.simulator.alarms
        unknown = [alarm for alarm, _ in alarms if alarm not in known]
        if unknown:
            raise SiteError([self.document.problem(("simulator", "alarms"), f"there is no alarm {alarm}{nearest(alarm, known)}")
                             for alarm in unknown])
        if known and self.definition.transport != "mml":
            raise SiteError([self.document.problem(("simulator", "alarms"), "alarms are for mml")])
        self.simulation = Simulation(self.definition.simulator, faults, [Said(after, known[alarm]) for alarm, after in alarms])
        self._report = Report(report, utcnow)
        self._port: Any = None

    def listen(self, reactor: Any, host: str = "127.0.0.1", port: int | None = None) -> str:
        """Bind, at the file's own port unless told otherwise, and return the address. Raises OSError and SiteError."""
        assert self.definition.simulator is not None
        dialects = dialects_for(self.document.file)
        wanted = self.definition.dialect
        if wanted is not None and wanted not in dialects:
            raise SiteError([self.document.problem(("dialect",), f"no dialect {wanted}{nearest(wanted, dialects)}")])
        module: Any = import_module(TRANSPORTS[self.definition.transport])
        self._port = module.simulate(reactor, host, self.definition.simulator.port if port is None else port, self.definition,
                                     self.simulation, lambda applied: self._report.write(self.name, applied), dialects=dialects,
                                     folder=self.document.file.absolute().parent)
        return address_of(self._port)

    def ready(self) -> Deferred[None]:
        """Fire when it can be asked: at once where it has a port of its own, else when its broker has let it in."""
        waiting: Deferred[None] | None = self._port.ready() if hasattr(self._port, "ready") else None
        return succeed(None) if waiting is None else waiting

    async def stop(self) -> None:
        """Close the port; connections end with the process or with their peers."""
        if self._port is not None:
            port, self._port = self._port, None
            with suppress(OSError):
                await closed(port)
