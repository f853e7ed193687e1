"""A bureau's connector on a real loopback socket, against the simulator or against a peer that does what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog
import yaml
from twisted.internet.protocol import Factory, Protocol

from adapters.drivers import Driver
from adapters.endpoints import closed
from adapters.soap import adapter
from adapters.soap.simulator import simulate
from core.credit.objects import QueryBureau
from core.messages.base import Money, RelatedParty
from core.messages.catalogue import Catalogue
from plugins.api import Envelope, Surroundings
from protocols.mapping import Definition, Habit, Simulation

SITE = Path(__file__).parents[3] / "config/site/demo"
BUREAU: dict[str, Any] = yaml.safe_load((SITE / "protocols/credit-bureau-soap.yaml").read_text())

ENVELOPE = ('<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:cb="urn:uip:demo:credit-bureau:1">'
            "<soap:Body>{}</soap:Body></soap:Envelope>")
REPORT = ENVELOPE.format('<cb:GetCreditReportResponse><cb:report reference="R1"><cb:agency>A</cb:agency>'
                         "<cb:recommendation>ACCEPT</cb:recommendation></cb:report></cb:GetCreditReportResponse>")


def http(body: str, status: str = "200 OK", kind: str = "text/xml") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def question(party: str = "C1", attempt: int = 0) -> Envelope[Any]:
    body = QueryBureau(relatedParty=RelatedParty(id=party, name="Ann Lee"), amount=Money(unit="EUR", value=Decimal("10.00")))
    return Envelope(body, "m1", "c1", datetime.now(UTC), attempt=attempt)


def connector(reactor: Any, protocol: dict[str, Any] = BUREAU, site: Path = SITE, **settings: Any) -> Driver:
    model: Any = adapter.connector_settings
    name = protocol["protocol"]
    around = Surroundings(reactor, site, Catalogue([]), {}, {name: protocol}, structlog.get_logger())
    made = adapter.connector(name, model.model_validate({"protocol": name, **settings}), around)
    assert isinstance(made, Driver)
    return made


@asynccontextmanager
async def simulated(reactor: Any, *faults: str, protocol: dict[str, Any] = BUREAU,
                    site: Path = SITE) -> AsyncIterator[tuple[int, list[Any]]]:
    """The simulator on a free port: the port, and what it reports."""
    definition = Definition.load(protocol)
    assert definition.simulator is not None
    applied: list[Any] = []
    simulation = Simulation(definition.simulator, [Habit.parse(f) for f in faults])
    port = simulate(reactor, "127.0.0.1", 0, definition, simulation, applied.append, dialects={}, folder=site / "protocols")
    try:
        yield port.getHost().port, applied
    finally:
        await closed(port)


class Peer(Protocol):
    """Calls `act` with itself once a request has come whole."""

    transport: Any

    def __init__(self, act: Callable[[Peer], None], seen: list[bytes]) -> None:
        self.act = act
        self.seen = seen
        self.got = b""

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        if self.got.rstrip().endswith(b"Envelope>"):
            self.seen.append(self.got)
            self.got = b""
            self.act(self)


@asynccontextmanager
async def peer(reactor: Any, act: Callable[[Peer], None]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A peer on a free port: the port, and the requests it has had."""
    seen: list[bytes] = []
    factory: Any = Factory.forProtocol(lambda: Peer(act, seen))  # type: ignore[arg-type]  # any callable will do
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    try:
        yield port.getHost().port, seen
    finally:
        await closed(port)
