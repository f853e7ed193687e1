"""The composition root: which parts a process has, and what a reload makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import pytest_twisted
from twisted.internet import reactor

from adapters.bus.settings import BusSettings
from gateway.app import Application, Role
from gateway.commands.init import write_site
from gateway.observability import quiet_log
from gateway.site import adapters_for, load_site


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
