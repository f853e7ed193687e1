"""WS-Addressing and content codings over real sockets."""

from __future__ import annotations

import gzip
import re

import pytest
from lxml import etree
from pytest_twisted import async_yield_fixture, ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.protocols.soap.messages import GET, SUBMIT, key, soap

WSA = "http://www.w3.org/2005/08/addressing"


def addressed(*, message_id: str | None = "urn:uuid:1", **more: str) -> str:
    parts = {"MessageID": message_id, **more}
    return "".join(f'<a:{k} xmlns:a="{WSA}">{v if k not in ("ReplyTo", "FaultTo") else f"<a:Address>{v}</a:Address>"}</a:{k}>'
                   for k, v in parts.items() if v is not None)


def header(answer, name: str) -> str | None:
    return etree.fromstring(answer.body).findtext(f".//{{{WSA}}}{name}")


@ensureDeferred
async def test_an_answer_relates_to_its_request_and_the_message_id_is_the_key(port):
    first, second = [await port.ask(soap(SUBMIT, addressed())) for _ in range(2)]
    assert first.status == 200
    assert first.body == second.body
    assert header(first, "RelatesTo") == "urn:uuid:1"
    assert header(first, "MessageID").startswith("urn:uuid:")
    assert header(first, "Action") == "urn:uip:1:UIP:SubmitProductOrderResponse"
    assert len(port.gateway.orders) == 1
    own = await port.ask(soap(SUBMIT, addressed() + key("mine")))
    assert own.status == 200
    assert port.gateway.calls[-1][2].idempotency_key == "mine"


@ensureDeferred
async def test_a_fault_relates_too(port):
    answer = await port.ask(soap(GET, addressed()))
    assert header(answer, "RelatesTo") == "urn:uuid:1"
    assert header(answer, "Action") == WSA + "/soap/fault"


@ensureDeferred
@pytest.mark.parametrize(("more", "expected"), [
    ({"Action": "urn:uip:1/GetProductOrder"}, "Client.Malformed"),
    ({"ReplyTo": "http://elsewhere.example/"}, "Client.Authorization"),
    ({"FaultTo": "http://127.0.0.1:1/"}, "Client.Authorization"),
    ({"ReplyTo": "file:///etc/passwd"}, "Client.Authorization"),
    ({"ReplyTo": ""}, "Client.Malformed"),
    ({"ReplyTo": "http://elsewhere.example/", "message_id": None}, "Client.Malformed"),
])
async def test_what_addressing_may_not_ask(port, more, expected):
    answer = await port.ask(soap(SUBMIT, addressed(**more)))
    assert expected in answer.text
    assert not port.gateway.calls


@ensureDeferred
async def test_the_fitting_action_and_the_anonymous_address_are_usual(port):
    for action in ("urn:uip:1/SubmitProductOrder", "urn:uip:1:UIP:SubmitProductOrderRequest"):
        header_blocks = addressed(Action=action, ReplyTo=WSA + "/anonymous", To=port.url)
        assert (await port.ask(soap(SUBMIT, header_blocks.replace("<a:Action ", '<a:Action s:mustUnderstand="1" ')))).status == 200


@ensureDeferred
async def test_an_answer_nobody_wants(port):
    answer = await port.ask(soap(SUBMIT, addressed(ReplyTo=WSA + "/none")))
    assert (answer.status, answer.body) == (202, b"")
    assert len(port.gateway.orders) == 1


class Mailbox(Resource):
    """Where a partner takes its answers; the first is refused, so that it has to come again."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.got: list[bytes] = []
        self.first: Deferred[None] = Deferred()

    def render_POST(self, request):
        self.got.append(request.content.read())
        if len(self.got) == 1:
            request.setResponseCode(503)
            return b""
        self.first.callback(None)
        return b""


class TestElsewhere:
    @async_yield_fixture
    async def mailbox(self, port):
        made = Mailbox()
        listening = reactor.listenTCP(0, Site(made), interface="127.0.0.1")
        made.url = f"http://127.0.0.1:{listening.getHost().port}/"
        port.listener._answers._allowed = (made.url,)
        yield made
        await listening.stopListening()

    @ensureDeferred
    async def test_the_answer_is_posted_to_reply_to_and_again_when_it_was_not_taken(self, port, mailbox):
        answer = await port.ask(soap(SUBMIT, addressed(ReplyTo=mailbox.url + "answers")))
        assert answer.status == 202
        await mailbox.first
        assert mailbox.got[0] == mailbox.got[1]
        assert b"<id>PO1</id>" in mailbox.got[1]
        assert re.search(rb"RelatesTo[^>]*>urn:uuid:1<", mailbox.got[1])


@ensureDeferred
async def test_gzip_both_ways(port):
    message = soap(SUBMIT.replace("<u:productCharacteristic>", "<u:productCharacteristic>", 1))
    answer = await port.ask(gzip.compress(message.encode()), Content_Encoding="gzip", Accept_Encoding="gzip, deflate")
    assert answer.status == 200
    assert "content-encoding" not in answer.headers, "short answers go as they are"
    more = "".join(f"<u:productCharacteristic><u:name>N{n}</u:name><u:value>v</u:value></u:productCharacteristic>" for n in range(40))
    long = soap(SUBMIT.replace("</u:productOrderItem>", more + "</u:productOrderItem>"))
    answer = await port.ask(gzip.compress(long.encode()), Content_Encoding="gzip", Accept_Encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert b"<name>N39</name>" in gzip.decompress(answer.body)
    assert "content-encoding" not in (await port.ask(long, Accept_Encoding="gzip;q=0, br")).headers


@ensureDeferred
@pytest.mark.parametrize(("body", "coding"), [
    (gzip.compress(b"<" * 3_000_000), "gzip"), (b"no gzip", "gzip"), (gzip.compress(soap(SUBMIT).encode())[:-5], "gzip"),
    (gzip.compress(soap(SUBMIT).encode()) + b"more", "gzip"), (soap(SUBMIT).encode(), "br")])
async def test_bombs_and_damaged_goods(port, body, coding):
    answer = await port.ask(body, Content_Encoding=coding)
    assert "Client.Malformed" in answer.text
    assert not port.gateway.calls
