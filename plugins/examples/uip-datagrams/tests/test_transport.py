"""The transport on a real socket, with a gateway of a few lines behind it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Self

import pytest
import pytest_twisted
from pydantic import ValidationError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from uip_datagrams import adapter

from plugins.api import Catalogue, Failure, Kind, Session, Surroundings


class SmallGateway:
    """Answers GetSystemStatus, and counts its sessions."""

    def __init__(self) -> None:
        self.catalogue = Catalogue(["GetSystemStatus", "GetProductOrder"])
        self.sessions = 0
        self.refusals: list[str] = []
        self.keys: list[str | None] = []
        self.wait: Deferred[None] | None = None

    def open_session(self, protocol: str, peer: str, close: Any) -> Session:
        self.sessions += 1
        return Session("1", protocol, peer, close, 0.0, 0.0)

    def close_session(self, session: Session) -> None:
        self.sessions -= 1

    def log_in(self, session: Session, name: str, proves: Any) -> None:
        if name != "crm" or not proves("crm-secret"):
            raise Failure(Kind.AUTHENTICATION, "wrong name or password")
        session.party = name

    async def dispatch(self, session: Session, request: Any, context: Any) -> Any:
        self.keys.append(context.idempotency_key)
        if self.wait is not None:
            await self.wait
        if getattr(request, "id", None):
            raise Failure(Kind.NOT_FOUND, "no such order")
        return self.catalogue.model("SystemStatus").model_validate(
            {"version": "1", "state": "running", "started": "2026-01-01T00:00:00Z"})

    def refused(self, failure: Failure, protocol: str) -> None:
        self.refusals.append(f"{protocol} {failure.kind}")


class Peer(DatagramProtocol):
    def __init__(self) -> None:
        self.waiting: Deferred[dict[str, Any]] = Deferred()

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        waiting, self.waiting = self.waiting, Deferred()
        waiting.callback(json.loads(data))


class Bed:
    def __init__(self, **settings: Any) -> None:
        self.gateway = SmallGateway()
        self.log: list[Any] = []
        log = SimpleNamespace(error=lambda *a, **k: self.log.append((a, k)))
        around = Surroundings(reactor=reactor, site=None, catalogue=self.gateway.catalogue, dialects={}, protocols={}, log=log)
        self.listener = adapter.listener("sensors", adapter.listener_settings(port=0, **settings), self.gateway, around)

    async def __aenter__(self) -> Self:
        await self.listener.start()
        self.peer = Peer()
        self.port = reactor.listenUDP(0, self.peer, interface="127.0.0.1")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop()
        await self.port.stopListening()
        assert self.log == []
        assert self.gateway.sessions == 0

    def send(self, asked: Any) -> Deferred[dict[str, Any]]:
        host, _, port = self.listener.status()["address"].rpartition(":")
        data = asked if isinstance(asked, bytes) else json.dumps({"party": "crm", "secret": "crm-secret", **asked}).encode()
        self.peer.transport.write(data, (host, int(port)))
        return self.peer.waiting


@pytest_twisted.ensureDeferred
async def test_a_request_is_answered() -> None:
    async with Bed() as bed:
        answer = await bed.send({"operation": "GetSystemStatus", "key": "K-1"})
        assert (answer["type"], answer["body"]["state"]) == ("SystemStatus", "running")
        assert bed.gateway.keys == ["K-1"]


@pytest.mark.parametrize(("asked", "code"), [
    (b"not json", "malformed"), (b"[]", "malformed"), ({}, "invalid"), ({"operation": "Fly"}, "unknownOperation"),
    ({"operation": "GetSystemStatus", "secret": "wrong"}, "authentication"), ({"operation": "GetSystemStatus", "key": 7}, "invalid"),
    ({"operation": "GetSystemStatus", "body": {"x": 1}}, "invalid"), ({"operation": "GetProductOrder", "body": {"id": "1"}}, "notFound"),
])
@pytest_twisted.ensureDeferred
async def test_what_is_wrong_gets_its_fault(asked: Any, code: str) -> None:
    async with Bed() as bed:
        answer = await bed.send(asked)
        assert (answer["type"], answer["body"]["code"]) == ("Fault", code)
        assert bed.gateway.refusals == [f"sensors {code}"]


@pytest_twisted.ensureDeferred
async def test_more_than_allowed_at_once_is_busy_and_a_drain_waits() -> None:
    async with Bed(in_flight=1) as bed:
        bed.gateway.wait = Deferred()
        first = bed.send({"operation": "GetSystemStatus"})
        while not bed.gateway.keys:
            turn: Deferred[None] = Deferred()
            reactor.callLater(0, turn.callback, None)
            await turn
        assert (await bed.send({"operation": "GetSystemStatus"}))["body"]["code"] == "busy"
        assert first.called
        drained = Deferred.fromCoroutine(bed.listener.drain())
        assert not drained.called
        bed.gateway.wait.callback(None)
        assert (await bed.peer.waiting)["type"] == "SystemStatus"
        await drained


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError):
        adapter.listener_settings(port=70_000)
