"""Faults: what went wrong as SOAP 1.1 (4.4) and SOAP 1.2 (Part 1, 5.4) say it, with our typed detail."""

from __future__ import annotations

from enum import Enum
from typing import Final
from xml.sax.saxutils import escape

from protocols.base import RemoteProtocolError

MALFORMED: Final = "Client.Malformed"
INVALID: Final = "Client.Invalid"
UNKNOWN_OPERATION: Final = "Client.UnknownOperation"
MUST_UNDERSTAND: Final = "MustUnderstand"
VERSION_MISMATCH: Final = "VersionMismatch"


class Version(Enum):
    """A version of SOAP; the value is its envelope's namespace."""

    V11 = "http://schemas.xmlsoap.org/soap/envelope/"
    V12 = "http://www.w3.org/2003/05/soap-envelope"

    @property
    def content_type(self) -> str:
        """The media type of its messages."""
        return "text/xml; charset=utf-8" if self is Version.V11 else "application/soap+xml; charset=utf-8"


class SoapError(RemoteProtocolError):
    """A message that is answered with a fault. `code` is the fault's, without prefix; `field` the path of what is wrong.

    `not_understood` is the header (namespace, name) that had to be understood and was not.
    """

    def __init__(self, code: str, message: str, field: str | None = None, not_understood: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.not_understood = not_understood


def http_status(version: Version, code: str) -> int:
    """The HTTP status of a fault: always 500 in SOAP 1.1 (6.2); in SOAP 1.2 (Part 2, table 20) 400 for what the sender did."""
    return 400 if version is Version.V12 and code.startswith("Client") else 500


def fault_body(version: Version, code: str, message: str, detail: bytes = b"") -> bytes:
    """Return the Fault element. `code` is `Client.Invalid`, say; `detail` is the detail's content, serialised."""
    said = escape(message).encode("utf-8", "replace")
    if version is Version.V11:
        inner = b"<detail>%b</detail>" % detail if detail else b""
        return b"<soap:Fault><faultcode>soap:%b</faultcode><faultstring>%b</faultstring>%b</soap:Fault>" % (code.encode(), said, inner)
    inner = b"<soap:Detail>%b</soap:Detail>" % detail if detail else b""
    value, _, _ = code.partition(".")
    value = {"Client": "Sender", "Server": "Receiver"}.get(value, value)
    subcode = b"" if "." not in code else (
        b'<soap:Subcode><soap:Value xmlns:uip="urn:uip:1">uip:%b</soap:Value></soap:Subcode>' % code.encode())
    return (b"<soap:Fault><soap:Code><soap:Value>soap:%b</soap:Value>%b</soap:Code><soap:Reason>"
            b'<soap:Text xml:lang="en">%b</soap:Text></soap:Reason>%b</soap:Fault>' % (value.encode(), subcode, said, inner))


def fault_headers(version: Version, error: SoapError) -> bytes:
    """Return the header blocks SOAP 1.2 wants beside some faults: NotUnderstood (5.4.8) and Upgrade (5.4.7)."""
    if error.code == VERSION_MISMATCH:
        names = b"".join(b'<soap:SupportedEnvelope qname="v%d:Envelope" xmlns:v%d="%b"/>' % (n, n, v.value.encode())
                         for n, v in ((2, Version.V12), (1, Version.V11)))
        return b'<soap:Upgrade xmlns:soap="%b">%b</soap:Upgrade>' % (Version.V12.value.encode(), names)
    if version is Version.V12 and error.not_understood is not None:
        namespace, name = (escape(part, {'"': "&quot;"}).encode() for part in error.not_understood)
        return b'<soap:NotUnderstood qname="n:%b" xmlns:n="%b"/>' % (name, namespace) if namespace else (
            b'<soap:NotUnderstood qname="%b"/>' % name)
    return b""
