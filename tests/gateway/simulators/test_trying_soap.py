"""Trying a protocol file on an envelope: served requests with their replies and failures (the bundled samples show the rest)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.simulators.files import read_protocol
from gateway.simulators.trying import Trial
from tests.adapters.soap_foreign.partner import site

PLACE = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:o="urn:shop:orders"><e:Body><o:PlaceOrder>'
         '<o:reference>R-1</o:reference><o:buyer id="C1">Ann</o:buyer><o:line count="2"><o:plan>BASIC</o:plan></o:line>'
         "</o:PlaceOrder></e:Body></e:Envelope>")


def trial(folder: Path, sample: str, reply: dict[str, Any] | None = None) -> Trial:
    data = site(folder)
    file = folder / "protocols/shop.yaml"
    file.write_text(yaml.safe_dump(data))
    return Trial(*read_protocol(str(file)), reply).run(sample.encode())


def test_a_served_request_shows_its_object_and_its_reply(tmp_path: Path) -> None:
    tried = trial(tmp_path, PLACE)
    assert not tried.failed, tried.told
    for told in ("SubmitProductOrder:", "productOffering: mobile-basic", "idempotencyKey: R-1", ":PlaceOrderResponse", ":orderNumber>"):
        assert told in tried.told


def test_a_failure_is_told_and_said_in_the_partners_words(tmp_path: Path) -> None:
    tried = trial(tmp_path, PLACE.replace("BASIC", "GOLD"))
    assert tried.failed
    assert "FAILED: productOrderItem[0].productOffering: must be one of BASIC, PLUS" in tried.told
    assert ":number>12</" in tried.told


def test_the_reply_to_give_may_be_a_fault(tmp_path: Path) -> None:
    tried = trial(tmp_path, PLACE, {"fault": {"code": "state", "message": "not now"}})
    assert not tried.failed
    assert ":number>14</" in tried.told


@pytest.mark.parametrize(("sample", "why"), [
    ("<a", "not well-formed"), (PLACE.replace("R-1", "not one"), "reference: The value is not accepted by the pattern"),
    (PLACE.replace("PlaceOrder", "Login"), "element"), ("<a/>", "not a SOAP envelope")])
def test_what_the_contract_does_not_allow(tmp_path: Path, sample: str, why: str) -> None:
    tried = trial(tmp_path, sample)
    assert tried.failed
    assert why in tried.told
