"""The native SOAP service over real sockets: calls, faults, credentials, and everything that is not SOAP."""

from __future__ import annotations

import base64
import re
from datetime import timedelta

import pytest
import requests
import zeep
from lxml import etree
from pytest_twisted import ensureDeferred
from zeep.exceptions import Fault
from zeep.plugins import HistoryPlugin
from zeep.wsse import UsernameToken

from tests.adapters.soap.standin import NOW
from tests.protocols.soap.messages import GET, SUBMIT, V12, key, soap

ITEM = {"id": "1", "action": "add", "quantity": 1, "productOffering": "mobile-basic"}
ORDER = {"externalId": "Z-1", "relatedParty": {"id": "C1", "name": "Ann Lee", "role": "customer"}, "productOrderItem": [ITEM]}


def code(answer) -> str:
    root = etree.fromstring(answer.body)
    found = root.findtext(".//faultcode") or root.findtext(f".//{{{V12}}}Subcode/{{{V12}}}Value") or root.findtext(f".//{{{V12}}}Value")
    assert found, answer.text
    return found.partition(":")[2]


def detail(answer) -> dict[str, str]:
    fault = next(etree.fromstring(answer.body).iter("{urn:uip:1}Fault"))
    return {etree.QName(e).localname: e.text for e in fault}


def zeep_client(url: str, *, wsse=None, binding: str | None = None):
    session = requests.Session()
    if wsse is None:
        session.auth = ("crm", "crm-secret")
    client = zeep.Client(url + "?wsdl", transport=zeep.Transport(session=session), wsse=wsse, plugins=[HistoryPlugin()])
    return client.bind("UIP", binding) if binding else client.service


@ensureDeferred
async def test_zeep_submits_and_reads_an_order(port):
    def work():
        service = zeep_client(port.url)
        order = service.SubmitProductOrder(**ORDER)
        return order, service.GetProductOrder(id=order.id)
    made, read = await port.in_thread(work)
    assert (made.id, made.state, made.productOrderItem[0].state) == ("PO1", "acknowledged", "acknowledged")
    assert read.externalId == "Z-1"
    assert read.orderDate == NOW


@ensureDeferred
async def test_zeep_by_soap_1_2_with_the_context_header(port):
    def work():
        service = zeep_client(port.url, binding="UIPSoap12")
        context = {"idempotencyKey": "k-1", "correlationId": "c-1", "deadline": NOW}
        return [service.SubmitProductOrder(**ORDER, _soapheaders={"Context": context}) for _ in range(2)]
    first, second = await port.in_thread(work)
    assert first.id == second.id == "PO1"
    context = port.gateway.calls[0][2]
    assert (context.idempotency_key, context.correlation_id, context.deadline) == ("k-1", "c-1", NOW)


@ensureDeferred
@pytest.mark.parametrize("binding", [None, "UIPSoap12"])
async def test_zeep_gets_a_typed_fault(port, binding):
    def work():
        with pytest.raises(Fault) as caught:
            zeep_client(port.url, binding=binding).GetProductOrder(id="nope")
        return caught.value
    fault = await port.in_thread(work)
    assert fault.message == "no such order"
    assert "NotFound" in str(fault.code) + str([q.text for q in fault.subcodes or ()])
    parts = {etree.QName(e).localname: e.text for e in fault.detail.iter() if isinstance(e.tag, str)}
    assert (parts["code"], parts["field"]) == ("notFound", "id")
    assert parts["correlationId"]


@ensureDeferred
@pytest.mark.parametrize("digest", [False, True])
async def test_ws_security_logs_in(port, digest):
    token = UsernameToken("ünï", "gehéim", use_digest=digest, created=NOW)
    order = await port.in_thread(lambda: zeep_client(port.url, wsse=token).SubmitProductOrder(**ORDER))
    assert order.id == "PO1"
    assert port.gateway.calls[0][0].party == "ünï"


def digest_header(created=NOW, nonce: bytes = b"0123456789abcdef", secret: str = "crm-secret") -> str:
    token = UsernameToken("crm", secret, use_digest=True, created=created, nonce=nonce.decode())
    envelope = etree.fromstring(soap())
    token.apply(envelope, {})
    return etree.tostring(envelope[0][0]).decode()


@ensureDeferred
async def test_a_digest_is_taken_once_and_only_fresh(port):
    async def status(**how):
        return code(await port.ask(soap(header=digest_header(**how)), Authorization=""))
    assert await status() == "Client.NotFound"
    assert await status() == "Client.Authentication"
    assert await status(nonce=b"another") == "Client.NotFound"
    assert await status(nonce=b"old", created=NOW - timedelta(minutes=6)) == "Client.Authentication"
    assert await status(nonce=b"early", created=NOW + timedelta(minutes=6)) == "Client.Authentication"
    assert await status(nonce=b"wrong", secret="guess") == "Client.Authentication"


@ensureDeferred
async def test_the_same_key_gets_the_same_bytes(port):
    first, second = [await port.ask(soap(SUBMIT, key("K"))) for _ in range(2)]
    assert first.status == 200
    assert first.body == second.body
    other = await port.ask(soap(SUBMIT.replace("E-1", "E-2"), key("K")))
    assert code(other) == "Client.Conflict"


@ensureDeferred
async def test_each_request_proves_anew_who_asks(port):
    head = "POST /soap HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n{}\r\n{}"
    good = head.format(len(soap()), "Authorization: Basic " + base64.b64encode(b"crm:crm-secret").decode() + "\r\n", soap())
    nameless = head.format(len(soap()), "Connection: close\r\n", soap())
    answer = await port.raw((good + nameless).encode())
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"500", b"401"]
    assert answer.count(b"Client.NotFound") == 1
    assert len(port.gateway.calls) == 1


@ensureDeferred
@pytest.mark.parametrize(("authorization", "status"), [
    ("", 401), ("Basic " + base64.b64encode(b"crm:wrong").decode(), 500), ("Basic " + base64.b64encode(b"nobody:x").decode(), 500),
    ("Basic !!!", 500), ("Bearer abc", 500), ("Basic " + base64.b64encode(b"no-colon").decode(), 500)])
async def test_who_does_not_say_who_it_is_gets_nothing(port, authorization, status):
    answer = await port.ask(soap(SUBMIT), Authorization=authorization)
    assert (answer.status, code(answer)) == (status, "Client.Authentication")
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert ("only Basic" in detail(answer)["message"]) == authorization.startswith("Bearer")
    assert not port.gateway.calls


@ensureDeferred
async def test_too_many_wrong_passwords_end_the_connection(port):
    wrong = (f"POST /soap HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: {len(soap())}\r\n"
             f"Authorization: Basic {base64.b64encode(b'crm:guess').decode()}\r\n\r\n{soap()}").encode()
    answer = await port.raw(*[wrong] * 8)
    assert answer.count(b"Client.Authentication") == 5
    assert b"Connection: close" in answer


@ensureDeferred
@pytest.mark.parametrize(("message", "expected", "field"), [
    (soap("<u:NoSuch/>"), "Client.UnknownOperation", None),
    (soap("<NoSuch/>"), "Client.UnknownOperation", None),
    (soap("<u:ProductOrder/>"), "Client.UnknownOperation", None),
    (soap(SUBMIT)[:-20], "Client.Malformed", None),
    ("", "Client.Malformed", None),
    ("no xml at all", "Client.Malformed", None),
    ("<a/>", "Client.Malformed", None),
    (soap(""), "Client.Malformed", None),
    (soap(GET + GET), "Client.Malformed", None),
    (soap("<s:Fault><faultcode>x</faultcode><faultstring>y</faultstring></s:Fault>"), "Client.Malformed", None),
    (soap(version="urn:else"), "VersionMismatch", None),
    (soap(header='<x s:mustUnderstand="1" xmlns="urn:x"/>'), "MustUnderstand", None),
    (soap(header='<x s:mustUnderstand="true" s:role="http://www.w3.org/2003/05/soap-envelope/role/next" xmlns="urn:x"/>', version=V12),
     "MustUnderstand", None),
    (soap(prolog="<!DOCTYPE a>"), "Client.Malformed", None),
    (soap(prolog="<!-- x --><!DOCTYPE a [<!ENTITY b 'c'>]>"), "Client.Malformed", None),
    (soap("<u:GetProductOrder><u:id>&b;</u:id></u:GetProductOrder>"), "Client.Malformed", None),
    (soap("<?php x?>" + GET), "Client.Malformed", None),
    (soap("<u:GetProductOrder><u:idd>x</u:idd></u:GetProductOrder>"), "Client.Invalid", "idd"),
    (soap("<u:SubmitProductOrder><u:externalId>E</u:externalId></u:SubmitProductOrder>"), "Client.Invalid", "relatedParty"),
    (soap(SUBMIT.replace("externalId", "note")), "Client.Invalid", "externalId"),
    (soap(SUBMIT.replace(">2<", ">0<")), "Client.Invalid", "productOrderItem[0].quantity"),
    (soap(SUBMIT.replace(">2<", ">two<")), "Client.Invalid", "productOrderItem[0].quantity"),
    (soap(SUBMIT.replace(">IMSI<", "><")), "Client.Invalid", "productOrderItem[0].productCharacteristic[1].name"),
    (soap(SUBMIT.replace("</u:SubmitProductOrder>", "<u:requestedStartDate>2099-01-01T00:00:00</u:requestedStartDate>"
                                                    "</u:SubmitProductOrder>")), "Client.Invalid", "requestedStartDate"),
    (soap(SUBMIT, "<u:Context><u:deadline>soon</u:deadline></u:Context>"), "Client.Invalid", "deadline"),
    (soap(SUBMIT, key("a") + key("b")), "Client.Malformed", None),
    (soap(SUBMIT, f"<w>{key('a')}</w>" + key("b")), "Client.Malformed", None),
    (soap(SUBMIT, f"<w xmlns:t='urn:t'><s:Body>{GET}</s:Body></w>"), "Client.Malformed", None),
    (soap("<u:a>" * 100 + "</u:a>" * 100), "Client.Malformed", None),
    (soap("<u:a/>" * 50_000), "Client.Malformed", None),
    (soap("<u:GetProductOrder " + " ".join(f'a{i}="1"' for i in range(11_000)) + "/>"), "Client.Malformed", None),
])
async def test_bad_messages_get_their_fault(port, message, expected, field):
    answer = await port.ask(message)
    assert code(answer) == expected
    said = detail(answer)
    assert said.get("field") == field
    assert said["correlationId"]
    assert answer.status in {400, 500}
    assert not port.gateway.calls


@ensureDeferred
@pytest.mark.parametrize(("body", "headers", "kind"), [
    ("<not", {}, "malformed"), (soap(), {"Content_Type": "application/json"}, "malformed"),
    (soap(), {"Content_Length": "99999999"}, "malformed"), (soap(), {"Authorization": ""}, "authentication"),
    (soap("<Fly xmlns='urn:uip:1'/>"), {}, "unknownOperation"),
    (soap("<GetProductOrder xmlns='urn:uip:1'><x/></GetProductOrder>"), {}, "invalid"),
])
async def test_what_is_refused_before_it_is_carried_out_is_counted(port, body, headers, kind):
    await port.ask(body, **headers)
    assert port.gateway.refusals == [("soap", kind)]
    assert port.gateway.calls == []


@ensureDeferred
async def test_headers_for_others_or_not_urgent_are_let_be(port):
    for header in ('<x xmlns="urn:x"/>',
                   '<x s:mustUnderstand="0" xmlns="urn:x"/>', '<x s:mustUnderstand="1" s:actor="urn:them" xmlns="urn:x"/>'):
        assert code(await port.ask(soap(header=header))) == "Client.NotFound"


@ensureDeferred
async def test_the_context_may_have_to_be_understood(port):
    header = key("K").replace("<u:Context>", '<u:Context s:mustUnderstand="1">')
    assert (await port.ask(soap(SUBMIT, header))).status == 200
    assert port.gateway.calls[0][2].idempotency_key == "K"


@ensureDeferred
async def test_a_context_that_is_nil_is_none(port):
    header = '<u:Context xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>'
    assert (await port.ask(soap(SUBMIT, header))).status == 200
    assert port.gateway.calls[0][2].idempotency_key is None


@ensureDeferred
async def test_type_hints_and_nil_of_what_may_be_left_out_do_no_harm(port):
    hints = ('xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns:x="http://www.w3.org/2001/XMLSchema" '
             's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"')
    message = SUBMIT.replace("<u:SubmitProductOrder>", f"<u:SubmitProductOrder {hints}>").replace(
        "<u:quantity>", '<u:quantity i:type="x:int">').replace("</u:SubmitProductOrder>", '<u:note i:nil="true"/></u:SubmitProductOrder>')
    assert (await port.ask(soap(message))).status == 200
    assert port.gateway.calls[0][1].note is None
    wrong = message.replace('<u:externalId>E-1</u:externalId>', '<u:externalId i:nil="true"/>')
    assert code(await port.ask(soap(wrong))) == "Client.Invalid"


@ensureDeferred
async def test_a_message_that_says_its_types_itself_is_read_by_spyne_to_the_same(port):
    plain = await port.ask(soap(SUBMIT))
    hint = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="u:RelatedParty"'
    said = SUBMIT.replace("<u:relatedParty>", f"<u:relatedParty {hint}>")
    typed = await port.ask(soap(said))
    assert (plain.status, typed.status) == (200, 200)
    assert port.gateway.calls[0][1] == port.gateway.calls[1][1]
    assert code(await port.ask(soap(said.replace("u:RelatedParty", "u:Money")))) == "Client.Invalid"


@ensureDeferred
async def test_an_action_that_fits_and_one_that_does_not(port):
    for action in ("", '""', "SubmitProductOrder", '"urn:uip:1/SubmitProductOrder"', "urn:uip:1#SubmitProductOrder"):
        assert (await port.ask(soap(SUBMIT), SOAPAction=action)).status == 200
    for action in ("GetProductOrder", '"urn:uip:1/GetProductOrder"', "urn:other"):
        assert code(await port.ask(soap(SUBMIT), SOAPAction=action)) == "Client.Malformed"
    answer = await port.ask(soap(SUBMIT, version=V12), Content_Type='application/soap+xml; action="urn:uip:1/GetProductOrder"')
    assert (answer.status, code(answer)) == (400, "Client.Malformed")
    assert answer.headers["content-type"].startswith("application/soap+xml")
    assert len(port.gateway.calls) == 5


@ensureDeferred
async def test_a_soap_1_2_fault_says_what_was_not_understood(port):
    answer = await port.ask(soap(header='<q:x s:mustUnderstand="1" xmlns:q="urn:q"/>', version=V12), Content_Type="application/soap+xml")
    assert answer.status == 500
    assert '<soap:NotUnderstood qname="n:x" xmlns:n="urn:q"/>' in answer.text
    assert "soap:MustUnderstand" in answer.text


@ensureDeferred
@pytest.mark.parametrize(("encoding", "content_type"), [
    ("iso-8859-1", "text/xml; charset=iso-8859-1"), ("utf-16", "text/xml; charset=utf-16"), ("utf-16", "text/xml"),
    ("utf-8-sig", "text/xml; charset=utf-8"), ("windows-1252", "text/xml")])
async def test_other_encodings(port, encoding, content_type):
    declaration = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
    message = soap(SUBMIT.replace("Ann Lee", "Änne Lüé"), prolog=declaration)
    assert (await port.ask(message.encode(encoding), Content_Type=content_type)).status == 200
    assert port.gateway.calls[0][1].relatedParty.name == "Änne Lüé"


@ensureDeferred
async def test_an_entity_hidden_in_another_encoding_is_refused_too(port):
    message = soap("<u:GetProductOrder><u:id>&b;</u:id></u:GetProductOrder>", prolog="<!DOCTYPE a [<!ENTITY b 'PO1'>]>")
    assert code(await port.ask(message.encode("utf-16"), Content_Type="text/xml")) == "Client.Malformed"
    assert code(await port.ask(message.encode("utf-7"), Content_Type="text/xml; charset=utf-7")) == "Client.Malformed"


@ensureDeferred
async def test_a_mistake_inside_is_not_told(port):
    answer = await port.ask(soap("<u:GetSystemStatus/>"))
    assert (answer.status, code(answer)) == (500, "Server.Internal")
    assert "swordfish" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert isinstance(port.log.lines[0][1]["exc_info"], ZeroDivisionError)


@ensureDeferred
async def test_values_are_not_told_back(port):
    answer = await port.ask(soap(SUBMIT.replace(">2<", ">240010000000001<")))
    assert "240010000000001" not in answer.text


@ensureDeferred
async def test_the_wsdl_says_how_it_was_reached(port):
    def get(target: str, host: str) -> bytes:
        return port._raw((f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode(),))
    wsdl = await port.in_thread(get, "/soap?wsdl", "gw.example.net:8000")
    assert wsdl.count(b'location="http://gw.example.net:8000/soap"') == 2
    assert b'location="http://127.0.0.1' in await port.in_thread(get, "/soap?WSDL", '"/><script>')
    assert b"HTTP/1.1 405" in await port.in_thread(get, "/soap", "x")
    assert b"HTTP/1.1 404" in await port.in_thread(get, "/else?wsdl", "x")
    assert not port.gateway.sessions
