"""Partners' own SOAP contracts on both sides of a whole gateway: an order comes by one, and is provisioned by another."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests
import yaml
import zeep
from requests.auth import HTTPBasicAuth

from tests.adapters.soap_foreign.partner import site
from tests.end_to_end.running import World

SECONDS = 20


class Partners(World):
    """The element is a provisioning system over SOAP, and a shop orders by its own contract."""

    ELEMENTS = {"provisioning-soap": 7810}

    def configure(self) -> None:
        file = self.site / "uip.yaml"
        text = file.read_text()
        changed = text.replace("hlr: {protocol: hlr,", "hlr: {protocol: provisioning-soap,").replace(
            "soap: {transport: soap,", "soap: {transport: soap, partners: {/shop/orders: shop},")
        assert changed.count("provisioning-soap") == changed.count("/shop/orders") == 1
        file.write_text(changed)
        shop = site(self.site)
        shop["codes"]["status"] = {"completed": "DONE"}
        for command in shop["serves"]["commands"].values():
            for name, field in command["answer"]["fields"].items():
                if name.endswith("status"):
                    field["otherwise"] = "OPEN"
        (self.site / "protocols/shop.yaml").write_text(yaml.safe_dump(shop))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partners]:
    made = Partners(tmp_path_factory.mktemp("partners"))
    try:
        made.configure()
        made.start()
        yield made
    finally:
        made.close()


def shop(running: Partners) -> zeep.Client:
    session = requests.Session()
    session.auth = HTTPBasicAuth("crm", "crm-secret")
    assert running.gateway is not None
    return zeep.Client(f"http://127.0.0.1:{running.gateway.port('soap')}/shop/orders?wsdl", transport=zeep.Transport(session=session))


def until_done(client: zeep.Client, number: str) -> str:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        status: str = client.service.FindOrder(orderNumber=number).order.status
        if status == "DONE":
            return status
        time.sleep(0.05)
    return status


@pytest.mark.parametrize("customer", ["C1", "C2"])
def test_an_order_by_a_partners_contract_is_provisioned_by_anothers(running: Partners, customer: str) -> None:
    client = shop(running)
    before = len(running.report("provisioning-soap"))
    placed = client.service.PlaceOrder(reference=f"R-{customer}", buyer={"id": customer, "_value_1": "Ann Lee"}, line=[{"plan": "BASIC"}])
    assert until_done(client, placed.orderNumber) == "DONE"
    assert [line["command"] for line in running.report("provisioning-soap")[before:]] == ["Create", "Set", "Set", "Set"]


def test_the_bureaus_refusal_reaches_the_partner(running: Partners) -> None:
    client = shop(running)
    before = len(running.report("provisioning-soap"))
    placed = client.service.PlaceOrder(reference="R-BAD", buyer={"id": "BAD1", "_value_1": "Ann Lee"}, line=[{"plan": "BASIC"}])
    again = client.service.PlaceOrder(reference="R-BAD", buyer={"id": "BAD1", "_value_1": "Ann Lee"}, line=[{"plan": "BASIC"}])
    assert again.orderNumber == placed.orderNumber
    assert client.service.FindOrder(reference="R-BAD").found
    assert len(running.report("provisioning-soap")) == before
