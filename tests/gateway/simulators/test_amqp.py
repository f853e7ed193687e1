"""The other side of a protocol file on a broker: asked by our connector, by a foreign client, and without a broker."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_twisted
import structlog
import yaml
from structlog.testing import CapturingLogger
from twisted.internet import reactor

from adapters.amqp import adapter
from config.documents import SiteError
from config.loader import BUNDLED
from core.credit.objects import QueryBureau
from core.messages.base import Characteristic
from core.messages.catalogue import Catalogue
from core.provisioning.objects import ResourceCommand
from gateway.__main__ import main
from gateway.simulators import Simulated
from gateway.simulators.amqp_partner import Partner
from gateway.simulators.files import read_protocol
from gateway.simulators.trying import Trial
from plugins.api import Connector, Envelope, Surroundings, TryAgain
from protocols.mapping import Definition, Habit
from tests import broker
from tests.adapters.amqp.gate import until

FILE = BUNDLED / "demo/protocols/credit-bureau-amqp.yaml"
sync = pytest_twisted.ensureDeferred


@pytest.fixture(scope="module")
def vhost_url():
    with broker.vhost() as url:
        yield url


@pytest.fixture
def foreign(vhost_url):
    made = broker.Foreign(vhost_url)
    yield made
    made.close()


class Pair:
    """The simulated bureau and the connector that asks it, on a queue of their own."""

    def __init__(self, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *faults: str, **amqp: Any) -> None:
        monkeypatch.setenv("UIP_AMQP_URL", url)
        self.data: dict[str, Any] = yaml.safe_load(FILE.read_text())
        self.queue = "bureau." + secrets.token_hex(4)
        self.data["amqp"] |= {"routing_key": self.queue, **amqp}
        self.data["timeout"] = 0.5 if faults else 5
        file = folder / "bureau.yaml"
        file.write_text(yaml.safe_dump(self.data, sort_keys=False))
        self.report = (folder / "report.jsonl").open("w+")
        self.simulated = Simulated(str(file), [Habit.parse(fault) for fault in faults], self.report)
        around = Surroundings(reactor=reactor, site=folder, catalogue=Catalogue([]), dialects={}, protocols={"bureau": self.data},
                              log=structlog.wrap_logger(CapturingLogger(), processors=[]))
        settings = adapter.connector_settings.model_validate({"protocol": "bureau", "url": url, "retry_first": 0.02, "retry_longest": 0.1})
        self.connector: Connector = adapter.connector("bureau", settings, around)

    async def __aenter__(self) -> Self:
        assert self.simulated.listen(reactor).endswith(":5672")
        await self.simulated.ready()
        await self.connector.start()
        await until(lambda: self.connector.status()["state"] == "connected")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connector.stop()
        await self.simulated.stop()

    async def asked(self, party: str = "C1", attempt: int = 0) -> Any:
        body = QueryBureau(relatedParty={"id": party, "name": "Ann"}, amount={"unit": "EUR", "value": "30.00"})
        return await self.connector.perform(Envelope(body, "m", "c", datetime.now(UTC), attempt=attempt))


@sync
@pytest.mark.parametrize("amqp", [{}, {"body": "xml", "root": "inquiry"},
                                  {"exchange": "bureau.exchange", "routing_key": "ask.{fields.subject.id}"}])
async def test_the_simulated_bureau_is_asked_by_the_connector(vhost_url, tmp_path, monkeypatch, amqp) -> None:
    async with Pair(vhost_url, tmp_path, monkeypatch, **amqp) as pair:
        assert [(await pair.asked(party)).verdict.value for party in ("C1", "REF1", "BAD1")] == ["accept", "refer", "refuse"]


@sync
async def test_a_foreign_client_is_answered_and_what_it_cannot_say_is_told(vhost_url, tmp_path, monkeypatch, foreign) -> None:
    async with Pair(vhost_url, tmp_path, monkeypatch) as pair:
        body = json.dumps({"subject": {"id": "C1"}, "exposure": {"amount": "1.00", "currency": "EUR"}}).encode()
        properties, answer = await foreign.soon("ask", pair.queue, body, exchange="", type="CreditInquiry", correlation_id="c7")
        assert (properties.correlation_id, properties.type, properties.content_type) == ("c7", "CreditInquiry", "application/json")
        assert json.loads(answer)["status"] == {"code": "OK"}
        for wrong, told in ((b"{", "not JSON"), (b'{"subject": {"id": "C1"}}', "exposure: is required")):
            _, answer = await foreign.soon("ask", pair.queue, wrong, exchange="", type="CreditInquiry")
            assert told in json.loads(answer)["status"]["text"]
        _, answer = await foreign.soon("ask", pair.queue, body, exchange="", type="Nonsense")
        assert json.loads(answer)["status"]["code"] == "1003"


@sync
@pytest.mark.parametrize("fault", ["drop:times=1", "half:times=1", "garbage:times=1", "disconnect:times=1", "wrong-code=BUSY:times=1"])
async def test_faults_are_played_and_the_next_answer_is_right(vhost_url, tmp_path, monkeypatch, fault) -> None:
    async with Pair(vhost_url, tmp_path, monkeypatch, fault) as pair:
        with pytest.raises(TryAgain):
            await pair.asked()
        if fault.startswith("disconnect"):
            await pair.simulated.ready()
        pair.connector._definition = pair.connector._definition.model_copy(update={"timeout": 5})
        assert (await pair.asked(attempt=1)).verdict.value == "accept"


@sync
async def test_what_the_broker_delivers_again_is_not_carried_out_again(vhost_url, tmp_path, monkeypatch, foreign) -> None:
    monkeypatch.setenv("UIP_AMQP_URL", vhost_url)
    data = yaml.safe_load(FILE.read_text())
    queue = data["amqp"]["routing_key"] = "element." + secrets.token_hex(4)
    data["simulator"]["commands"] = {"Add": {"does": "create", "key": "$asked.id", "set": {"id": {"from": "$asked.id"}}}}
    data["simulator"]["habits"] = []
    file = tmp_path / "bureau.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    simulated = Simulated(str(file))
    simulated.listen(reactor)
    await simulated.ready()
    try:
        body = b'{"id": "1"}'
        _, first = await foreign.soon("ask", queue, body, exchange="", type="Add", message_id="m1")
        await foreign.soon("publish", queue, body, exchange="", type="Add", message_id="m1", reply_to=foreign.inbox)
        _, other = await foreign.soon("ask", queue, body, exchange="", type="Add", message_id="m2")
        assert (json.loads(first)["status"]["code"], json.loads(other)["status"]["code"]) == ("OK", "3002")
        assert simulated.simulation.applied == 1
    finally:
        await simulated.stop()


@sync
async def test_the_file_to_begin_with_is_driven_on_a_broker(vhost_url, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UIP_AMQP_URL", vhost_url)
    name = "partner-" + secrets.token_hex(4)
    assert main(["new-protocol", name, "--transport", "amqp", "--into", str(tmp_path)]) == 0
    file = tmp_path / f"{name}.yaml"
    around = Surroundings(reactor=reactor, site=tmp_path, catalogue=Catalogue([]), dialects={},
                          protocols={name: yaml.safe_load(file.read_text())}, log=structlog.wrap_logger(CapturingLogger(), processors=[]))
    connector: Connector = adapter.connector(name, adapter.connector_settings.model_validate({"protocol": name, "url": vhost_url}), around)
    simulated = Simulated(str(file))
    simulated.listen(reactor)
    await simulated.ready()
    await connector.start()
    try:
        await until(lambda: connector.status()["state"] == "connected")
        for command, value in (("createSubscriber", ("msisdn", "4790000001")), ("noteSubscriber", ("text", "a good customer"))):
            body = ResourceCommand(workOrder="w", command=command, parameter=tuple(
                Characteristic(name=n, value=v) for n, v in (("imsi", "240010000000001"), value)))
            assert (await connector.perform(Envelope(body, command, "c", datetime.now(UTC)))).done
        assert simulated.simulation.records()["240010000000001"]["msisdn"] == "4790000001"
    finally:
        await connector.stop()
        await simulated.stop()


def test_without_a_broker_s_name_there_is_no_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UIP_AMQP_URL", raising=False)
    with pytest.raises(ValueError, match="UIP_AMQP_URL must name the broker"):
        Simulated("credit-bureau-amqp").listen(reactor)


def definition(**amqp: Any) -> Definition:
    data = yaml.safe_load(FILE.read_text())
    data["amqp"] = {**data["amqp"], **amqp}
    return Definition.load(data)


@pytest.mark.parametrize(("amqp", "queues"), [
    ({"routing_key": "q"}, [("q", "", ())]),
    ({"exchange": "x", "routing_key": "a.{command}.b"}, [("credit-bureau-amqp.sim.x", "x", ("a.CreditInquiry.b",))]),
    ({"exchange": "x", "routing_key": "a.{fields.subject.id}.b"}, [("credit-bureau-amqp.sim.x", "x", ("a.#.b",))]),
    ({"exchange": "x", "routing_key": "$fields.key"}, [("credit-bureau-amqp.sim.x", "x", ("#",))]),
    ({"commands": {"CreditInquiry": {"exchange": "y", "routing_key": "k"}}}, [("credit-bureau-amqp.sim.y", "y", ("k",))]),
])
def test_the_partner_s_queues_follow_from_the_file(amqp: dict[str, Any], queues: list[Any]) -> None:
    assert [tuple(queue) for queue in Partner(definition(**amqp)).queues] == queues


def test_a_queue_whose_name_depends_on_the_fields_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="names no queue"):
        Partner(definition(routing_key="to.{fields.subject.id}"))


# `uip try`.

SHOP = """
protocol: shop
transport: amqp
amqp: {consumes: {queue: shop.orders, command: $headers.action, fields: {msg: $messageId}, code: result, text: why}}
serves:
  success: {code: "OK"}
  failures: {notFound: {code: E404, text: "{message}"}, invalid: {code: E400, text: "{field}: {message}"}}
  commands:
    show:
      request: GetProductOrder
      ignores: [msg]
      takes: {id: {from: $number, required: true}}
      answer: {fields: {orderNumber: {from: $id}, state: {from: $state}}}
"""


def tried(folder: Path, sample: dict[str, Any], reply: Any = None) -> Trial:
    file = folder / "shop.yaml"
    file.write_text(SHOP)
    return Trial(*read_protocol(str(file)), reply).run(json.dumps(sample).encode())


def test_a_served_message_shows_message_object_and_reply(tmp_path: Path) -> None:
    trial = tried(tmp_path, {"headers": {"action": "show"}, "body": {"number": "O-7"}})
    assert not trial.failed, trial.told
    assert "GetProductOrder:" in trial.told
    assert '{"orderNumber":"O-7","state":"acknowledged","result":"OK","why":"Operation succeeded"}' in trial.told


@pytest.mark.parametrize(("sample", "reply", "told", "failed"), [
    ({"headers": {"action": "show"}, "body": {}}, None, '"result":"E400","why":"number: is required"', True),
    ({"headers": {"action": "shwo"}, "body": {}}, None, '"result":"unknownOperation"', True),
    ({"headers": {"action": "show"}, "body": "{"}, None, '"result":"malformed"', True),
    ({"headers": {"action": "show"}, "body": {"number": "1"}}, {"fault": {"code": "notFound", "message": "no order 1"}},
     '"result":"E404","why":"no order 1"', False),
    ({"hedders": {}}, None, "FAILED: a sample for amqp is JSON", True),
])
def test_what_is_wrong_is_shown_as_the_partner_is_told(tmp_path: Path, sample: Any, reply: Any, told: str, failed: bool) -> None:
    trial = tried(tmp_path, sample, reply)
    assert told in trial.told, trial.told
    assert trial.failed is failed, trial.told


def test_a_file_whose_partner_cannot_be_played_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP)
    with pytest.raises(SiteError, match="no `simulator:` section"):
        Simulated(str(tmp_path / "shop.yaml"))
