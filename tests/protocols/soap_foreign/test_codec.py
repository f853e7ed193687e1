"""Envelopes of both versions and both styles; headers, faults, tokens; and what is refused."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.base import CodecError, LocalProtocolError, RemoteProtocolError
from protocols.soap.envelope import Limits as RequestLimits
from protocols.soap.foreign import Contract, Limits, Refused, SoapClientCodec, SoapServerCodec, UsernameToken, load_contract
from protocols.soap.security import username_token
from tests.protocols.soap_foreign.contracts import EMPTY_RESPONSE, asking, load, wrapper, wsdl

DEMO = Path(__file__).parents[3] / "config/site/demo/protocols"
SIMPLE = '<xs:sequence><xs:element name="a" type="xs:string"/></xs:sequence>'
ASK = {"subject": {"partyId": "C1"}, "exposure": {"_text": "1", "currency": "EUR"}}


@pytest.fixture(scope="module")
def bureau() -> Contract:
    return load_contract(DEMO / "wsdl/credit-bureau.wsdl", DEMO)


@pytest.mark.parametrize("soap", ["soap", "soap12"])
@pytest.mark.parametrize("style", ["document", "rpc"])
@pytest.mark.parametrize("form", ["qualified", "unqualified"])
def test_every_style_and_version_both_ways(tmp_path: Path, soap: str, style: str, form: str) -> None:
    how: dict[str, Any] = {"soap": soap, "style": style, "form": form}
    if style == "rpc":
        how |= {"in_parts": '<wsdl:part name="a" type="xs:string"/><wsdl:part name="n" type="xs:int"/>',
                "out_parts": '<wsdl:part name="r" type="xs:int"/>'}
    response = wrapper('<xs:sequence><xs:element name="r" type="xs:int"/></xs:sequence>', "DoResponse")
    request = wrapper('<xs:sequence><xs:element name="a" type="xs:string"/><xs:element name="n" type="xs:int"/></xs:sequence>')
    contract = load(tmp_path, wsdl(request + response, **how))
    client, server = SoapClientCodec(contract), SoapServerCodec(contract)
    sent = client.request("Do", {"a": "x", "n": 1})
    headers = dict(sent.headers)
    assert headers["Content-Type"].startswith("text/xml" if soap == "soap" else "application/soap+xml")
    assert ('action="urn:t/Do"' in headers["Content-Type"]) == (soap == "soap12")
    call = server.receive(sent.body, headers.get("SOAPAction"))
    assert (call.operation, call.fields, call.version) == ("Do", {"a": "x", "n": 1}, "1.1" if soap == "soap" else "1.2")
    assert client.reply("Do", server.reply("Do", {"r": 5}).body).fields == {"r": 5}


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_declared_fault_both_ways(bureau: Contract, version: str) -> None:
    client, server = SoapClientCodec(bureau), SoapServerCodec(bureau)
    said = server.fault("Server.Busy", "later", {"InquiryFault": {"code": "BUSY", "message": "m"}}, version)
    reply = client.reply("GetCreditReport", said.body)
    assert (reply.fault, reply.text) == ("Server.Busy" if version == "1.1" else "Busy", "later")
    assert reply.fields == {"InquiryFault": {"code": "BUSY", "message": "m"}}


def test_a_fault_of_nobodys_schema_is_still_a_fault(bureau: Contract) -> None:
    fault = b"""<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault><faultcode>e:Server</faultcode>
        <faultstring>Out of <b>order</b></faultstring><detail><x>why</x></detail></e:Fault></e:Body></e:Envelope>"""
    reply = SoapClientCodec(bureau).reply("GetCreditReport", fault)
    assert (reply.fault, reply.text, reply.fields) == ("Server", "Out of order", {"x": "why"})


def test_declared_headers_both_ways(tmp_path: Path) -> None:
    contract = load(tmp_path, wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE, header=True))
    sent = SoapClientCodec(contract).request("Do", {"a": "x"}, {"Session": "s1"})
    assert SoapServerCodec(contract).receive(sent.body).headers == {"Session": "s1"}
    with pytest.raises(LocalProtocolError, match=r"no header Sesion"):
        SoapClientCodec(contract).request("Do", {"a": "x"}, {"Sesion": "s1"})


@pytest.mark.parametrize("token", [UsernameToken("u", "p<>&"), UsernameToken("u", "p<>&", b"nonce", "2026-11-24T00:00:00Z")])
def test_a_username_token_proves_its_secret(bureau: Contract, token: UsernameToken) -> None:
    security = SoapServerCodec(bureau).receive(SoapClientCodec(bureau).request("GetCreditReport", ASK, token=token).body).security
    assert security is not None
    received = username_token(security, datetime.now(UTC))
    assert received is not None
    assert received.name == "u"
    assert received.proves("p<>&")
    assert not received.proves("other")
    assert "p<>" not in repr(token)
    assert "p<>" not in repr(received)


def test_an_action_that_does_not_fit_the_body_is_refused(bureau: Contract) -> None:
    sent = SoapClientCodec(bureau).request("GetCreditReport", ASK).body
    server = SoapServerCodec(bureau)
    assert server.receive(sent, '""').operation == "GetCreditReport"
    with pytest.raises(Refused, match="SOAPAction") as caught:
        server.receive(sent, '"urn:other"')
    assert caught.value.code == "Client.Malformed"


def envelope(body: str, header: str = "", namespace: str = "http://schemas.xmlsoap.org/soap/envelope/") -> bytes:
    return f'<e:Envelope xmlns:e="{namespace}"><e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>'.encode()


REQUEST = ('<c:GetCreditReport xmlns:c="urn:uip:demo:credit-bureau:1"><c:subject><c:partyId>C</c:partyId></c:subject>'
           '<c:exposure currency="EUR">1</c:exposure></c:GetCreditReport>')

BAD = {
    "nothing": b"",
    "no XML": b"<a",
    "no envelope": b"<a/>",
    "another SOAP": envelope(REQUEST, namespace="urn:soap:9"),
    "an empty body": envelope(""),
    "two requests": envelope(REQUEST + REQUEST),
    "no known request": envelope("<x/>"),
    "a DTD": b"<!DOCTYPE e [<!ENTITY x 'y'>]>" + envelope(REQUEST),
    "an entity in a DTD": b"<!DOCTYPE e SYSTEM 'file:///etc/passwd'>" + envelope(REQUEST),
    "too deep": envelope("<a>" * 150 + "</a>" * 150),
    "too many elements": envelope("<a/>" * 2_200),
    "too many attributes": envelope("<a " + " ".join(f'a{i}="1"' for i in range(250)) + "/>"),
    "a value of another type": envelope(REQUEST.replace(">1<", ">one<")),
    "an unknown element": envelope(REQUEST.replace("</c:subject>", "<c:x/></c:subject>")),
    "a header twice": envelope(REQUEST).replace(b"</e:Header>", b"</e:Header><e:Header/>"),
}


CODES = {"another SOAP": "VersionMismatch", "no known request": "Client.UnknownOperation", "a value of another type": "Client.Invalid",
         "an unknown element": "Client.Invalid"}


@pytest.mark.parametrize("what", BAD)
def test_what_is_refused(bureau: Contract, what: str) -> None:
    server = SoapServerCodec(bureau, RequestLimits(elements=1_000, attributes=200))
    assert server.receive(envelope(REQUEST)).fields["subject"] == {"partyId": "C"}
    with pytest.raises(Refused) as caught:
        server.receive(BAD[what])
    assert caught.value.code == CODES.get(what, "Client.Malformed")
    with pytest.raises(RemoteProtocolError):
        SoapClientCodec(bureau, Limits(elements=1_000)).reply("GetCreditReport", BAD[what])


def test_an_answer_of_too_many_bytes(bureau: Contract) -> None:
    with pytest.raises(RemoteProtocolError, match="longer than 50 bytes"):
        SoapClientCodec(bureau, Limits(bytes=50)).reply("GetCreditReport", envelope(REQUEST))


def test_a_partner_s_own_ids_may_repeat_but_not_those_that_signatures_go_by(bureau: Contract) -> None:
    server = SoapServerCodec(bureau)
    assert server.receive(envelope(REQUEST, '<x id="a"/><y id="a"/>'))
    ids = '<{0} xmlns:w="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd" w:Id="a"/>'
    with pytest.raises(Refused, match="an id stands twice"):
        server.receive(envelope(REQUEST, ids.format("x") + ids.format("y")))


def test_a_header_of_the_declared_name_in_another_namespace_is_another_header(tmp_path: Path) -> None:
    contract = load(tmp_path, wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE, header=True))
    body = '<t:Do xmlns:t="urn:t"><t:a>x</t:a></t:Do>'
    header = '<t:Session xmlns:t="urn:t">s1</t:Session><o:Session xmlns:o="urn:other">s2</o:Session>'
    assert SoapServerCodec(contract).receive(envelope(body, header)).headers == {"Session": "s1"}
    with pytest.raises(Refused, match="Session is not understood"):
        SoapServerCodec(contract).receive(envelope(body, header.replace("<o:Session", '<o:Session e:mustUnderstand="1"')))


def test_a_header_for_somebody_else_is_let_be(bureau: Contract) -> None:
    assert SoapServerCodec(bureau).receive(envelope(REQUEST, '<x e:mustUnderstand="1" e:actor="urn:other"/>'))


def test_a_header_that_must_be_understood_and_is_not(bureau: Contract) -> None:
    server = SoapServerCodec(bureau)
    assert server.receive(envelope(REQUEST, '<x/>'))
    with pytest.raises(Refused, match="x is not understood") as caught:
        server.receive(envelope(REQUEST, '<x e:mustUnderstand="1"/>'))
    assert caught.value.code == "MustUnderstand"


def test_a_header_that_stands_twice_is_refused(bureau: Contract) -> None:
    sent = SoapClientCodec(bureau).request("GetCreditReport", ASK, token=UsernameToken("u", "p")).body
    start, end = sent.index(b"<wsse:Security"), sent.index(b"</soap:Header>")
    with pytest.raises(Refused, match="header Security stands twice"):
        SoapServerCodec(bureau).receive(sent[:end] + sent[start:end] + sent[end:])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_no_mutation_of_a_message_raises_anything_but_codec_errors(bureau: Contract, data: st.DataObject) -> None:
    whole = bytearray(SoapClientCodec(bureau).request("GetCreditReport", ASK, token=UsernameToken("u", "p")).body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        kind = data.draw(st.sampled_from(["cut", "set", "copy"]))
        if kind == "cut":
            del whole[at:at + data.draw(st.integers(1, 30))]
        elif kind == "set":
            whole[at:at + 1] = data.draw(st.binary(min_size=1, max_size=3))
        else:
            whole[at:at] = whole[at:at + 40]
        if not whole:
            break
    for decode in (lambda: SoapServerCodec(bureau).receive(bytes(whole)),
                   lambda: SoapClientCodec(bureau).reply("GetCreditReport", bytes(whole))):
        with contextlib.suppress(CodecError):
            decode()


def test_a_one_word_request(tmp_path: Path) -> None:
    contract = load(tmp_path, wsdl('<xs:element name="Do" type="xs:int"/><xs:element name="DoResponse" type="xs:string"/>'))
    sent = SoapClientCodec(contract).request("Do", {"_text": 5})
    assert SoapServerCodec(contract).receive(sent.body).fields == {"_text": 5}


def test_local_mistakes_are_named(tmp_path: Path) -> None:
    contract = asking(tmp_path, SIMPLE)
    with pytest.raises(LocalProtocolError, match=r"Do\.a "):
        SoapClientCodec(contract).request("Do", {"a": {"b": "1"}})
