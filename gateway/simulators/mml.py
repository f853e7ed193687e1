"""A simulated system that speaks MML, in any dialect, with the same server codec that our own listener uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from adapters.endpoints import listen
from protocols.mapping import GARBAGE, Act, Definition, Outcome, Record, Reply, Simulation
from protocols.mapping.engine import text_of
from protocols.mml import Command, Dialect, Heartbeat, Malformed, MmlServerCodec, Report

LONGEST_QUEUE = 1_000
"""Answers that may wait for their time on one connection; a peer that asks for more is dropped."""


class SimulatedPeer(Protocol):
    """One connection. Answers leave in the order of their commands, each not before its time."""

    transport: Any  # Twisted's own annotation is that of no transport in particular

    def __init__(self, simulation: Simulation, dialect: Dialect, record: Record, reactor: Any) -> None:
        self._simulation = simulation
        self._talk = simulation.connect()
        self._dialect = dialect
        self._codec = MmlServerCodec(dialect)
        self._record = record
        self._reactor = reactor
        self._waiting: deque[tuple[float, Act, Command]] = deque()
        self._timer: Any = None
        self._session = ""

    def connectionMade(self) -> None:
        """Send small answers at once."""
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes."""
        for event in self._codec.receive_data(data):
            self._take(event)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 (Twisted's signature)
        """The peer is gone, and what it has not been told is never said."""
        self._talk.close()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self, event: Command | Heartbeat | Malformed) -> None:
        if isinstance(event, Heartbeat):
            self._write(self._codec.send(event))
        elif isinstance(event, Malformed):
            broken = Command("", (), "", event.session, event.transaction)
            self._plan(Outcome((Act(0.0, "send", self._talk.malformed(event.error.message)),)), broken)
            if event.error.fatal:
                self._plan(Outcome((Act(0.0, "disconnect"),)), broken)
        else:
            self._plan(self._outcome(event), event)

    def _outcome(self, command: Command) -> Outcome:
        fields = dict(command.parameters)
        login = self._dialect.login
        if command.name == login.command:
            reply = self._talk.log_in(fields.get(login.user, ""), fields.get(login.secret, ""))
            self._session = f"{id(self) & 0xFFFFFFFF:08X}" if reply.ok else ""
            return Outcome((Act(0.0, "send", reply),))
        if command.name == self._dialect.logout:
            self._session = ""
            return Outcome((Act(0.0, "send", self._talk.log_out()),))
        return self._talk.receive(command.name, fields)

    def _plan(self, outcome: Outcome, command: Command) -> None:
        if outcome.applied is not None:
            self._record(outcome.applied)
        now = self._reactor.seconds()
        for act in outcome.acts:
            self._waiting.append((now + act.after, act, command))
        if len(self._waiting) > LONGEST_QUEUE:
            self._drop()
        self._go_on()

        if self._timer is None:
            self._go_on()

    def _go_on(self) -> None:
        self._timer = None
        while self._waiting:
            due, act, command = self._waiting[0]
            wait = due - self._reactor.seconds()
            if wait > 0:
                self._timer = self._reactor.callLater(wait, self._go_on)
                return
            self._waiting.popleft()
            self._do(act, command)

    def _do(self, act: Act, command: Command) -> None:
        if act.do == "disconnect":
            self._drop()
        elif act.do == "garbage":
            self._write(GARBAGE)
        elif act.reply is not None:
            whole = self._codec.send(self._report(act.reply, command))
            if act.do == "half":
                self._write(whole[:len(whole) // 2])
                self._drop()
            else:
                self._write(whole)

    def _report(self, reply: Reply, command: Command) -> Report:
        said = report_of(reply, command, self._dialect, self._simulation.simulator.name, datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"))
        return replace(said, session=self._session or command.session)

    def _write(self, data: bytes) -> None:
        self.transport.write(data)

    def _drop(self) -> None:
        self._waiting.clear()
        self.transport.loseConnection()


def report_of(reply: Reply, command: Command, dialect: Dialect, source: str, time: str) -> Report:
    """A reply as the report that answers a command. A frame names the command, a text repeats it."""
    tables = tuple((title, tuple(_texts(row) for row in rows)) for title, rows in reply.tables.items())
    return Report(reply.code, reply.text, _texts(reply.fields), tables, command.name if dialect.framing == "framed" else command.raw,
                  command.session, command.transaction, source=source, time=time)


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: text_of(value) for name, value in fields.items()}


class _Peers(Factory):
    noisy = False

    def __init__(self, make: Callable[[], SimulatedPeer]) -> None:
        self._make = make

    def buildProtocol(self, addr: Any) -> SimulatedPeer:  # noqa: ARG002 (Twisted's signature)
        return self._make()


def simulate(reactor: Any, host: str, port: int, definition: Definition, simulation: Simulation, record: Record, *,
             dialects: Mapping[str, Mapping[str, Any]], folder: Path) -> Any:
    """Serve `simulation` and return Twisted's listening port. `record` is called with each applied change before its answer.

    Raises OSError when the port is taken, KeyError and protocols.mml.DialectError when the dialect cannot be used.
    """
    dialect = Dialect.load(dialects[definition.dialect or ""])
    peers: Any = _Peers(lambda: SimulatedPeer(simulation, dialect, record, reactor))
    return listen(reactor, folder, host, port, peers)
