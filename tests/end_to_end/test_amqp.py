"""The native AMQP listener seen from outside, beside the other protocols, with a broker's virtual host of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Foreign, vhost
from tests.end_to_end.running import (
    MmlClient,
    World,
    element,
    environment,
    field,
    json_lines,
    retcode,
    soap,
    submit_body,
    uip,
    until_final,
    world,
)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    with vhost() as url, world(tmp_path_factory.mktemp("world"), UIP_AMQP_URL=url) as made:
        made.start()
        yield made, url


@pytest.fixture
def foreign(running) -> Foreign:
    return Foreign(running[1])


def order(ext: str, customer: str = "C1") -> str:
    return json.dumps({"externalId": ext, "relatedParty": {"id": customer, "name": "Ann Lee", "role": "customer"},
                       "productOrderItem": [{"id": "1", "action": "add", "quantity": 1, "productOffering": "mobile-basic"}]})


def ask(foreign: Foreign, request: str, body: str, key: str) -> tuple[str, dict[str, object]]:
    foreign.publish(request, body, message_id=key, reply_to=foreign.inbox, correlation_id=f"c-{key}")
    properties, reply = foreign.get()
    assert properties.correlation_id == f"c-{key}"
    return properties.type, json.loads(reply)


def test_an_order_by_amqp_is_completed_and_its_events_are_heard(running, foreign):
    foreign.channel.queue_bind(foreign.channel.queue_declare("heard", exclusive=True).method.queue, "uip.events", "#")
    kind, reply = ask(foreign, "SubmitProductOrder", order("A-1"), "A-1")
    assert (kind, reply["state"]) == ("ProductOrder", "acknowledged")
    mml = MmlClient(running[0].gateway.port("mml"))
    assert field(until_final(mml, str(reply["id"])), "state") == "completed"
    mml.close()
    heard = {}
    while "completed" not in heard.get("ProductOrderStateChangeEvent", ""):
        properties, body = foreign.get("heard")
        heard[properties.type] = body.decode()
    assert "ProductOrderCreateEvent" in heard


def test_the_same_key_by_another_protocol_is_the_same_order(running, foreign):
    _, reply = ask(foreign, "SubmitProductOrder", order("A-2", "C3"), "A-2")
    status, again = soap(running[0].gateway.port("soap"), submit_body("A-2", customer="C3"), key="A-2")
    assert (status, element(again, "id")) == (200, reply["id"])
    mml = MmlClient(running[0].gateway.port("mml"))
    answer = mml.ask('ADD ORDER:EXTID="A-2",CUSTID="C3",CUSTNAME="Ann Lee",OFFER="mobile-basic",MSGID="A-2";')
    assert (retcode(answer), field(answer, "id")) == (0, reply["id"])
    assert ask(foreign, "SubmitProductOrder", order("A-2", "C4"), "A-2")[1]["code"] == "conflict"
    mml.close()


@pytest.mark.parametrize(("request_name", "body", "code"), [
    ("SubmitProductOrder", '{"externalId": 1}', "invalid"),
    ("GetProductOrder", '{"id": "nope"}', "notFound"),
    ("FlyToTheMoon", "{}", "unknownOperation"),
])
def test_a_refusal_is_answered_as_a_fault(foreign, request_name, body, code):
    kind, fault = ask(foreign, request_name, body, f"F-{code}")
    assert (kind, fault["code"]) == ("Fault", code)
    assert fault["correlationId"]


def test_what_cannot_be_read_is_kept_with_its_reason_and_disturbs_nobody(foreign):
    foreign.publish("SubmitProductOrder", b"\xff{not json", message_id="bad-1")
    properties, body = foreign.get("uip.dead")
    assert body == b"\xff{not json"
    assert "malformed" in str(properties.headers)
    assert ask(foreign, "GetSystemStatus", "{}", "after")[0] == "SystemStatus"


def test_bench_loads_by_amqp_and_takes_only_accepted_orders_for_answers(running):
    made, url = running
    command = uip("bench", "--site", made.site, "--only", "amqp", "--requests", "50", "--amqp-url", url, "--json", "rows.jsonl")
    told = subprocess.run(command, env=environment(), cwd=made.folder, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    [row] = [json.loads(line) for line in (made.folder / "rows.jsonl").read_text().splitlines()]
    assert (row["name"], row["requests"]) == ("amqp submit", 50)


def test_nothing_went_wrong_in_the_log(running):
    assert [line for line in json_lines(Path(running[0].folder) / "gateway.log") if line["level"] == "error"] == []
