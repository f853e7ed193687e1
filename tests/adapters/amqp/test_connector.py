"""A bureau behind a broker, asked as its protocol file says; the bureau knows nothing of us."""

from __future__ import annotations

import json
import secrets
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pika
import pytest
import pytest_twisted
import structlog
import yaml
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from adapters.amqp import adapter
from adapters.drivers import NotSent, OutcomeUnknown
from core.credit.objects import BureauReport, QueryBureau
from plugins.api import Envelope, Failure, Kind, Surroundings, TryAgain
from tests.adapters.amqp.gate import Gate, until
from tests.adapters.amqp.proxy import Proxy

sync = pytest_twisted.ensureDeferred
FILE = yaml.safe_load((Path(__file__).parents[3] / "config/site/demo/protocols/credit-bureau-amqp.yaml").read_text())
GOOD = {"status": {"code": "OK"}, "report": {"agency": "B", "advice": "GO", "score": 700, "reference": "R1", "limit": "5000.00"}}


class World:
    def __init__(self, url, site):
        self.url = url
        self.site = site
        self.connectors = []

    async def connector(self, changes=None, **settings):
        file = deepcopy(FILE)
        queue = "bureau." + secrets.token_hex(4)
        file["amqp"] |= {"routing_key": queue, **(changes or {})}
        around = Surroundings(reactor=reactor, site=self.site, catalogue=Gate.catalogue, dialects={},
                              protocols={"credit-bureau-amqp": file}, log=structlog.get_logger())
        model = adapter.connector_settings.model_validate({"protocol": "credit-bureau-amqp", "url": self.url, "retry_first": 0.02,
                                                           "retry_longest": 0.1, **settings})
        connector = adapter.connector("bureau", model, around)
        self.connectors.append(connector)
        await connector.start()
        await until(lambda: connector.status()["state"] == "connected")
        return connector, queue

    async def close(self):
        for connector in self.connectors:
            await connector.stop()


@pytest.fixture
def world(vhost_url, tmp_path):
    world = World(vhost_url, tmp_path)
    yield world
    pytest_twisted.blockon(Deferred.fromCoroutine(world.close()))


def question(attempt=0):
    body = QueryBureau(relatedParty={"id": "C1", "name": "Ann & Co"}, amount={"unit": "EUR", "value": "40.10"})
    return Envelope(body, "m1", "c1", datetime.now(UTC), attempt=attempt)


def bureau(foreign, queue):
    """Makes the bureau's queue, and the two things it does with a message."""
    foreign.channel.queue_declare(queue)

    def reply(properties, body, **more):
        foreign.channel.basic_publish("", properties.reply_to, body if isinstance(body, bytes) else json.dumps(body).encode(),
                                      pika.BasicProperties(**{"correlation_id": properties.correlation_id, **more}), mandatory=True)

    foreign.reply = reply


@sync
async def test_a_question_and_its_answer(world, foreign):
    connector, queue = await world.connector()
    bureau(foreign, queue)
    waiting = Deferred.fromCoroutine(connector.perform(question()))
    properties, body = await foreign.soon("get", queue)
    assert (properties.type, properties.content_type, properties.headers) == ("CreditInquiry", "application/json", {"schema": "2"})
    assert properties.message_id == properties.correlation_id
    assert properties.expiration == "5000"
    assert b'"amount":40.10' in body  # a number, with its digits
    assert json.loads(body) == {"subject": {"id": "C1", "name": "Ann & Co"}, "exposure": {"amount": 40.1, "currency": "EUR"}}
    await foreign.soon("reply", properties, GOOD)
    assert await waiting == BureauReport(agency="B", verdict="accept", score=700, reference="R1", limit=Decimal("5000.00"))


@sync
async def test_answers_find_their_questions(world, foreign):
    connector, queue = await world.connector()
    bureau(foreign, queue)
    waiting = [Deferred.fromCoroutine(connector.perform(question())) for _ in range(5)]
    asked = [(await foreign.soon("get", queue))[0] for _ in range(5)]
    for n in (3, 0, 4, 1, 2):
        await foreign.soon("reply", asked[n], {**GOOD, "report": {**GOOD["report"], "reference": f"R{n}"}})
    assert [(await w).reference for w in waiting] == [f"R{n}" for n in range(5)]


@sync
async def test_answers_that_are_nobodys_are_dropped(world, foreign):
    connector, queue = await world.connector()
    bureau(foreign, queue)
    waiting = Deferred.fromCoroutine(connector.perform(question()))
    properties, _ = await foreign.soon("get", queue)
    for wrong in ("somebody else's", None):
        await foreign.soon("reply", properties, GOOD, correlation_id=wrong)
    await foreign.soon("reply", properties, GOOD)
    await foreign.soon("reply", properties, GOOD)  # twice
    assert (await waiting).agency == "B"
    assert connector.status()["waiting"] == 0


@pytest.mark.parametrize(("answer", "properties", "error"), [
    ({"status": {"code": "BUSY", "text": "full"}}, {}, TryAgain),
    ({"status": {"code": "NOPE", "text": "unknown party"}}, {}, Failure),
    (b"{not json", {}, TryAgain),
])
@sync
async def test_other_answers(world, foreign, answer, properties, error):
    connector, queue = await world.connector()
    bureau(foreign, queue)
    waiting = Deferred.fromCoroutine(connector.perform(question()))
    asked, _ = await foreign.soon("get", queue)
    await foreign.soon("reply", asked, answer, **properties)
    with pytest.raises(error) as caught:
        await waiting
    if error is Failure:
        assert caught.value.kind is Kind.STATE
        assert "unknown party" in caught.value.message


@sync
async def test_no_queue_takes_the_question(world):
    """The broker says so at once: nothing was sent, and it is tried again."""
    connector, _ = await world.connector()
    with pytest.raises(NotSent, match="NO_ROUTE"):
        await connector._client.request({"command": "CreditInquiry", "fields": {}})
    with pytest.raises(TryAgain):
        await connector.perform(question())


@sync
async def test_connection_lost_before_the_answer(world, foreign):
    proxy = Proxy()
    proxy.listen()
    world.url = world.url.replace(":5672/", f":{proxy.port}/")
    connector, queue = await world.connector()
    bureau(foreign, queue)
    waiting = Deferred.fromCoroutine(connector._client.request({"command": "CreditInquiry", "fields": {}}))
    await foreign.soon("get", queue)
    proxy.cut()
    with pytest.raises(OutcomeUnknown):
        await waiting
    await until(lambda: connector.status()["state"] == "connected")
    again = Deferred.fromCoroutine(connector.perform(question(attempt=1)))
    asked, _ = await foreign.soon("get", queue)
    await foreign.soon("reply", asked, GOOD)
    assert (await again).agency == "B"
    await connector.stop()
    await proxy.close()


@sync
async def test_what_nobody_answers_is_done_when_the_broker_has_it(world, foreign):
    connector, queue = await world.connector({"answered": False, "headers": {"of": "{command} of {fields.id}", "not": "$fields.none"}})
    bureau(foreign, queue)
    assert (await connector._client.request({"command": "Tell", "fields": {"id": "7"}}))["retcode"] == "0"
    properties, body = await foreign.soon("get", queue)
    assert (properties.reply_to, properties.expiration, properties.delivery_mode) == (None, None, 2)
    assert properties.headers == {"of": "Tell of 7"}
    assert json.loads(body) == {"id": "7"}


@sync
async def test_in_xml(world, foreign):
    connector, queue = await world.connector({"body": "xml", "namespace": "urn:bureau", "attributes": ["exposure.currency"]})
    bureau(foreign, queue)
    waiting = Deferred.fromCoroutine(connector.perform(question()))
    properties, body = await foreign.soon("get", queue)
    assert properties.content_type == "application/xml"
    assert body == (b'<CreditInquiry xmlns="urn:bureau"><subject><id>C1</id><name>Ann &amp; Co</name></subject>'
                    b'<exposure currency="EUR"><amount>40.10</amount></exposure></CreditInquiry>')
    await foreign.soon("reply", properties, b'<?xml version="1.0"?><r:Report xmlns:r="urn:bureau"><r:status code="OK"/><r:report>'
                                            b"<agency>B</agency><advice>STOP</advice><limit>0.00</limit></r:report></r:Report>")
    assert await waiting == BureauReport(agency="B", verdict="refuse", limit=Decimal("0.00"))
