"""A foreign system's own messages, taken from its own queue and served as a protocol file says."""

from __future__ import annotations

import json
import secrets
from copy import deepcopy
from datetime import UTC, datetime

import pytest
import pytest_twisted
import yaml

from adapters.amqp import adapter
from core.orders.objects import ProductOrderStateChangeEvent
from plugins.api import Envelope, Failure, Kind, Surroundings
from protocols.mapping import Definition
from tests.adapters.amqp.gate import order, until

sync = pytest_twisted.ensureDeferred

FILE = yaml.safe_load("""
protocol: shop
transport: amqp
amqp:
  headers: {tenant: north}
  consumes:
    queue: shop.orders
    declare: true
    command: $headers.action
    fields: {msg: $messageId, tenant: $headers.tenant}
    code: result
    text: null
  events:
    ProductOrderStateChangeEvent:
      exchange: shop.news
      routing_key: order.{fields.state}
      type: OrderNews
      fields: {order: {from: $productOrder.id}, state: {from: $productOrder.state}}
serves:
  success: {code: "OK"}
  failures:
    notFound: {code: "E404", text: "{message}"}
  commands:
    place:
      request: SubmitProductOrder
      ignores: [tenant]
      context: {idempotencyKey: {from: "shop-{msg}"}}
      takes:
        externalId: {from: $ref, required: true, max_length: 20}
        relatedParty.id: {from: $customer.number, required: true}
        relatedParty.name: {from: $customer.name, required: true}
        productOrderItem:
          list:
            of:
              - action: {from: add}
                productOffering: {from: $product, required: true}
      answer: {fields: {orderNumber: {from: $id}, state: {from: $state}}}
    show:
      request: GetProductOrder
      ignores: [tenant, msg]
      takes: {id: {from: $number}}
      answer: {fields: {orderNumber: {from: $id}}}
""")
PLACE = {"ref": "X1", "customer": {"number": "C1", "name": "Ann"}, "product": "mobile-basic"}


class World:
    def __init__(self, gate):
        self.gate = gate
        self.queue = secrets.token_hex(4) + ".shop"

    async def listen(self, changes=None):
        file = deepcopy(FILE)
        file["amqp"] |= changes or {}
        file["amqp"]["consumes"]["queue"] = self.queue
        file["amqp"]["events"]["ProductOrderStateChangeEvent"]["exchange"] = self.queue + ".news"
        self.gate.protocols = {"shop": file}
        listener, prefix = await self.gate.listen(protocol="shop")
        return listener, f"{prefix}.dead"


@pytest.fixture
def world(gate):
    return World(gate)


def ask(foreign, world, action, body, **properties):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return foreign.soon("ask", world.queue, data, exchange="", headers={"action": action, "tenant": "north"},
                        **{"type": None, **properties})


@sync
async def test_a_foreign_request_is_served(world, gate, foreign):
    await world.listen()
    properties, body = await ask(foreign, world, "place", PLACE, message_id="m1", correlation_id="c1")
    assert json.loads(body) == {"orderNumber": "PO1", "state": "acknowledged", "result": "OK"}
    assert (properties.correlation_id, properties.content_type) == ("c1", "application/json")
    [envelope] = gate.taken
    assert (envelope.type, envelope.idempotency_key, envelope.party) == ("SubmitProductOrder", "shop-m1", "crm")
    assert envelope.body.externalId == "X1"
    assert envelope.body.productOrderItem[0].productOffering == "mobile-basic"


@sync
async def test_in_xml(world, gate, foreign):
    await world.listen({"body": "xml"})
    xml = b"<order><ref>X1</ref><customer number='C1'><name>Ann</name></customer><product>mobile-basic</product></order>"
    properties, body = await ask(foreign, world, "place", xml, message_id="m1")
    assert body == b"<placeResponse><orderNumber>PO1</orderNumber><state>acknowledged</state><result>OK</result></placeResponse>"
    assert properties.content_type == "application/xml"
    assert gate.taken[0].body.relatedParty.id == "C1"
    properties, body = await ask(foreign, world, "place", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>")
    assert b"<result>malformed</result>" in body


@sync
async def test_failures_are_said_in_the_files_way(world, gate, foreign):
    _, dead = await world.listen()
    _, body = await ask(foreign, world, "place", {**PLACE, "ref": "X" * 21})
    assert json.loads(body) == {"result": "invalid"}
    _, body = await ask(foreign, world, "plaice", PLACE)
    assert json.loads(body) == {"result": "unknownOperation"}

    def absent(envelope):
        raise Failure(Kind.NOT_FOUND, "no order 7", "id")

    gate.answer = absent
    _, body = await ask(foreign, world, "show", {"number": "7"})
    assert json.loads(body)["result"] == "E404"
    assert await foreign.soon("depth", dead) == 0


@sync
async def test_what_cannot_be_read_is_told_and_kept(world, gate, foreign):
    _, dead = await world.listen()
    _, body = await ask(foreign, world, "place", b"{no json")
    assert json.loads(body) == {"result": "malformed"}
    letter, text = await foreign.soon("get", dead)
    assert text == b"{no json"
    assert letter.headers["uip-reason"] == "malformed"
    assert letter.headers["action"] == "place"


@sync
async def test_our_events_are_told_their_way(world, gate, foreign):
    listener, _ = await world.listen()
    foreign.channel.exchange_declare(world.queue + ".news", "topic")
    await foreign.soon("subscribe", world.queue + ".news", "order.acknowledged")
    event = ProductOrderStateChangeEvent(productOrder=order(5))
    await listener.publish(Envelope(event, message_id="e1", correlation_id="c1", occurred_at=datetime.now(UTC)))
    properties, body = await foreign.soon("get")
    assert (properties.type, properties.message_id, properties.headers) == ("OrderNews", "e1", {"tenant": "north"})
    assert json.loads(body) == {"order": "PO5", "state": "acknowledged"}
    other = Envelope(order(6), message_id="e2", correlation_id="c1", occurred_at=datetime.now(UTC))
    await listener.publish(other)  # an event the file says nothing of
    assert await foreign.soon("get", wait=0.1) is None


@sync
async def test_a_queue_that_is_not_ours_to_make_has_to_be_there(world, gate, foreign):
    changed = {"consumes": {**FILE["amqp"]["consumes"], "declare": False}}
    foreign.channel.queue_declare(world.queue)
    listener, _ = await world.listen(changed)
    assert listener.status()["state"] == "consuming"
    _, body = await ask(foreign, world, "place", PLACE)
    assert json.loads(body)["result"] == "OK"
    await until(lambda: listener.status()["in_flight"] == 0)
    # It is somebody else's: nothing of ours is ever put into it.
    await listener._consumer.prove()
    assert listener.status()["answered"] == 1


def test_a_file_that_serves_nothing_is_refused(gate, tmp_path):
    file = deepcopy(FILE)
    del file["amqp"]["consumes"]
    around = Surroundings(reactor=None, site=tmp_path, catalogue=gate.catalogue, dialects={}, protocols={"shop": file}, log=gate.log)
    settings = adapter.listener_settings.model_validate({"url": gate.url, "protocol": "shop"})
    with pytest.raises(ValueError, match="serves nothing"):
        adapter.listener("shop", settings, gate, around)
    Definition.load(FILE)
