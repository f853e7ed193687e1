"""An MML terminal: logs in, sends one command at a time, reads its report."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from adapters.mml.native import pack
from adapters.mml.replies import read_object
from core.messages.base import BusinessObject
from core.messages.failures import Failure, Kind
from gateway.clients import Unreachable, operation_of
from protocols.base import LocalProtocolError
from protocols.dialects import client_codec
from protocols.mml import Command, Dialect, Malformed, Report

_SECONDS = 60.0


class MmlClient:
    """See `gateway.clients.Client`. `dialect` is a dialect file's content."""

    def __init__(self, host: str, port: int, party: str, secret: str, dialect: Mapping[str, Any]) -> None:
        self.said: list[tuple[str, str]] = []
        self._dialect = Dialect.load(dialect)
        self._codec = client_codec(self._dialect)
        self._session = ""
        self._number = 0
        try:
            self._socket = socket.create_connection((host, port), timeout=_SECONDS)
        except OSError as error:
            raise Unreachable(f"no MML listener at {host}:{port}: {error.strerror or error}") from None
        login = self._dialect.login
        answer = self._ask(Command(login.command, ((login.user, party), (login.secret, secret))), hidden=secret)
        if answer.retcode not in self._dialect.results.success:
            raise Failure(Kind.AUTHENTICATION, answer.description or f"the login was answered {answer.retcode}")
        self._session = answer.session

    def call(self, request: BusinessObject, key: str | None = None) -> BusinessObject:
        """See `Client.call`."""
        try:
            command = pack(request, key)
        except LocalProtocolError as error:
            raise Failure(Kind.INVALID, error.message) from None
        return read_object(self._ask(command), operation_of(request).reply)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _ask(self, command: Command, hidden: str | None = None) -> Report:
        self._number += 1
        data = self._codec.send(Command(command.name, command.parameters, session=self._session, transaction=f"{self._number:08X}",
                                        dialogue="DLGCON" if self._session else "DLGLGN"))
        text = data.decode(self._dialect.charset, "replace")
        self.said.append((">", text.replace(hidden, "*****") if hidden else text))
        try:
            self._socket.sendall(data)
            return self._report()
        except OSError as error:
            raise Unreachable(f"the MML connection broke: {error.strerror or error}") from None

    def _report(self) -> Report:
        while True:
            data = self._socket.recv(65_536)
            if not data:
                raise Unreachable("the gateway closed the MML connection")
            self.said.append(("<", data.decode(self._dialect.charset, "replace")))
            for event in self._codec.receive_data(data):
                if isinstance(event, Report):
                    return event
                if isinstance(event, Malformed):
                    raise Unreachable(f"what answers there does not speak {self._dialect.name}: {event.error}")
