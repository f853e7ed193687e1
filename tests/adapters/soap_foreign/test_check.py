"""`uip check` holds the protocol files of a site against their contracts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

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
