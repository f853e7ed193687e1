"""Messages in several parts (MTOM, XOP 1.0; SOAP with Attachments): the envelope is one part, what it refers to stands in others."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from lxml import etree

from protocols.base import RemoteProtocolError
from protocols.soap.content import MULTIPART, content_type

INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"
MAX_PARTS = 1_000


@dataclass(slots=True)
class Parts:
    """The envelope, and the other parts by Content-ID."""

    envelope: bytes
    others: Mapping[str, bytes] = field(default_factory=dict)

    def put_into(self, nodes: Sequence[etree._Element]) -> None:
        """Put the parts that elements refer to (xop:Include) in their places, as base64. Raises RemoteProtocolError."""
        for include in [found for node in nodes for found in node.iter(INCLUDE)]:
            parent = include.getparent()
            reference = unquote((include.get("href") or "").removeprefix("cid:"))
            if parent is None or reference not in self.others:
                raise RemoteProtocolError("the message refers to a part that it does not hold")
            parent.remove(include)
            parent.text = base64.b64encode(self.others[reference]).decode()


def parts_of(kind: str, body: bytes) -> Parts:
    """Take a message apart; `kind` is its Content-Type. A message of one part is its own envelope. Raises RemoteProtocolError."""
    content = content_type(kind.encode("latin-1", "replace"))
    if content.media != MULTIPART:
        return Parts(body)
    boundary = content.parameters.get("boundary", "").encode("latin-1", "replace")
    if not boundary:
        raise RemoteProtocolError("a multipart message needs a boundary")
    # RFC 2046, 5.1.1: the boundary stands at the beginning of a line, and the line's end before it belongs to it.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(pieces) > MAX_PARTS:
        raise RemoteProtocolError(f"the message has more than {MAX_PARTS} parts")
    found: dict[str, bytes] = {}
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        head, _, data = piece.partition(b"\r\n\r\n")
        headers = _headers(head)
        found.setdefault(headers.get("content-id", f"#{len(found)}").strip("<> "), _decoded(headers, data))
    start = content.parameters.get("start", "").strip("<> ")
    if not found or (start and start not in found):
        raise RemoteProtocolError("the multipart message has no envelope")
    root = start or next(iter(found))
    return Parts(found.pop(root), found)


def _headers(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _decoded(headers: Mapping[str, str], data: bytes) -> bytes:
    if headers.get("content-transfer-encoding", "").lower() != "base64":
        return data
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        raise RemoteProtocolError("a part is not base64") from None
