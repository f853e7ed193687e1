"""Messages with attachments: the envelope is found, and what it refers to is put in its place; and the other way round."""

from __future__ import annotations

import base64
import email
import email.policy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from protocols.base import CodecError, RemoteProtocolError
from protocols.soap.content import content_type, takes_attachments
from protocols.soap.faults import SoapError, Version
from protocols.soap.foreign import SoapClientCodec, SoapServerCodec
from protocols.soap.multipart import INCLUDE, MAX_PARTS, Attachments, Parts, parts_of
from tests.protocols.soap_foreign.contracts import EMPTY_RESPONSE, load, wrapper, wsdl

KIND = 'multipart/related; type="application/xop+xml"; start="<root>"; start-info="text/xml"; boundary="edge"'
XOP = 'xmlns:x="http://www.w3.org/2004/08/xop/include"'
ANSWER = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><t:DoResponse xmlns:t="urn:t"><t:file>'
          f'<x:Include {XOP} href="cid:{{cid}}"/></t:file></t:DoResponse></e:Body></e:Envelope>')
DATA = b"\x00\xff%PDF\r\n--not-the-edge\r\n--edge-neither"
FILE = '<xs:sequence><xs:element name="file" type="xs:base64Binary" maxOccurs="2"/></xs:sequence>'


def message(*, cid: str = "bill%40us", name: str = "bill@us", root: str = "root", coding: str = "binary", data: bytes = DATA,
            end: bytes = b"\r\n--edge--\r\nepilogue") -> bytes:
    parts = (("application/xop+xml", root, "8bit", ANSWER.format(cid=cid).encode()), ("application/pdf", name, coding, data))
    return b"preamble" + b"".join(
        f"\r\n--edge\r\nContent-Type: {kind}\r\nContent-ID: <{cid}>\r\nContent-Transfer-Encoding: {coding}\r\n\r\n".encode() + data
        for kind, cid, coding, data in parts) + end


def taken_apart(kind: str, body: bytes) -> Parts:
    return parts_of(content_type(kind.encode()), body)


@pytest.mark.parametrize(("coding", "data"), [
    ("binary", DATA), ("8BIT", DATA), ("base64", base64.encodebytes(DATA)),
    ("quoted-printable", b"=00=FF%PDF=0D=0A--not-the-edge=0D=0A--edge-neither")])
def test_what_the_envelope_refers_to_is_put_in_its_place(coding: str, data: bytes) -> None:
    parts = taken_apart(KIND, message(coding=coding, data=data))
    root = etree.fromstring(parts.envelope)
    parts.put_into(root)
    assert base64.b64decode(root.findtext(".//{urn:t}file") or "") == DATA
    assert root.find(f".//{INCLUDE}") is None


def test_the_first_part_is_the_envelope_when_nothing_else_is_said() -> None:
    assert taken_apart(KIND.replace('start="<root>"; ', ""), message()).envelope.startswith(b"<e:Envelope")


def test_a_message_of_one_part_is_its_own_envelope() -> None:
    parts = taken_apart("text/xml; charset=latin-1", b"<a/>")
    assert (parts.envelope, parts.charset) == (b"<a/>", "latin-1")


@pytest.mark.parametrize(("kind", "body", "why"), [
    (KIND.replace('; boundary="edge"', ""), message(), "boundary"),
    (KIND.replace('"edge"', '"edge\t"'), message(), "boundary"),
    (KIND, message(root="elsewhere"), "no envelope"),
    (KIND, b"", "not complete"),
    (KIND, message(end=b""), "not complete"),
    (KIND, message(coding="base64", data=b"="), "not base64"),
    (KIND, message(coding="x-uuencode"), "Content-Transfer-Encoding"),
    (KIND, message(name="root"), "one Content-ID"),
    (KIND, b"--edge\r\n\r\n\r\n" * 2_000 + b"--edge--", "more than 256 parts"),
    (KIND, b"--edge\r\nContent-ID: <root>\r\nno end of the headers\r\n--edge--", "empty line"),
    (KIND, b"--edge\r\nContent-ID: <root>\r\nX: " + b"x" * 9_000 + b"\r\n\r\n\r\n--edge--", "8192 bytes"),
])
def test_what_cannot_be_taken_apart(kind: str, body: bytes, why: str) -> None:
    with pytest.raises(SoapError, match=why) as caught:
        taken_apart(kind, body)
    assert caught.value.code == "Client.Malformed"


@pytest.mark.parametrize(("inner", "why"), [
    ('<x:Include href="cid:no"/>', "does not hold"), ("<x:Include/>", "cid:"), ('<x:Include href="http://127.0.0.1/secret"/>', "cid:"),
    ('<x:Include href="file:///etc/passwd"/>', "cid:"),
    ('<x:Include href="cid:a"/><x:Include href="cid:b"/>', "all that its element holds"),
    ('text<x:Include href="cid:a"/>', "all that its element holds"), ('<x:Include href="cid:a"/>text', "all that its element holds"),
    ('<f><x:Include href="cid:a"/></f><f><x:Include href="cid:%61"/></f>', "a part twice"),
])
def test_a_message_refers_to_its_own_parts_once(inner: str, why: str) -> None:
    with pytest.raises(SoapError, match=why) as caught:
        Parts(b"", None, {"a": b"1", "b": b"2"}).put_into(etree.fromstring(f"<r {XOP}>{inner}</r>"))
    assert caught.value.code == "Client.Malformed"


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=5), st.sampled_from(Version))
def test_what_is_packed_is_taken_apart_to_the_same(data: list[bytes], version: Version) -> None:
    attachments = Attachments()
    envelope = f"<r>{''.join(f'<f>{attachments.include(each)}</f>' for each in data)}</r>".encode()
    body, kind = attachments.packed(version, envelope)
    assert (body, kind) == attachments.packed(version, envelope)
    content = content_type(kind.encode())
    assert content.mtom
    assert content.version is version
    root = etree.fromstring(parts_of(content, body).envelope)
    parts_of(content, body).put_into(root)
    assert [base64.b64decode(each.text or "") for each in root] == data


def test_others_read_what_is_packed() -> None:
    attachments = Attachments()
    attachments.add(DATA)
    body, kind = attachments.packed(Version.V11, b"<r/>")
    read = email.message_from_bytes(f"MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n".encode() + body, policy=email.policy.HTTP)
    assert not read.defects
    assert [(p["Content-ID"], p.get_content_type(), p.get_payload(decode=True)) for p in read.iter_parts()] == [
        ("<envelope@uip>", "application/xop+xml", b"<r/>"), ("<part-1@uip>", "application/octet-stream", DATA)]
    assert read.get_param("start") == "<envelope@uip>"
    assert len(attachments.parts) < MAX_PARTS


@pytest.mark.parametrize(("kind", "accept", "takes"), [
    ("text/xml", b"", False), ("text/xml", b"text/xml, multipart/*, */*", False), ("text/xml", b"text/xml, Multipart/Related", True),
    ("text/xml", b'multipart/related; type="application/xop+xml"', True), ("text/xml", b"application/xop+xml;q=0.5", True),
    ("text/xml", b"multipart/related;q=0", False), (KIND, b"", True), ("multipart/related; type=\"text/xml\"", b"", False),
])
def test_who_takes_attachments(kind: str, accept: bytes, takes: bool) -> None:
    assert takes_attachments(content_type(kind.encode()), accept) is takes


@pytest.mark.parametrize("version", ["soap", "soap12"])
def test_both_sides_of_a_partner_s_contract_carry_attachments(tmp_path: Path, version: str) -> None:
    contract = load(tmp_path, wsdl(wrapper(FILE) + EMPTY_RESPONSE, soap=version))
    files = [base64.b64encode(each).decode() for each in (DATA, b"second")]
    sent = SoapClientCodec(contract, attach=True).request("Do", {"file": files})
    headers = dict(sent.headers)
    assert DATA in sent.body
    assert "multipart/related" in headers["Accept"]
    call = SoapServerCodec(contract).receive(sent.body, headers.get("SOAPAction"), headers["Content-Type"])
    assert call.fields["file"] == files
    plain = SoapClientCodec(contract).request("Do", {"file": files})
    assert DATA not in plain.body
    assert SoapServerCodec(contract).receive(plain.body, None, dict(plain.headers)["Content-Type"]).fields == call.fields


def test_a_partner_s_answer_with_an_attachment(tmp_path: Path) -> None:
    contract = load(tmp_path, wsdl(wrapper(FILE, "DoResponse") + wrapper("<xs:sequence/>")))
    reply = SoapClientCodec(contract).reply("Do", message(), KIND)
    assert [base64.b64decode(each) for each in reply.fields["file"]] == [DATA]
    with pytest.raises(RemoteProtocolError, match="a part that it does not hold"):
        SoapClientCodec(contract).reply("Do", message(name="other"), KIND)
    served = SoapServerCodec(contract)
    assert DATA in served.reply("Do", {"file": [DATA]}, attach=True).body
    assert base64.b64encode(DATA) in served.reply("Do", {"file": [DATA]}).body


@given(st.binary(max_size=300), st.sampled_from([KIND, "multipart/related; boundary=e", "multipart/related", "text/xml"]))
def test_whatever_comes_only_codec_errors_are_raised(noise: bytes, kind: str) -> None:
    for body in (noise, message()[:200] + noise + message()[200:]):
        try:
            taken_apart(kind, body)
        except CodecError:
            continue
