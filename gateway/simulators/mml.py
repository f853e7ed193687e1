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
from adapters.mml.dialogue import Dialogue
from adapters.mml.language import fields_of
from adapters.mml.telnet import Telnet
from adapters.mml.values import said
from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.dialects import server_codec
from protocols.mapping import GARBAGE, Act, Definition, Outcome, Record, Reply, Simulation
from protocols.mml import Command, Dialect, Heartbeat, Malformed, Prompt, Report

LONGEST_QUEUE = 1_000
"""Answers that may wait for their time on one connection; a peer that asks for more is dropped."""


class SimulatedPeer(Protocol):
    """One connection. Answers leave in the order of their commands, each not before its time."""

    transport: Any  # Twisted's own annotation is that of no transport in particular

    def __init__(self, simulation: Simulation, dialect: Dialect, record: Record, reactor: Any) -> None:
        self._simulation = simulation
        self._talk = simulation.connect()
        self._dialect = dialect
        self._codec = server_codec(dialect)
        self._record = record
        self._reactor = reactor
        self._waiting: deque[tuple[float, Act, Command]] = deque()
        self._timer: Any = None
        self._unasked: list[Any] | None = None
        self._session = ""
        self._telnet = Telnet() if dialect.session.telnet else None
        steps = dialect.session.login.dialogue
        self._asking = Dialogue(steps, dialect.charset) if steps and simulation.simulator.users else None

    def connectionMade(self) -> None:
        """Greet, and show that we wait, as the dialect has it."""
        self.transport.setTcpNoDelay(True)
        session = self._dialect.session
        if session.greeting:
            self._show(session.greeting + self._dialect.stream.line_end)
        if self._asking is not None:
            self._show(self._asking.prompt)
        elif session.prompts and session.prompt_written:
            self._show(session.prompts[0])
        if not self._simulation.simulator.users:
            self._let_in()

    def _let_in(self) -> None:
        """From now on the peer hears what is said unasked; the first login begins it."""
        if self._unasked is None:
            self._unasked = [self._reactor.callLater(said.after, self._say, said.text) for said in self._simulation.unasked]

    def _say(self, text: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        lines = text.replace("{time}", now[2:] if self._dialect.report.two_digit_year else now).splitlines()
        ended = self._dialect.stream.line_end if self._dialect.record is None else "\n"
        self._write("".join([self._dialect.report.lead, *(line + ended for line in lines)]).encode(self._dialect.charset, "replace"))

    def dataReceived(self, data: bytes) -> None:
        """Take bytes."""
        if self._telnet is not None:
            data, answer = self._telnet.receive(data)
            if answer:
                self.transport.write(answer)
        if self._asking is not None:
            data = self._ask_who(self._asking, data)
        if self._asking is None:
            for event in self._codec.receive_data(data):
                self._take(event)

    def _ask_who(self, asking: Dialogue, data: bytes) -> bytes:
        """Go on with a login by prompts. Returns what came behind it."""
        try:
            while said := asking.receive(data):
                data = b""
                if isinstance(said, tuple):
                    reply = self._talk.log_in(*said)
                    if reply.ok:
                        self._asking = None
                        self._let_in()
                        if self._dialect.session.prompts:
                            self._show(self._dialect.session.prompts[0])
                        return asking.rest()
                    failed = self._dialect.session.login.failed
                    self._show((failed[0] if failed else reply.text) + self._dialect.stream.line_end)
                self._show(asking.prompt)
        except RemoteProtocolError:
            self._drop()
        return b""

    def _show(self, text: str) -> None:
        self._write(self._codec.send(Prompt(text)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 (Twisted's signature)
        """The peer is gone, and what it has not been told is never said."""
        self._talk.close()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for later in self._unasked or ():
            if later.active():
                later.cancel()

    def _take(self, event: Command | Heartbeat | Malformed) -> None:
        if isinstance(event, Heartbeat):
            if event.kind != "answer":
                self._write(self._codec.send(Heartbeat("answer")))
        elif isinstance(event, Malformed):
            broken = Command("", (), "", event.session, event.transaction)
            self._plan(Outcome((Act(0.0, "send", self._talk.malformed(event.error.message)),)), broken)
            if event.error.fatal:
                self._plan(Outcome((Act(0.0, "disconnect"),)), broken)
        else:
            self._plan(self._outcome(event), event)

    def _outcome(self, command: Command) -> Outcome:
        fields = fields_of(command)
        login = self._dialect.login
        if login.command and command.name == login.command:
            user = command.aid if login.access == "user" else fields.get(login.user, "")
            reply = self._talk.log_in(user, str(fields.get(login.secret, "")))
            self._session = f"{id(self) & 0xFFFFFFFF:08X}" if reply.ok else ""
            if reply.ok:
                self._let_in()
            return Outcome((Act(0.0, "send", reply),))
        if self._dialect.logout and command.name == self._dialect.logout:
            self._session = ""
            gone = (Act(0.0, "disconnect"),) if login.dialogue else ()
            return Outcome((Act(0.0, "send", self._talk.log_out()), *gone))
        return self._talk.receive(command.name, fields)

    def _plan(self, outcome: Outcome, command: Command) -> None:
        if outcome.applied is not None:
            self._record(outcome.applied)
        now = self._reactor.seconds()
        for act in outcome.acts:
            self._waiting.append((now + act.after, act, command))
        if len(self._waiting) > LONGEST_QUEUE:
            self._drop()
        elif self._timer is None:
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
            whole = self._said(act.reply, command)
            if act.do == "half":
                self._write(whole[:len(whole) // 2])
                self._drop()
            else:
                self._write(whole)

    def _said(self, reply: Reply, command: Command) -> bytes:
        try:
            return self._codec.send(self._report(reply, command))
        except LocalProtocolError as error:
            # The file says what the dialect cannot; who writes them is told.
            return self._codec.send(self._report(self._talk.malformed(f"the answer cannot be said: {error.message}"), command))

    def _report(self, reply: Reply, command: Command) -> Report:
        said = report_of(reply, command, self._dialect, self._simulation.simulator.name, datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"))
        return replace(said, session=self._session or command.session)

    def _write(self, data: bytes) -> None:
        self.transport.write(data if self._telnet is None else Telnet.escaped(data))

    def _drop(self) -> None:
        self._waiting.clear()
        self.transport.loseConnection()


def report_of(reply: Reply, command: Command, dialect: Dialect, source: str, time: str) -> Report:
    """A reply as the report that answers a command. An answer of one line names the command, a report in lines repeats it."""
    tables = tuple((title, tuple(_texts(row) for row in rows)) for title, rows in reply.tables.items())
    return Report(reply.code, reply.text, _texts(reply.fields), tables, command.name if dialect.report.form == "inline" else command.raw,
                  command.session, command.transaction, source=source, time=time)


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: said(value) for name, value in fields.items()}


class _Peers(Factory):
    noisy = False

    def __init__(self, make: Callable[[], SimulatedPeer]) -> None:
        self._make = make

    def buildProtocol(self, addr: Any) -> SimulatedPeer:  # noqa: ARG002 (Twisted's signature)
        return self._make()


def simulate(reactor: Any, host: str, port: int, definition: Definition, simulation: Simulation, record: Record, *,
             dialects: Mapping[str, Mapping[str, Any]], folder: Path) -> Any:
    """Serve `simulation` and return Twisted's listening port. `record` is called with each applied change before its answer.

    Raises OSError when the port is taken, KeyError and protocols.mml.DialectError when the dialect cannot be used, ValueError for
    alarms in a dialect that has frames and no room for them.
    """
    dialect = Dialect.load(dialects[definition.dialect or ""])
    if simulation.unasked and dialect.framing == "framed":
        raise ValueError(f"dialect {dialect.name} has answers only: nothing can be said unasked")
    peers: Any = _Peers(lambda: SimulatedPeer(simulation, dialect, record, reactor))
    return listen(reactor, folder, host, port, peers)
