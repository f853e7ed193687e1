"""Every bundled dialect, both roles at once: our connector against our listener, over real sockets."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import pytest_twisted
import structlog
from structlog.testing import CapturingLogger
from twisted.internet import reactor

from adapters.mml.connector import MmlClient
from adapters.mml.settings import ConnectorSettings
from plugins.api import Catalogue, Surroundings
from protocols.mml import Dialect
from tests.adapters.mml.bed import DIALECTS, ROOT, Bed, pause

async_test = pytest_twisted.ensureDeferred


def place(name: str, width: int = 24) -> dict[str, Any]:
    return {"name": name, "width": width}


@pytest.fixture(autouse=True)
def layouts_of_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed records say nothing that has no layout: those of this test's commands and answers."""
    data = copy.deepcopy(DIALECTS["records-fixed"])
    record = data["record"]
    head, answer = record["layouts"]["*"], record["answers"]["*"]
    record["layouts"] |= {"LST ORDER": [*head, place("ORDERID")], "FLY ORDER": [*head, place("A")]}
    names = ["id", "href", "externalId", "state", "orderDate", "relatedParty_id", "relatedParty_name", "relatedParty_role"]
    items = ["id", "action", "quantity", "productOffering", "state"]
    record["answers"] |= {"LST ORDER": [*answer, *map(place, names)], "ROW": [*head, place("TABLE"), *map(place, items)]}
    monkeypatch.setitem(DIALECTS, "records-fixed", data)


def client_of(bed: Bed, dialect: str, secret: str = "crm-secret", **settings: Any) -> MmlClient:
    bed.said = CapturingLogger()
    around = Surroundings(reactor=reactor, site=ROOT, catalogue=Catalogue(()), dialects=DIALECTS, protocols={},
                          log=structlog.wrap_logger(bed.said, processors=[]))
    given = ConnectorSettings.model_validate({"protocol": "x", "port": bed.port, "user": "crm", "secret": secret, **settings})
    return MmlClient("peer", given, around, Dialect.load(DIALECTS[dialect]), timeout=5, window=8)


async def until(client: MmlClient, state: str) -> None:
    for _ in range(500):
        if client.status()["state"] == state:
            return
        await pause(0.002)
    raise AssertionError(client.status())


@async_test
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
async def test_login_commands_refusals_and_alarms_of_none(dialect: str) -> None:
    async with Bed(dialect) as bed:
        client = client_of(bed, dialect)
        list_order = "LST ORDER" if client.dialect.command.max_words > 1 else "LSTORDER"
        await client.start()
        try:
            await until(client, "up")
            (session,) = bed.sessions
            assert session.party == "crm"
            reply = await client.request({"command": list_order, "fields": {"ORDERID": "PO1"}})
            means = client.dialect.results.means
            assert means(reply["retcode"]) == "success", reply
            said = reply["fields"] or reply["tables"]["rows"][0]  # TL1 has rows only
            fields = {name.lower().replace(".", "_"): value for name, value in said.items()}
            assert (fields["state"], fields["relatedparty_name"]) == ("completed", "Ann")
            assert bed.core.asked[0].body.id == "PO1"
            for order, meaning in (("missing", "not_found"), ("broken", "refused")):
                reply = await client.request({"command": list_order, "fields": {"ORDERID": order}})
                assert means(reply["retcode"]) == meaning, reply
            reply = await client.request({"command": list_order.replace("LST", "FLY"), "fields": {"A": "1"}})
            assert means(reply["retcode"]) == "refused", reply
            reply = await client.request({"command": list_order, "fields": {"ORDERID": "PO2"}})
            assert means(reply["retcode"]) == "success"
            assert client.alarms == 0
        finally:
            await client.stop()


@async_test
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
async def test_a_wrong_password_is_refused_and_never_logged(dialect: str) -> None:
    async with Bed(dialect) as bed:
        client = client_of(bed, dialect, secret="not-the-secret")
        await client.start()
        try:
            await until(client, "waiting")
            assert "refused" in client.status()["last_error"]
            assert "not-the-secret" not in repr(bed.said.calls)
            assert not bed.core.asked
        finally:
            await client.stop()
