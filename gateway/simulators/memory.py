"""A simulated system in memory: the driver's client without a socket, through the same codecs where the transport is MML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from adapters.drivers import NotSent, OutcomeUnknown
from adapters.mml.connector import as_reply
from adapters.mml.language import fields_of
from adapters.mml.values import said
from gateway.simulators.mml import report_of
from protocols.base import LocalProtocolError
from protocols.dialects import client_codec, server_codec
from protocols.mapping import Act, Reply, Simulation
from protocols.mml import Command, Dialect, Report

TOLD_TIME = "2026-01-01 00:00:00"
"""The time in reports, so that trying the same gives the same."""

Tell = Callable[[str, str], None]
"""Takes one line of the conversation: what it is, and its text."""


class Wire:
    """Both ends of an MML connection."""

    def __init__(self, dialect: Dialect, source: str) -> None:
        self.dialect = dialect
        self._source = source
        self._asking = client_codec(dialect)
        self._answering = server_codec(dialect)

    def asked(self, command: str, fields: Mapping[str, Any]) -> tuple[Command, str]:
        """A command as the other side reads it, and its text. Raises LocalProtocolError."""
        parameters = tuple((name, said(value)) for name, value in fields.items())
        data = self._asking.send(Command(command, parameters, session="00000001", transaction="00000001"))
        (read,) = self._answering.receive_data(data)
        assert isinstance(read, Command), read
        return read, self.text(data)

    def answer(self, reply: Reply, command: Command) -> bytes:
        """A reply's bytes. Raises LocalProtocolError."""
        return self._answering.send(report_of(reply, command, self.dialect, self._source, TOLD_TIME))

    def written(self, report: Report) -> bytes:
        """A report's bytes. Raises LocalProtocolError."""
        return self._answering.send(replace(report, time=TOLD_TIME))

    def read(self, data: bytes) -> Report | None:
        """An answer's bytes as the other side reads them; None where they are no whole answer."""
        found = [event for event in self._asking.receive_data(data) if isinstance(event, Report)]
        return found[0] if found else None

    def text(self, data: bytes) -> str:
        """Bytes for people."""
        return data.decode(self.dialect.charset, "replace").replace("\r\n", "\n").strip()


    def understood(self, asked: Command) -> tuple[str, Mapping[str, Any]]:
        """A command as the simulated system takes it."""
        return asked.name, fields_of(asked)

    def answered(self, reply: Reply, asked: Command) -> tuple[Mapping[str, Any] | None, str]:
        """A reply as the driver takes it, None where it is no whole answer, and its text. Raises LocalProtocolError."""
        data = self.answer(reply, asked)
        read = self.read(data)
        return None if read is None else as_reply(read), self.text(data)


class Between(Protocol):
    """What lies between a driver and a simulated system: both ends of a transport."""

    def asked(self, command: str, fields: Mapping[str, Any]) -> tuple[Any, str]:
        """A message as the other side reads it, and its text. Raises LocalProtocolError."""

    def understood(self, asked: Any) -> tuple[str, Mapping[str, Any]]:
        """The command, and its fields as the simulated system takes them."""

    def answered(self, reply: Reply, asked: Any) -> tuple[Mapping[str, Any] | None, str]:
        """A reply as the driver takes it, None where it is no whole answer, and its text. Raises LocalProtocolError."""


class MemoryClient:
    """An `adapters.drivers.Client` whose peer is a simulation. What is delayed comes at once; what never comes is unknown at once."""

    def __init__(self, simulation: Simulation, wire: Between | None, tell: Tell) -> None:
        self._simulation = simulation
        self._wire = wire
        self._tell = tell
        self._talk = simulation.connect()
        for user, secret in simulation.simulator.users.items():
            self._talk.log_in(user, secret.get_secret_value())
            break

    async def start(self) -> None:
        """There is nothing to connect."""

    async def stop(self) -> None:
        """There is nothing to close."""

    def status(self) -> Mapping[str, Any]:
        """See Client."""
        return {"peer": "memory", "state": "up"}

    async def request(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """See Client."""
        command, fields = message["command"], message["fields"]
        if self._wire is None:
            self._tell("sent", f"{command} {fields}")
            reply = self._reply(self._talk.receive(command, fields).acts)
            self._tell("answered", f"{reply.code} {reply.text} {dict(reply.fields)}")
            return {"retcode": reply.code, "description": reply.text, "fields": reply.fields, "tables": reply.tables}
        try:
            asked, text = self._wire.asked(command, fields)
        except LocalProtocolError as error:
            self._tell("sent", f"nothing: {error.message}")
            raise NotSent(error.message) from error
        self._tell("sent", text)
        reply = self._reply(self._talk.receive(*self._wire.understood(asked)).acts)
        seen, text = self._wire.answered(reply, asked)
        self._tell("answered", text)
        if seen is None:
            raise OutcomeUnknown
        return seen

    def _reply(self, acts: tuple[Act, ...]) -> Reply:
        for act in acts:
            if act.do == "send" and act.reply is not None:
                return act.reply
            self._tell("answered", {"half": "half of an answer, and the connection closed", "garbage": "garbage",
                                    "disconnect": "nothing: the connection closed"}[act.do])
            raise OutcomeUnknown
        self._tell("answered", "nothing")
        raise OutcomeUnknown
