"""Messages with attachments: the envelope is found, and what it refers to is put in its place."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import CodecError, RemoteProtocolError
from protocols.soap.foreign import SoapClientCodec
from protocols.soap.foreign.multipart import parts_of
from tests.protocols.soap_foreign.contracts import load, wrapper, wsdl

KIND = 'multipart/related; type="application/xop+xml"; start="<root>"; start-info="text/xml"; boundary="edge"'
ANSWER = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><t:DoResponse xmlns:t="urn:t"><t:file>'
          '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:{cid}"/></t:file></t:DoResponse></e:Body></e:Envelope>')
DATA = b"\x00\xff%PDF\r\n--not-the-edge"


def message(*, cid: str = "bill%40us", name: str = "bill@us", root: str = "root") -> bytes:
    parts = ((b"application/xop+xml", root, ANSWER.format(cid=cid).encode()), (b"application/pdf", name, DATA))
    return b"preamble" + b"".join(
        b"\r\n--edge\r\nContent-Type: %b\r\nContent-ID: <%b>\r\nContent-Transfer-Encoding: binary\r\n\r\n%b" % (kind, cid.encode(), data)
        for kind, cid, data in parts) + b"\r\n--edge--\r\nepilogue"


def test_what_the_envelope_refers_to_is_put_in_its_place(tmp_path: Path) -> None:
    response = wrapper('<xs:sequence><xs:element name="file" type="xs:base64Binary"/></xs:sequence>', "DoResponse")
    codec = SoapClientCodec(load(tmp_path, wsdl(response + wrapper("<xs:sequence/>"))))
    reply = codec.reply("Do", message(), KIND)
    assert base64.b64decode(reply.fields["file"]) == DATA
    with pytest.raises(RemoteProtocolError, match="a part that it does not hold"):
        codec.reply("Do", message(name="other"), KIND)


def test_the_first_part_is_the_envelope_when_nothing_else_is_said() -> None:
    kind = KIND.replace('start="<root>"; ', "")
    assert parts_of(kind, message()).envelope.startswith(b"<e:Envelope")


@pytest.mark.parametrize(("kind", "body"), [
    (KIND.replace('; boundary="edge"', ""), message()),
    (KIND, message(root="elsewhere")),
    (KIND, b""),
    (KIND, b"\r\n--edge\r\nContent-ID: <root>\r\nContent-Transfer-Encoding: base64\r\n\r\n=\r\n--edge--"),
    (KIND, b"\r\n--edge\r\n\r\n" * 2_000),
])
def test_what_cannot_be_taken_apart(kind: str, body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parts_of(kind, body)


def test_a_message_of_one_part_is_its_own_envelope() -> None:
    assert parts_of("text/xml; charset=utf-8", b"<a/>").envelope == b"<a/>"


@given(st.binary(max_size=300), st.sampled_from([KIND, "multipart/related; boundary=e", "multipart/related", "text/xml"]))
def test_whatever_comes_only_codec_errors_are_raised(noise: bytes, kind: str) -> None:
    for body in (noise, message()[:200] + noise + message()[200:]):
        try:
            parts_of(kind, body)
        except CodecError:
            continue
