"""The requests that are measured, as each protocol's bytes, and how their answers end."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from gateway.bench.load import BadAnswer

START = "2099-01-01T00:00:00Z"
"""Orders for later are accepted, stored and answered, and nothing more: what is measured is the way in and out."""

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)\r\n")


class Http:
    """HTTP/1.1 with keep-alive. `expected` is text that a right answer holds."""

    def __init__(self, host: str, path: str, *, party: tuple[str, str] | None = None, expected: bytes = b"", status: int = 200) -> None:
        self._expected = expected
        self._status = b"HTTP/1.1 %d " % status
        head = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: text/xml; charset=utf-8", 'SOAPAction: ""']
        if party is not None:
            head.append("Authorization: Basic " + base64.b64encode(":".join(party).encode()).decode())
        self._head = ("\r\n".join(head) + "\r\nContent-Length: ").encode()

    def opening(self) -> bytes:
        """Nothing: credentials go with each request."""
        return b""

    def framed(self, body: bytes) -> bytes:
        """The whole request."""
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def answer(self, buffer: bytearray) -> int:
        """See `Exchange.answer`."""
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            return 0
        found = _LENGTH.search(buffer, 0, head + 2)
        if found is None:
            raise BadAnswer("an answer without Content-Length")
        end = head + 4 + int(found[1])
        if len(buffer) < end:
            return 0
        if not buffer.startswith(self._status) or buffer.find(self._expected, head, end) < 0:
            raise BadAnswer(bytes(buffer[:2000]).decode("utf-8", "replace"))
        return end


class SoapSubmit(Http):
    """SubmitProductOrder with a start far away, about 1.3 KB as partners' toolkits write it."""

    def request(self, number: int) -> bytes:
        """The order of that number."""
        return self.framed(soap_order(number))


class SoapGet(Http):
    """GetProductOrder by id."""

    def __init__(self, host: str, path: str, order: str, *, party: tuple[str, str], expected: bytes, status: int = 200) -> None:
        super().__init__(host, path, party=party, expected=expected, status=status)
        self._whole = self.framed(_envelope(f"<u:GetProductOrder><u:id>{order}</u:id></u:GetProductOrder>"))

    def request(self, _number: int) -> bytes:
        """The same question again."""
        return self._whole


class SoapInvalid(Http):
    """An order that fails its check."""

    def request(self, number: int) -> bytes:
        """An order without an offering."""
        return self.framed(soap_order(number).replace(b"<u:productOffering>mobile-basic</u:productOffering>", b""))


def _envelope(body: str) -> bytes:
    return ('<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            f'xmlns:u="urn:uip:1"><soapenv:Header/><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>').encode()


def soap_order(number: int) -> bytes:
    """The envelope of one order."""
    characteristics = "".join(f"<u:productCharacteristic><u:name>{n}</u:name><u:value>{v}</u:value></u:productCharacteristic>"
                              for n, v in (("TELESERVICES", "basic"), ("SUPPLEMENTARY", "standard")))
    return _envelope(
        f"<u:SubmitProductOrder><u:externalId>BENCH-{number}</u:externalId>"
        "<u:relatedParty><u:id>C-1000234</u:id><u:name>Ann Lee</u:name><u:role>customer</u:role></u:relatedParty>"
        "<u:productOrderItem><u:id>1</u:id><u:action>add</u:action><u:quantity>1</u:quantity>"
        f"<u:productOffering>mobile-basic</u:productOffering>{characteristics}</u:productOrderItem>"
        f"<u:account>ACC-1000234</u:account><u:requestedStartDate>{START}</u:requestedStartDate>"
        "<u:priority>2</u:priority><u:note>Bench order, to be accepted and left alone</u:note></u:SubmitProductOrder>")


@dataclass(slots=True)
class _Mml:
    user: str
    secret: str

    def opening(self) -> bytes:
        """Log in."""
        return f'LGI:OPNAME="{self.user}",PWD="{self.secret}";\r\n'.encode()

    @staticmethod
    def answer(buffer: bytearray) -> int:
        """See `Exchange.answer`."""
        end = buffer.find(b"---    END")
        if end < 0:
            return 0
        if buffer.find(b"RETCODE = 0 ", 0, end) < 0:
            raise BadAnswer(bytes(buffer[:2000]).decode("utf-8", "replace"))
        line = buffer.find(b"\n", end)
        return line + 1 if line >= 0 else 0


class MmlSubmit(_Mml):
    """ADD ORDER with a start far away."""

    def request(self, number: int) -> bytes:
        """The order of that number."""
        return (f'ADD ORDER:EXTID="BENCH-M{number}",CUSTID="C-1000234",CUSTNAME="Ann Lee",OFFER="mobile-basic",'
                f'TELESERVICES="basic",STARTDATE="{START}";\r\n').encode()


@dataclass(slots=True)
class MmlGet(_Mml):
    """LST ORDER by id."""

    order: str = ""

    def request(self, _number: int) -> bytes:
        """The same question again."""
        return f'LST ORDER:ORDERID="{self.order}";\r\n'.encode()
