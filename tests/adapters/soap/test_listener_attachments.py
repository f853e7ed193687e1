"""Attachments over real sockets (MTOM): a bill's documents for who takes them, requests that bring some, and those that must not."""

from __future__ import annotations

import email
import email.policy
from base64 import b64decode
from pathlib import Path

import pytest
from lxml import etree
from pytest_twisted import ensureDeferred

from protocols.soap.multipart import INCLUDE
from tests.adapters.soap.standin import DOCUMENTS
from tests.adapters.soap.test_listener import code, zeep_client
from tests.protocols.soap.messages import GET, SUBMIT, V12, soap

BILL = soap("<u:GetBill><u:billNo>UIP-1</u:billNo></u:GetBill>")
VECTOR = Path(__file__).parents[2] / "vectors" / "soap" / "mtom-get-bill.http"


def mtom(envelope: str, *parts: tuple[str, bytes], media: str = "text/xml") -> tuple[bytes, str]:
    """A message as MTOM toolkits send it, and its Content-Type."""
    pieces = [(f'application/xop+xml; charset=UTF-8; type="{media}"', "root.message@cxf.apache.org", envelope.encode()),
              *(("application/octet-stream", name, data) for name, data in parts)]
    body = b"".join(f"--uuid:7f\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{name}>\r\n\r\n".encode()
                    + data + b"\r\n" for kind, name, data in pieces) + b"--uuid:7f--"
    return body, (f'multipart/related; type="application/xop+xml"; boundary="uuid:7f"; start="<root.message@cxf.apache.org>"; '
                  f'start-info="{media}"')


def parts_in(answer) -> dict[str, bytes]:
    read = email.message_from_bytes(f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode() + answer.body,
                                    policy=email.policy.HTTP)
    assert not read.defects
    return {str(part["Content-ID"]).strip("<>"): part.get_payload(decode=True) for part in read.iter_parts()}


@ensureDeferred
@pytest.mark.parametrize("accept", ["", "text/xml", "text/xml, multipart/*, */*"])
async def test_documents_stand_in_the_message_for_who_asks_for_nothing_else(port, accept):
    answer = await port.ask(BILL, Accept=accept)
    assert answer.headers["content-type"].startswith("text/xml")
    assert [b64decode(e.text) for e in etree.fromstring(answer.body).iter("{urn:uip:1}content")] == list(DOCUMENTS)


@ensureDeferred
@pytest.mark.parametrize("version", ["1.1", "1.2"])
async def test_documents_are_attached_for_who_takes_them(port, version):
    media = "text/xml" if version == "1.1" else "application/soap+xml"
    asked = BILL if version == "1.1" else BILL.replace("http://schemas.xmlsoap.org/soap/envelope/", V12)
    answer = await port.ask(asked, Accept=f"{media}, multipart/related", Content_Type=media)
    assert answer.status == 200
    kind = answer.headers["content-type"]
    assert kind.startswith('multipart/related; type="application/xop+xml"')
    assert f'start-info="{media}"' in kind
    parts = parts_in(answer)
    included = [e[0] for e in etree.fromstring(parts["envelope@uip"]).iter("{urn:uip:1}content")]
    assert [e.tag for e in included] == [INCLUDE] * 2
    assert [parts[e.get("href").removeprefix("cid:")] for e in included] == list(DOCUMENTS)


@ensureDeferred
async def test_who_sends_attachments_gets_them_and_what_has_none_comes_plain(port):
    body, kind = mtom(BILL)
    assert DOCUMENTS[1] in (await port.ask(body, Content_Type=kind)).body
    body, kind = mtom(soap(SUBMIT))
    answer = await port.ask(body, Content_Type=kind)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")


@ensureDeferred
async def test_the_same_question_gets_the_same_bytes(port):
    first, second = [await port.ask(BILL, Accept="multipart/related") for _ in range(2)]
    assert (first.body, first.headers["content-type"]) == (second.body, second.headers["content-type"])


@ensureDeferred
async def test_an_attachment_s_gzip(port):
    import gzip
    answer = await port.ask(BILL, Accept="multipart/related", Accept_Encoding="gzip")
    answer.body = gzip.decompress(answer.body)
    assert DOCUMENTS[1] in parts_in(answer).values()


@ensureDeferred
async def test_bytes_in_the_shape_apache_cxf_writes(port):
    """Every parameter in quotes, a boundary with a colon, an empty preamble line, no line end behind the last boundary."""
    received = await port.raw(VECTOR.read_bytes())
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Type: multipart/related; " in received
    assert all(document in received for document in DOCUMENTS)


@ensureDeferred
async def test_what_a_request_refers_to_is_checked_in_its_place(port):
    """XOP may stand for any text (3.2): the number is put in its place, base64 as it is, and then it is no number."""
    envelope = soap(SUBMIT.replace("E-1", '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:a%40b"/>'))
    body, kind = mtom(envelope, ("a@b", b"ref"))
    assert (await port.ask(body, Content_Type=kind)).status == 200
    assert port.gateway.calls[0][1].externalId == "cmVm"


@ensureDeferred
@pytest.mark.parametrize("parts", [(), (("other", b"x"),), (("a@b", b"1"), ("a@b", b"2")), (("root.message@cxf.apache.org", b"1"),),
                                   tuple((f"p{n}", b"x") for n in range(300))])
async def test_attachments_that_do_not_fit_are_malformed(port, parts):
    envelope = soap(GET.replace("PO1", '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:a%40b"/>'))
    body, kind = mtom(envelope, *parts)
    answer = await port.ask(body, Content_Type=kind)
    assert (answer.status, code(answer)) == (500, "Client.Malformed")
    assert port.gateway.calls == []


@ensureDeferred
@pytest.mark.parametrize("href", ["cid:a", "http://127.0.0.1:9/x", "file:///etc/passwd", "/etc/passwd", ""])
async def test_no_reference_leads_out_of_a_message(port, href):
    plain = soap(GET.replace("PO1", f'<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="{href}"/>'))
    body, kind = mtom(plain)
    for sent, content_type in ((plain, "text/xml"), (body, kind)):
        assert code(await port.ask(sent, Content_Type=content_type)) == "Client.Malformed"
    assert port.gateway.calls == []


@ensureDeferred
async def test_an_attachment_refused_for_its_size_is_told_so(port):
    body, kind = mtom(soap(GET), ("big", b"x" * 2_000_001))
    answer = await port.ask(body, Content_Type=kind)
    assert (answer.status, code(answer)) == (413, "Client.Malformed")


@ensureDeferred
async def test_zeep_reads_attached_documents(port):
    def work():
        service = zeep_client(port.url)
        service._client.transport.session.headers["Accept"] = "text/xml, multipart/related"
        return service.GetBill(billNo="UIP-1")
    bill = await port.in_thread(work)
    assert bill.billNo == "UIP-1"
    # zeep takes line ends off the end of a part.
    assert [d.content for d in bill.billDocument] == [document.rstrip(b"\r\n") for document in DOCUMENTS]


def test_the_contract_says_what_may_be_attached():
    from adapters.soap.header import Context
    from core.billing.invoice_objects import GetBill
    from core.billing.objects import CustomerBill
    from plugins.api import Fault
    from protocols.soap.contract import Contract, Pair
    contract = Contract([Pair(GetBill, CustomerBill)], Context, Fault)
    element = etree.fromstring(contract.wsdl("http://x/")).find(".//{http://www.w3.org/2001/XMLSchema}element[@name='content']")
    assert element.get("{http://www.w3.org/2005/05/xmlmime}expectedContentTypes") == "application/octet-stream"
    assert contract.schema()
