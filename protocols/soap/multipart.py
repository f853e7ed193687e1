"""Messages in several parts: the envelope is one, and binary values that it refers to stand in others as they are.

SOAP MTOM 1.0 with XOP 1.0 in multipart/related (RFC 2387, RFC 2046, RFC 2392), both ways; SOAP with Attachments is read too. A
message refers to its own parts only, to each of them once: what is put together is never much larger than what was sent.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote

from protocols.soap.content import MULTIPART, XOP, ContentType, content_type
from protocols.soap.faults import MALFORMED, SoapError, Version

XOP_NAMESPACE: Final = "http://www.w3.org/2004/08/xop/include"
INCLUDE: Final = f"{{{XOP_NAMESPACE}}}Include"
MAX_PARTS: Final = 256
MAX_HEAD: Final = 8_192
"""Bytes of one part's headers."""
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, 5.1.1
_OCTETS = "application/octet-stream"
_ROOT = "envelope@uip"


@dataclass(slots=True)
class Parts:
    """The envelope with its character set (if it says one), and the other parts by Content-ID."""

    envelope: bytes
    charset: str | None = None
    others: dict[str, bytes] = field(default_factory=dict)

    def put_into(self, root: Any) -> None:
        """Put the parts that elements refer to in their places, as base64 (XOP 1.0, 3.2). Raises SoapError(Client.Malformed)."""
        seen: set[str] = set()
        for include in list(root.iter(INCLUDE)):
            parent, href = include.getparent(), include.get("href") or ""
            if parent is None or len(parent) != 1 or (parent.text or "").strip() or (include.tail or "").strip():
                raise SoapError(MALFORMED, "an xop:Include is all that its element holds")
            if not href.startswith("cid:"):
                raise SoapError(MALFORMED, "an xop:Include refers to a part of the message (cid:)")
            name = unquote(href[4:])
            if name not in self.others:
                raise SoapError(MALFORMED, "the message refers to a part that it does not hold")
            if name in seen:
                raise SoapError(MALFORMED, "the message refers to a part twice")
            seen.add(name)
            parent.remove(include)
            parent.text = b64encode(self.others[name]).decode()


def parts_of(content: ContentType, body: bytes) -> Parts:
    """Take a message apart. One that is not multipart is its own envelope. Raises SoapError(Client.Malformed)."""
    if content.media != MULTIPART:
        return Parts(body, content.charset)
    found = _found(content.parameters.get("boundary", ""), body)
    start = _bare(content.parameters.get("start", "")) or next(iter(found), "")
    if start not in found:
        raise SoapError(MALFORMED, "the multipart message has no envelope")
    headers, envelope = found.pop(start)
    return Parts(envelope, content_type(headers.get("content-type", "").encode("latin-1")).charset,
                 {name: data for name, (_, data) in found.items()})


def _found(boundary: str, body: bytes) -> dict[str, tuple[dict[str, str], bytes]]:
    """The parts with their headers, by Content-ID, or by number where they have none."""
    if not _BOUNDARY.fullmatch(boundary):
        raise SoapError(MALFORMED, "a multipart message needs a boundary, of 1 to 70 characters")
    text = b"\r\n" + body  # a delimiter begins with the end of the line before it
    found: dict[str, tuple[dict[str, str], bytes]] = {}
    at: int | None = None
    for mark in re.finditer(rb"\r\n--%b(--)?[ \t]*(?=\r\n|\Z)" % re.escape(boundary.encode()), text):
        if at is not None:
            if len(found) == MAX_PARTS:
                raise SoapError(MALFORMED, f"the message has more than {MAX_PARTS} parts")
            headers, data = _part(text, at, mark.start())
            name = _bare(headers.get("content-id", "")) or f"#{len(found)}"
            if name in found:
                raise SoapError(MALFORMED, "two parts of the message have one Content-ID")
            found[name] = headers, data
        if mark[1]:
            return found
        at = mark.end()
    raise SoapError(MALFORMED, "the multipart message is not complete")


def _part(text: bytes, start: int, end: int) -> tuple[dict[str, str], bytes]:
    blank = text.find(b"\r\n\r\n", start, end)
    if blank < 0 or blank - start > MAX_HEAD:
        raise SoapError(MALFORMED, f"a part begins with its headers and an empty line, {MAX_HEAD} bytes at most")
    headers: dict[str, str] = {}
    for line in text[start:blank].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, _decoded(headers.get("content-transfer-encoding", "binary").lower(), text[blank + 4:end])


def _decoded(coding: str, data: bytes) -> bytes:
    if coding in ("binary", "8bit", "7bit"):
        return data
    if coding == "quoted-printable":
        return binascii.a2b_qp(data)
    if coding != "base64":
        raise SoapError(MALFORMED, "a part's Content-Transfer-Encoding is binary, 8bit, 7bit, base64 or quoted-printable")
    try:
        return b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        raise SoapError(MALFORMED, "a part is not base64") from None


def _bare(identifier: str) -> str:
    return identifier.strip().removeprefix("<").removesuffix(">")


class Attachments:
    """The parts that a message refers to while it is being written."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def add(self, data: bytes) -> str:
        """Take a value; returns the address that its xop:Include gives as `href`."""
        self.parts.append(data)
        return f"cid:{_name(len(self.parts))}"

    def include(self, data: bytes) -> str:
        """Take a value; returns the element that stands in its place."""
        return f'<xop:Include xmlns:xop="{XOP_NAMESPACE}" href="{self.add(data)}"/>'

    def packed(self, version: Version, envelope: bytes, parameters: Mapping[str, str] = {}) -> tuple[bytes, str]:
        """Put envelope and parts together; returns the body and its Content-Type, with further `parameters`. The same message
        gives the same bytes.
        """
        media = version.content_type.partition(";")[0]
        root = f'{XOP}; charset=utf-8; type="{media}"'
        pieces = [(root, _ROOT, envelope), *((_OCTETS, _name(n), part) for n, part in enumerate(self.parts, 1))]
        boundary = _boundary([envelope, *self.parts])
        body = b"".join(b"--%b\r\nContent-Type: %b\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <%b>\r\n\r\n%b\r\n" % (
            boundary.encode(), kind.encode(), name.encode(), data) for kind, name, data in pieces)
        said = {"type": XOP, "boundary": boundary, "start": f"<{_ROOT}>", "start-info": media, **parameters}
        return (b"%b--%b--\r\n" % (body, boundary.encode()),
                "; ".join([MULTIPART, *(f'{name}="{value}"' for name, value in said.items())]))


def _name(number: int) -> str:
    return f"part-{number}@uip"


def _boundary(texts: list[bytes]) -> str:
    """A line that stands in none of the texts: nobody can write one that holds its own hash."""
    whole = sha256()
    for text in texts:
        whole.update(text)
    return f"uip-{whole.hexdigest()[:40]}"
