"""A listener on a real socket with the gateway's own sessions, admission and dispatch behind it; the cores' place is the test's."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Self

import structlog
import yaml
from structlog.testing import CapturingLogger
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol

from adapters.mml import adapter
from adapters.mml.listener import MmlListener
from core.messages.base import BusinessObject
from core.messages.catalogue import Catalogue
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.orders.objects import CancelProductOrderTask, ProductOrder
from gateway.admission import Admission
from gateway.dispatcher import Dispatcher
from gateway.observability import Observer
from gateway.sessions import Sessions
from plugins.api import Surroundings

ROOT = Path(__file__).parents[3]
DIALECTS: dict[str, Any] = {file.stem: yaml.safe_load(file.read_text()) for file in (ROOT / "config/site/dialects").glob("*.yaml")}
OFFERED = ("SubmitProductOrder", "GetProductOrder", "CancelProductOrder", "AuthorizeCredit")


def surroundings(on: Any = reactor, **protocols: Any) -> Surroundings:
    return Surroundings(reactor=on, site=ROOT, catalogue=Catalogue(OFFERED), dialects=DIALECTS, protocols=protocols,
                        log=structlog.wrap_logger(CapturingLogger(), processors=[]))


def order(order_id: str, **more: Any) -> ProductOrder:
    return ProductOrder.model_validate({
        "id": order_id, "href": "/x", "externalId": "E", "state": "completed", "orderDate": "2026-03-15T12:00:00Z",
        "relatedParty": {"id": "C", "name": "Ann"},
        "productOrderItem": [{"id": "1", "action": "add", "quantity": 1, "productOffering": "o", "state": "completed"}], **more})


class Core:
    """A bus that answers each request as its order id says: `slow...` when the test lets it, `missing` not at all, else at once."""

    def __init__(self) -> None:
        self.asked: list[Envelope[Any]] = []
        self.slow: dict[str, Deferred[None]] = {}
        self.more: dict[str, Any] = {}

    async def call(self, to: str, envelope: Envelope[Any]) -> BusinessObject:
        self.asked.append(envelope)
        name = getattr(envelope.body, "id", None) or getattr(envelope.body, "externalId", "")
        if name.startswith("slow"):
            self.slow[name] = Deferred()
            await self.slow[name]
        if name == "missing":
            raise Failure(Kind.NOT_FOUND, "no such order")
        if name == "broken":
            raise RuntimeError("a fault of ours")
        if name == "wrong":
            return CancelProductOrderTask.model_construct(id=object())  # cannot be written
        return order(name, **self.more)


class Bed:
    """What a test works with. `clock` drives the sessions' time-outs; the sockets are real."""

    def __init__(self, dialect: str = "huawei-text", clock: Any = reactor, on: Any = reactor, **settings: Any) -> None:
        numbers = count(1)
        limits = {"max_sessions": 5, "login_timeout": 30, "idle_timeout": 900, "max_login_tries": 3}
        limits.update({name: settings.pop(name) for name in tuple(settings) if name in limits})
        self.core = Core()
        self.sessions = Sessions(clock, {"crm": "crm-secret", "shop": "shop-secret"}, new_id=lambda: f"S{next(numbers)}", **limits)
        self.admission = Admission(clock, max_in_flight=100, rates={})
        around = surroundings(on, **settings.pop("protocols", {}))
        observer = Observer(around.log, clock)
        self.figures = observer.registry
        dispatcher = Dispatcher(
            reactor=reactor, bus=self.core, at_hand={}, catalogue=around.catalogue, admission=self.admission, observer=observer,
            allowed={"crm": frozenset("*"), "shop": frozenset({"SubmitProductOrder"})}, default_deadline=20,
            utcnow=lambda: datetime.now(UTC), new_id=lambda: f"N{next(numbers)}")
        self.catalogue = around.catalogue
        self.open_session, self.close_session = self.sessions.open, self.sessions.close
        self.log_in, self.dispatch, self.refused = self.sessions.log_in, dispatcher.dispatch, dispatcher.refused
        named = {} if "protocol" in settings else {"dialect": dialect}
        given = adapter.listener_settings.model_validate({"port": 0, **named, **settings})
        self.listener: MmlListener = adapter.listener("mml", given, self, around)

    async def __aenter__(self) -> Self:
        await self.listener.start()
        self.port = int(self.listener.status()["address"].rpartition(":")[2])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop()
        while self.listener.connections:
            await pause()

    def refused_as(self, outcome: str) -> float:
        """How many requests were refused so before it was known what they asked for."""
        return self.figures.get_sample_value("uip_requests_total", {"protocol": "mml", "operation": "", "outcome": outcome}) or 0

    async def peer(self, *, login: bool = False) -> Peer:
        peer: Peer = await TCP4ClientEndpoint(reactor, "127.0.0.1", self.port).connect(Factory.forProtocol(Peer))
        if login:
            assert "RETCODE = 0 " in await peer.ask('LGI:OPNAME="crm",PWD="crm-secret";')
        return peer


class Peer(Protocol):
    """A plain socket."""

    END = b"---    END\r\n"

    def connectionMade(self) -> None:
        self.buffer = b""
        self.closed = False
        self.clean = False
        self._wanted: list[tuple[Any, Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.buffer += data
        self._look()

    def connectionLost(self, reason: Any = None) -> None:
        self.closed = True
        self.clean = reason.check(ConnectionDone) is not None
        self._look()

    def _look(self) -> None:
        for wanted, fired in tuple(self._wanted):
            if self.closed or wanted():
                self._wanted.remove((wanted, fired))
                fired.callback(None)

    async def until(self, wanted: Any) -> None:
        if not (self.closed or wanted()):
            fired: Deferred[None] = Deferred()
            self._wanted.append((wanted, fired))
            await fired.addTimeout(10, reactor)
        assert wanted(), (self.closed, self.buffer)

    def send(self, data: str | bytes) -> None:
        self.transport.write(data if isinstance(data, bytes) else data.encode())

    async def report(self) -> str:
        await self.until(lambda: self.END in self.buffer)
        answer, _, self.buffer = self.buffer.partition(self.END)
        return (answer + self.END).decode()

    async def frame(self) -> bytes:
        def size() -> int:
            return 20 if self.buffer[4:12] == b"0004HBHB" else int(self.buffer[4:8], 16) + 16
        await self.until(lambda: len(self.buffer) >= 20 and len(self.buffer) >= size())
        whole, self.buffer = self.buffer[:size()], self.buffer[size():]
        return whole

    async def ask(self, command: str) -> str:
        self.send(command + "\r\n")
        return await self.report()

    async def end(self) -> None:
        await self.until(lambda: self.closed)


def pause(seconds: float = 0.0) -> Deferred[None]:
    """Let the reactor turn."""
    waiting: Deferred[None] = Deferred()
    reactor.callLater(seconds, waiting.callback, None)  # type: ignore[attr-defined]
    return waiting
