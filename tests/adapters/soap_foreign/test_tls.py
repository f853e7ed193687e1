"""https on the way out: nothing is sent before the handshake is done, and what has not been sent is said to be so."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from adapters.drivers import NotSent, OutcomeUnknown
from adapters.endpoints import closed, listen
from config.settings import Tls
from tests.adapters.soap_foreign.bed import REPORT, SITE, Peer, connector, http
from tests.adapters.test_endpoints import certificate

ASK = {"command": "GetCreditReport", "fields": {"subject": {"partyId": "C1"}, "exposure": {"_text": "1", "currency": "EUR"}}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(SITE / "protocols", folder / "protocols")
    certificate(folder, "authority")
    certificate(folder, "stranger")
    certificate(folder, "server", "authority")
    certificate(folder, "client", "authority")
    return folder


def tls(name: str, authority: str = "authority") -> Tls:
    return Tls(certificate=Path(f"{name}.pem"), key=Path(f"{name}.key"), authority=Path(f"{authority}.pem"))


@asynccontextmanager
async def secure(site: Path, *, ask_for_certificates: bool = False) -> Any:
    seen: list[bytes] = []
    factory: Any = Factory.forProtocol(lambda: Peer(lambda p: p.transport.write(http(REPORT)), seen))  # type: ignore[arg-type]  # as in bed
    own = tls("server")
    port = listen(reactor, site, "127.0.0.1", 0, factory, own if ask_for_certificates else own.model_copy(update={"authority": None}))
    try:
        yield port.getHost().port, seen
    finally:
        await closed(port)


async def ask(site: Path, port: int, **tls_settings: Any) -> Any:
    asking = connector(reactor, site=site, host="127.0.0.1", port=port, tls=tls_settings)
    client: Any = asking._client
    try:
        return await client.request(ASK)
    finally:
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_an_authority_of_the_partners_own(site: Path) -> None:
    async with secure(site) as (port, seen):
        reply = await ask(site, port, authority="authority.pem")
        assert reply["fields"]["report"]["agency"] == "A"
        assert len(seen) == 1


@pytest_twisted.ensureDeferred
async def test_a_partner_that_nobody_vouches_for_gets_nothing(site: Path) -> None:
    async with secure(site) as (port, seen):
        for trust in ({"authority": "stranger.pem"}, {}):
            with pytest.raises(NotSent):
                await ask(site, port, **trust)
        assert not seen


@pytest_twisted.ensureDeferred
async def test_our_own_certificate_is_shown(site: Path) -> None:
    async with secure(site, ask_for_certificates=True) as (port, seen):
        await ask(site, port, authority="authority.pem", certificate="client.pem", key="client.key")
        assert len(seen) == 1
        # TLS 1.3 refuses a client only after the client's first words may have gone out, so this cannot be called unsent.
        with pytest.raises((NotSent, OutcomeUnknown)):
            await ask(site, port, authority="authority.pem", certificate="stranger.pem", key="stranger.key")
        assert len(seen) == 1


@pytest_twisted.ensureDeferred
async def test_a_handshake_that_never_ends_is_given_up_unsent(site: Path) -> None:
    gone: Deferred[None] = Deferred()

    class Mute(Protocol):
        def connectionLost(self, reason: Any = None) -> None:
            gone.callback(None)

    port = reactor.listenTCP(0, Factory.forProtocol(Mute), interface="127.0.0.1")  # type: ignore[attr-defined]  # the reactor's module type
    try:
        asking = connector(reactor, site=site, host="127.0.0.1", port=port.getHost().port, tls={"authority": "authority.pem"})
        client: Any = asking._client
        waiting = Deferred.fromCoroutine(client.request(ASK))
        await deferLater(reactor, 0.05)  # time for the connection; the test holds whenever it is cut
        waiting.cancel()
        with pytest.raises(NotSent):
            await waiting
        await gone
        await asking.stop()
    finally:
        await closed(port)
