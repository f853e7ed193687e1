"""`uip check` holds the protocol files of a site against their contracts."""

from __future__ import annotations

import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gateway.fetching import fetch_contracts
from gateway.site import SiteError, adapters_for, load_site
from tests.adapters.soap_foreign.bed import SITE


def test_a_site_whose_contracts_are_wrong_shows_every_mistake_where_it_stands(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(SITE, site)
    load_site(site, adapters_for())
    file = site / "protocols/credit-bureau-soap.yaml"
    text = file.read_text().replace("subject.partyId: {from: $party}", "subject.partyID: {from: $party}")
    file.write_text(text)
    (site / "protocols/wsdl/provisioning-subscription.xsd").unlink()
    with pytest.raises(SiteError) as caught:
        load_site(site, adapters_for())
    told = [str(problem) for problem in caught.value.problems]
    line = 1 + text[:text.index("subject.partyID:")].count("\n")
    assert any(t.startswith(f"{file}:{line}: ") and "did you mean partyId?" in t for t in told), told
    assert any("provisioning.wsdl:9: there is no file" in t for t in told), told


def test_contracts_on_other_machines_are_fetched_into_the_site(tmp_path: Path) -> None:
    elsewhere, site = tmp_path / "elsewhere", tmp_path / "site"
    shutil.copytree(SITE / "protocols/wsdl", elsewhere)
    shutil.copytree(SITE, site)
    shutil.rmtree(site / "protocols/wsdl")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(elsewhere)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        for name in ("credit-bureau", "provisioning"):
            file = site / f"protocols/{name}-soap.yaml"
            file.write_text(file.read_text().replace(f"wsdl: wsdl/{name}.wsdl", f"wsdl: http://127.0.0.1:{server.server_port}/{name}.wsdl"))
        with pytest.raises(SiteError, match="--fetch"):
            load_site(site, adapters_for())
        assert len(list(fetch_contracts(site))) == 3
        load_site(site, adapters_for())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert list(fetch_contracts(site)) == []
    load_site(site, adapters_for())


def test_only_the_web_is_fetched_from(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(SITE, site)
    file = site / "protocols/credit-bureau-soap.yaml"
    file.write_text(file.read_text().replace("wsdl: wsdl/credit-bureau.wsdl", "wsdl: file:///etc/passwd"))
    with pytest.raises(SiteError, match="only http and https"):
        list(fetch_contracts(site))
