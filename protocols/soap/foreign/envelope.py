"""SOAP 1.1 and 1.2 envelopes: made for both sides, and a partner's answers opened, with more patience than requests have from us
(`protocols.soap.envelope`), but bounded, without a DTD, with one header and one body at most.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lxml import etree

from protocols.base import RemoteProtocolError
from protocols.soap.envelope import WSU
from protocols.soap.foreign.documents import parse_xml
from protocols.soap.foreign.schema import local
from protocols.soap.security import DIGEST, TEXT, WSSE, digest

SOAP_1_1 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_1_2 = "http://www.w3.org/2003/05/soap-envelope"
NAMESPACES = {"1.1": SOAP_1_1, "1.2": SOAP_1_2}
VERSIONS = {namespace: version for version, namespace in NAMESPACES.items()}

_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest answer that is read: bytes, elements, depth and attributes of one element."""

    bytes: int = 4 << 20
    elements: int = 200_000
    depth: int = 100
    attributes: int = 200


@dataclass(slots=True)
class Opened:
    """An envelope's parts."""

    root: etree._Element
    version: str
    headers: Sequence[etree._Element]
    body: Sequence[etree._Element]


@dataclass(slots=True)
class SoapFault:
    """A fault as it stands on the wire: `code` is the local part of the innermost code, `text` the first reason."""

    code: str
    text: str
    details: Sequence[etree._Element] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class UsernameToken:
    """WS-Security UsernameToken Profile 1.0. With `nonce` and `created` (an xs:dateTime in UTC) the digest is sent instead of
    the password; both are the caller's, who has the clock.
    """

    user: str
    password: str = field(repr=False)
    nonce: bytes | None = None
    created: str = ""

    def write(self, header: etree._Element, namespace: str) -> None:
        """Append wsse:Security to a header."""
        security = etree.SubElement(header, f"{{{WSSE}}}Security", nsmap={"wsse": WSSE, "wsu": WSU})
        security.set(f"{{{namespace}}}mustUnderstand", "1")
        token = etree.SubElement(security, f"{{{WSSE}}}UsernameToken")
        etree.SubElement(token, f"{{{WSSE}}}Username").text = self.user
        password = etree.SubElement(token, f"{{{WSSE}}}Password")
        if self.nonce is None:
            password.set("Type", TEXT)
            password.text = self.password
            return
        password.set("Type", DIGEST)
        password.text = digest(self.nonce, self.created, self.password)
        nonce = etree.SubElement(token, f"{{{WSSE}}}Nonce")
        nonce.set("EncodingType", _BASE64)
        nonce.text = base64.b64encode(self.nonce).decode()
        etree.SubElement(token, f"{{{WSU}}}Created").text = self.created


LIMITS = Limits()


def open_envelope(data: bytes, limits: Limits) -> Opened:
    """Parse an envelope. Raises RemoteProtocolError."""
    if len(data) > limits.bytes:
        raise RemoteProtocolError(f"the message is longer than {limits.bytes} bytes")
    try:
        root = parse_xml(data)
    except ValueError as error:
        raise RemoteProtocolError(f"the message {error}") from None
    _check_size(root, limits)
    namespace, _, name = str(root.tag).removeprefix("{").rpartition("}")
    version = VERSIONS.get(namespace)
    if name != "Envelope" or version is None:
        raise RemoteProtocolError("the message is not a SOAP envelope")
    parts = list(root)
    header = parts.pop(0) if parts and parts[0].tag == f"{{{namespace}}}Header" else None
    if len(parts) != 1 or parts[0].tag != f"{{{namespace}}}Body":
        raise RemoteProtocolError("the envelope must hold at most one Header and then one Body")
    return Opened(root, version, list(header) if header is not None else [], list(parts[0]))


def _check_size(root: etree._Element, limits: Limits) -> None:
    count = depth = 0
    for event, node in etree.iterwalk(root, events=("start", "end")):
        if event == "end":
            depth -= 1
            continue
        count += 1
        depth += 1
        if count > limits.elements or depth > limits.depth or len(node.attrib) > limits.attributes:
            raise RemoteProtocolError("the message has too many elements or attributes, or is too deep")


def make_envelope(version: str, fill_header: Callable[[etree._Element], None], fill_body: Callable[[etree._Element], None]) -> bytes:
    """Encode an envelope; a header that stays empty is left out."""
    namespace = NAMESPACES[version]
    root = etree.Element(f"{{{namespace}}}Envelope", nsmap={"soap": namespace})
    header = etree.SubElement(root, f"{{{namespace}}}Header")
    fill_header(header)
    if not len(header):
        root.remove(header)
    fill_body(etree.SubElement(root, f"{{{namespace}}}Body"))
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def fault_in(opened: Opened) -> SoapFault | None:
    """The fault an envelope carries, if it does."""
    namespace = NAMESPACES[opened.version]
    if not opened.body or opened.body[0].tag != f"{{{namespace}}}Fault":
        return None
    fault = opened.body[0]
    if opened.version == "1.1":
        # By local name: some peers qualify these, which the schema does not.
        parts = {local(child): child for child in fault}
        detail = parts.get("detail")
        return SoapFault(_unprefixed(_text_of(parts.get("faultcode"))), _text_of(parts.get("faultstring")),
                         list(detail) if detail is not None else [])
    soap = {"s": SOAP_1_2}
    values = [v.text or "" for v in fault.iterfind("s:Code//s:Value", soap)]
    reason = fault.find("s:Reason/s:Text", soap)
    detail = fault.find("s:Detail", soap)
    return SoapFault(_unprefixed(values[-1]) if values else "", _text_of(reason), list(detail) if detail is not None else [])


def write_fault(body: etree._Element, version: str, code: str, text: str, fill_detail: Callable[[etree._Element], None] | None) -> None:
    """Append a fault. `code` is SOAP 1.1's (`Client`, `Server`, `Client.Something`, `MustUnderstand`, `VersionMismatch`)."""
    namespace = NAMESPACES[version]
    fault = etree.SubElement(body, f"{{{namespace}}}Fault")
    if version == "1.1":
        etree.SubElement(fault, "faultcode").text = f"soap:{code}"
        etree.SubElement(fault, "faultstring").text = text
        if fill_detail is not None:
            fill_detail(etree.SubElement(fault, "detail"))
        return
    main, _, sub = code.partition(".")
    value = {"Client": "Sender", "Server": "Receiver"}.get(main, main)
    coded = etree.SubElement(fault, f"{{{namespace}}}Code")
    etree.SubElement(coded, f"{{{namespace}}}Value").text = f"soap:{value}"
    if sub:
        inner = etree.SubElement(coded, f"{{{namespace}}}Subcode")
        etree.SubElement(inner, f"{{{namespace}}}Value").text = sub
    reason = etree.SubElement(etree.SubElement(fault, f"{{{namespace}}}Reason"), f"{{{namespace}}}Text")
    reason.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
    reason.text = text
    if fill_detail is not None:
        fill_detail(etree.SubElement(fault, f"{{{namespace}}}Detail"))


def _unprefixed(text: str) -> str:
    return text.strip().rpartition(":")[2]


def _text_of(node: etree._Element | None) -> str:
    return " ".join("".join(map(str, node.itertext())).split()) if node is not None else ""
