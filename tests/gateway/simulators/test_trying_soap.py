"""`uip try` on envelopes: a partner's contract that is served, and one that is simulated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.simulators.files import read_protocol
from gateway.simulators.trying import Trial
from tests.adapters.soap_foreign.partner import site

ENVELOPE = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'
ORDER = ('<PlaceOrder xmlns="urn:shop:orders"><reference>R-1</reference><buyer id="C1">Ann Lee</buyer>'
         '<line count="{}"><plan>{}</plan></line></PlaceOrder>')
ASK = ('<GetCreditReport xmlns="urn:uip:demo:credit-bureau:1"><subject><partyId>{}</partyId></subject>'
       '<exposure currency="EUR">30.00</exposure></GetCreditReport>')


def tried(file: Path | str, body: str, reply: Any = None) -> Trial:
    return Trial(*read_protocol(str(file)), reply).run(ENVELOPE.format(body).encode())


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    data = site(tmp_path)
    file = tmp_path / "protocols" / "shop.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


def test_a_served_request_shows_message_object_and_reply(shop: Path) -> None:
    trial = tried(shop, ORDER.format(2, "BASIC"))
    assert not trial.failed, trial.told
    for told in ("reference: R-1", "SubmitProductOrder:", "productOffering: mobile-basic", "quantity: 2", "<status>OPEN</status>"):
        assert told in trial.told.replace("ns0:", "").replace("o:", ""), trial.told


def test_every_failed_check_is_shown_and_the_fault_is_the_partner_s(shop: Path) -> None:
    trial = tried(shop, ORDER.format(0, "GOLD"))
    assert trial.failed
    assert "FAILED: line[0].plan: must be one of BASIC, PLUS" in trial.told
    assert ">12<" in trial.told, "the file's own number of a failed check"


def test_a_given_failure_is_said_as_the_file_has_it(shop: Path) -> None:
    trial = tried(shop, '<FindOrder xmlns="urn:shop:orders"><orderNumber>7</orderNumber></FindOrder>',
                  {"fault": {"code": "notFound", "message": "no order 7"}})
    assert "found>false<" in trial.told


def test_the_same_is_said_whenever_a_sample_is_tried(shop: Path) -> None:
    data = yaml.safe_load(shop.read_text())
    wsdl = shop.parent / "wsdl/shop.wsdl"
    header = '<soap:header message="o:Ticket" part="Ticket" use="literal"/>'
    wsdl.write_text(wsdl.read_text().replace("<wsdl:output><soap:body", f"<wsdl:output>{header}<soap:body"))
    data["soap"]["reply_headers"] = {"Ticket": {"from": "{command} {now}"}}
    shop.write_text(yaml.safe_dump(data, sort_keys=False))
    assert ">PlaceOrder 2026-01-01T00:00:00+00:00<" in tried(shop, ORDER.format(2, "BASIC")).told


@pytest.mark.parametrize(("party", "told"), [("C1", "ACCEPT"), ("BAD1", "DECLINE"), ("SLOW1", "ACCEPT")])
def test_a_simulated_partner_answers(party: str, told: str) -> None:
    trial = tried("credit-bureau-soap", ASK.format(party))
    assert (trial.failed, told in trial.told) == (False, True), trial.told


@pytest.mark.parametrize("body", ["", "<Fly xmlns='urn:x'/>", "<GetCreditReport xmlns='urn:uip:demo:credit-bureau:1'/>"])
def test_what_does_not_fit_the_contract_is_said(body: str) -> None:
    trial = tried("credit-bureau-soap", body)
    assert trial.failed
    assert "Fault" in trial.told


def test_a_sample_that_is_neither_is_refused() -> None:
    trial = Trial(*read_protocol("credit-bureau-soap")).run(b"CHK CREDIT;")
    assert (trial.failed, "or an envelope" in trial.told) == (True, True)
    asked = {"operation": "QueryBureau", "data": {"relatedParty": {"id": "C1", "name": "n"}, "amount": {"unit": "EUR", "value": "1"}}}
    assert "verdict: accept" in Trial(*read_protocol("credit-bureau-soap")).run(json.dumps(asked).encode()).told
