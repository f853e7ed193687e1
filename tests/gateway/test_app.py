"""The composition root: which parts a process has, and what a reload makes of them."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
import pytest_twisted
import structlog
from structlog.testing import capture_logs
from twisted.internet import reactor

from adapters.bus.settings import BusSettings
from config.documents import SiteError
from config.settings import Console, Limits
from gateway.app import Application, Role
from gateway.commands.init import write_site
from gateway.observability import quiet_log
from gateway.site import adapters_for, load_site
from gateway.workers import Workers


@pytest.fixture
def site(tmp_path, monkeypatch):
    for name in ("SOAP", "MML", "MML_FRAMED", "CONSOLE"):
        monkeypatch.setenv(f"UIP_{name}_PORT", "0")
    write_site(tmp_path, demo=True)
    return replace(load_site(tmp_path, adapters_for()), bus=BusSettings(url="amqp://guest:guest@127.0.0.1:1/x"))


@pytest_twisted.ensureDeferred
async def test_a_reload_gives_a_process_no_parts_that_its_role_has_not(site):
    application = Application(site, adapters_for(), reactor, quiet_log(), [Role.CONNECTOR])
    assert set(application._parts.connectors) == set(site.connectors)
    await application.reload(site)
    assert application._parts.listeners == {}
    assert set(application._parts.connectors) == set(site.connectors)


@pytest_twisted.ensureDeferred
async def test_a_connector_may_go_and_come_again(site):
    application = Application(site, adapters_for(), reactor, quiet_log(), [Role.CONNECTOR])
    await application.reload(replace(site, connectors={n: s for n, s in site.connectors.items() if n != "hlr"}))
    assert "hlr" not in application._parts.connectors
    await application.reload(site)
    assert "hlr" in application._parts.connectors
    await application._parts.connectors["hlr"].service.stop()


@pytest_twisted.ensureDeferred
async def test_a_reload_tells_what_it_does_not_take(site):
    application = Application(site, adapters_for(), reactor, structlog.get_logger(), [Role.CONNECTOR])
    with capture_logs() as logged:
        await application.reload(site)
        assert logged == []
        await application.reload(replace(site, settings=site.settings.model_copy(update={
            "limits": Limits(max_sessions=7), "console": Console(port=1)})))
    assert logged == [{"event": "what has changed there is taken at the next start", "log_level": "warning",
                       "sections": ["limits", "console"]}]


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


TAKEN = "is in use by another program: end that, or choose another port"


@pytest.mark.parametrize(("name", "path"), [
    ("MML", "listeners.mml.port"), ("MML_FRAMED", "listeners.mml-framed.port"), ("SOAP", "listeners.soap.port"),
    ("CONSOLE", "console.port"),
])
@pytest_twisted.ensureDeferred
async def test_a_port_that_is_taken_is_told_with_what_asks_for_it(tmp_path, site, monkeypatch, taken, name, path):
    monkeypatch.setenv(f"UIP_{name}_PORT", str(taken))
    there = load_site(tmp_path, adapters_for())
    with pytest.raises(SiteError) as refused:
        await Application(there, adapters_for(), reactor, quiet_log()).services.start()
    assert refused.value.told == [f"UIP_{name}_PORT in the environment: {path}: 127.0.0.1:{taken} {TAKEN}"]
    with pytest.raises(SiteError) as refused:
        Workers(there, 2, (), quiet_log())._bind()
    assert refused.value.told == [f"UIP_{name}_PORT in the environment: {path}: 127.0.0.1:{taken} {TAKEN}"]


@pytest_twisted.ensureDeferred
async def test_what_could_not_start_is_stopped_once(tmp_path, site, monkeypatch):
    monkeypatch.setenv("UIP_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/uip")
    application = Application(load_site(tmp_path, adapters_for()), adapters_for(), reactor, structlog.get_logger())
    with capture_logs() as logged:
        with pytest.raises(SiteError, match=r"UIP_DATABASE_URL in the environment: database\.url: .*no PostgreSQL answers there"):
            await application.services.start()
        await application.services.stop()
    assert logged == []


@pytest_twisted.ensureDeferred
async def test_files_of_tls_that_do_not_fit_are_told(tmp_path, site):
    (tmp_path / "own.pem").write_text("no certificate")
    file = tmp_path / "uip.yaml"
    file.write_text(file.read_text().replace("port: 8000", "port: 8000, tls: {certificate: own.pem, key: own.pem}"))
    with pytest.raises(SiteError, match=r"uip\.yaml:14: listeners\.soap\.tls: a listener needs certificate and key, PEM files"):
        await Application(load_site(tmp_path, adapters_for()), adapters_for(), reactor, quiet_log()).services.start()
