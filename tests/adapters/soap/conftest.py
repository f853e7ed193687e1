"""A SOAP listener on a loopback port with the stand-in gateway behind it, and plain clients for it."""

from __future__ import annotations

import base64
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.adapters.soap.standin import StandIn, listener

BASIC = "Basic " + base64.b64encode(b"crm:crm-secret").decode()


class Port:
    """A running listener; `ask` speaks raw HTTP to it from a thread, so that the reactor is free to answer."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.gateway = StandIn(reactor)
        self.listener, self.log = listener(reactor, self.gateway, **settings)

    @property
    def number(self) -> int:
        return int(self.listener.status()["address"].rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.number}/soap"

    def in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return deferToThread(work, *arguments)

    def ask(self, body: bytes | str, **headers: str) -> Any:
        return deferToThread(self._ask, body, headers)

    def raw(self, *parts: bytes) -> Any:
        """Send bytes as they are; returns all that comes back until the connection is closed (or silent for long)."""
        return deferToThread(self._raw, parts)

    def _ask(self, body: bytes | str, headers: dict[str, str]) -> Answer:
        body = body.encode() if isinstance(body, str) else body
        sent = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""', "Authorization": BASIC, "Connection": "close",
                "Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        head = "".join(f"{k}: {v}\r\n" for k, v in sent.items() if v)
        return Answer(self._raw((f"POST /soap HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + body,)))

    def _raw(self, parts: tuple[bytes, ...]) -> bytes:
        with socket.create_connection(("127.0.0.1", self.number), timeout=10) as connection:
            for part in parts:
                connection.sendall(part)
            received = b""
            try:
                while data := connection.recv(65536):
                    received += data
            except (TimeoutError, ConnectionResetError):
                pass
            return received


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        self.text = self.body.decode("utf-8", "replace")


@pytest.fixture
def settings() -> dict[str, Any]:
    return {}


@pytest_twisted.async_yield_fixture
async def port(settings: dict[str, Any]) -> AsyncIterator[Port]:
    made = Port(settings)
    await made.listener.start()
    yield made
    await made.listener.drain()
    await made.listener.stop()
