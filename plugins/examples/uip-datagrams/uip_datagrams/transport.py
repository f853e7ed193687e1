"""Requests in UDP datagrams: one JSON object asks, one answers.

    {"party": "crm", "secret": "crm-secret", "operation": "GetProductOrder", "key": "optional", "body": {"id": "O-1"}}
    {"type": "ProductOrder", "body": {...}}        or        {"type": "Fault", "body": {"code": "notFound", ...}}

Datagrams get lost: who has no answer asks again with the same `key` and gets the stored one.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import DatagramProtocol

from plugins.api import BusinessObject, Context, Failure, Gateway, Kind, Surroundings, checked

LARGEST = 65_507
"""Bytes of a UDP datagram over IPv4 at most (RFC 768, RFC 791)."""


class Settings(BaseModel):
    """What uip.yaml says of a listener: `listeners: {sensors: {transport: datagram, port: 7799}}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65_535)
    in_flight: int = Field(default=100, ge=1, description="requests being answered at once; what comes above it is answered busy")


class Listener(DatagramProtocol):
    """One bound port (a `plugins.api.Listener`)."""

    def __init__(self, name: str, settings: Settings, gateway: Gateway, around: Surroundings) -> None:
        self.name = name
        self._settings = settings
        self._gateway = gateway
        self._reactor = around.reactor
        self._log = around.log
        self._port: Any = None
        self._address = ""
        self._state = "stopped"
        self._busy = 0
        self._idle: list[Deferred[None]] = []

    # The gateway's side: plugins.api.Listener.

    async def start(self) -> None:
        """Bind. Raises OSError."""
        self._port = self._reactor.listenUDP(self._settings.port, self, interface=self._settings.host, maxPacketSize=LARGEST)
        host = self._port.getHost()
        self._address, self._state = f"{host.host}:{host.port}", "listening"

    async def drain(self) -> None:
        """Take no more datagrams; return when those taken are answered."""
        self._state = "draining"
        if self._busy:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle

    async def retire(self) -> None:
        """There are no conversations to go on with: the same as a drain and a stop."""
        await self.drain()
        await self.stop()

    async def stop(self) -> None:
        """Close the port."""
        self._state = "stopped"
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    def status(self) -> Mapping[str, Any]:
        """See plugins.api.Service."""
        return {"state": self._state, "address": self._address, "in_flight": self._busy}

    # Twisted's side.

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        """Take one request."""
        if self._state != "listening":
            return
        answering = Deferred.fromCoroutine(self._answer(data, addr))
        answering.addErrback(lambda failure: self._log.error("answering failed", listener=self.name, exc_info=failure.value))

    async def _answer(self, data: bytes, addr: Any) -> None:
        self._busy += 1
        try:
            self._send(await self._reply(data, f"{addr[0]}:{addr[1]}"), addr)
        except Failure as failure:
            self._gateway.refused(failure, self.name)
            self._send(failure.fault(), addr)
        finally:
            self._busy -= 1
            if not self._busy:
                idle, self._idle = self._idle, []
                for waiting in idle:
                    waiting.callback(None)

    async def _reply(self, data: bytes, peer: str) -> BusinessObject:
        if self._busy > self._settings.in_flight:
            raise Failure(Kind.BUSY, "too many requests at once; try again later")
        asked = _read(data)
        operation = self._gateway.catalogue.operation(asked["operation"])
        session = self._gateway.open_session(self.name, peer, lambda _: None)
        try:
            secret = asked["secret"].encode()
            self._gateway.log_in(session, asked["party"], lambda expected: hmac.compare_digest(expected.encode(), secret))
            return await self._gateway.dispatch(session, checked(operation.request, asked.get("body", {})), Context(asked.get("key")))
        finally:
            self._gateway.close_session(session)

    def _send(self, reply: BusinessObject, addr: Any) -> None:
        written = json.dumps({"type": type(reply).__name__, "body": reply.model_dump(mode="json", exclude_none=True)}).encode()
        if len(written) > LARGEST:
            self._send(Failure(Kind.INTERNAL, "the answer is larger than a datagram").fault(), addr)
        else:
            transport: Any = self.transport
            transport.write(written, addr)


def _read(data: bytes) -> dict[str, Any]:
    """Read a request. Raises Failure."""
    try:
        asked = json.loads(data)
    except ValueError:
        raise Failure(Kind.MALFORMED, "not JSON") from None
    if not isinstance(asked, dict):
        raise Failure(Kind.MALFORMED, "not a JSON object")
    for name in ("operation", "party", "secret"):
        if not isinstance(asked.get(name), str):
            raise Failure(Kind.INVALID, f"{name}: is required", name)
    if not isinstance(asked.get("key"), str | None):
        raise Failure(Kind.INVALID, "key: must be a text", "key")
    return asked


class DatagramAdapter:
    """The transport's door (a `plugins.api.Adapter`): listeners only."""

    listener_settings = Settings
    connector_settings = None

    def listener(self, name: str, settings: Settings, gateway: Gateway, around: Surroundings) -> Listener:
        """Make a listener."""
        return Listener(name, settings, gateway, around)

    def connector(self, name: str, settings: Any, around: Surroundings) -> Any:
        """There is none."""
        raise NotImplementedError(f"{name}: datagrams are for listeners")


adapter = DatagramAdapter()
