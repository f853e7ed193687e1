"""`python -m tests.fuzz N`: N mutated envelopes to the native SOAP service and to a partner's contract; every answer is a well-formed
reply or fault.

It uses no socket: requests go to the HTTP protocol as bytes in pieces, as they would arrive.
"""

from __future__ import annotations

import random
import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from tests.adapters.soap.standin import StandIn, listener
from tests.adapters.soap_foreign.partner import site
from tests.protocols.soap.messages import GET, SUBMIT, V12, key, soap

BASIC = "Authorization: Basic Y3JtOmNybS1zZWNyZXQ=\r\n"
TOKEN = ('<w:Security xmlns:w="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><w:UsernameToken>'
         "<w:Username>crm</w:Username><w:Password>crm-secret</w:Password></w:UsernameToken></w:Security>")
SEEDS = [soap(SUBMIT), soap(SUBMIT, key("k")), soap(GET, version=V12), soap(GET, TOKEN + key("k")), soap(SUBMIT, TOKEN, version=V12),
         soap(SUBMIT, prolog='<?xml version="1.0" encoding="utf-8"?>'), soap(GET, '<x xmlns="urn:x" s:mustUnderstand="1"/>')]
SHOP = 'xmlns:o="urn:shop:orders"'
PLACE = (f'<o:PlaceOrder {SHOP}><o:reference>R-1</o:reference><o:buyer id="C1">Ann</o:buyer>'
         '<o:line count="2"><o:plan>BASIC</o:plan></o:line></o:PlaceOrder>')
PARTNER_SEEDS = [soap(PLACE), soap(PLACE, TOKEN), soap(f"<o:FindOrder {SHOP}><o:reference>R-1</o:reference></o:FindOrder>"),
                 soap(PLACE, '<x xmlns="urn:x" s:mustUnderstand="1"/>')]
NASTY = ["<", ">", "&", "&#0;", "&#x10FFFF;", "]]>", "<![CDATA[", "<!--", "-->", "<?x ?>", "<!DOCTYPE a>", "&lol;", "\0", "\ufffe",
         "'", '"', "=", "xmlns:u=''", "xsi:nil='1'", "<s:Body>", "</s:Body>", "<u:id>x</u:id>", "-1", "1e999", "9" * 400,
         ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="x:y"', "2026-13-45T99:99:99Z", "Ω" * 300, " " * 500,
         "<a>" * 60, 'Id="1"', "<xop:Include href='cid:x'/>", "%s%n", "../../etc/passwd"]
KINDS = ("text/xml; charset=utf-8", "text/xml", "application/soap+xml", 'application/soap+xml; action="x"')
INCLUDE = '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:a"/>'
MULTIPART = ("--edge\r\nContent-Type: application/xop+xml; charset=utf-8\r\nContent-ID: <r>\r\n\r\nENVELOPE\r\n--edge\r\n"
             "Content-Transfer-Encoding: base64\r\nContent-ID: <a>\r\n\r\nRS0x\r\n--edge--")
MULTIPART_KIND = 'multipart/related; type="application/xop+xml"; start="<r>"; start-info="text/xml"; boundary="edge"'
LEAKS = re.compile(r"Traceback|File \"|\.py\b|lxml|spyne|pydantic|libxml|crm-secret|site-packages|0x[0-9a-f]{8}")
CODES = re.compile(r"(?:soap:)?(?:(?:Client|Server)(?:\.[A-Z]\w+)?|MustUnderstand|VersionMismatch)")


class Transport(StringTransport):
    """What a connection writes to, with what Twisted's TCP transport has and StringTransport has not."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing to delay."""

    def loseWriteConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.disconnecting = True


LEAF = re.compile(r"<([uo]:\w+)>([^<]*)</\1>")


def gently(text: str, chance: random.Random) -> str:
    """Change an element so that the message stays well-formed: its value, its name, its number, its place."""
    leaves = list(LEAF.finditer(text))
    if not leaves:
        return text
    leaf = chance.choice(leaves)
    (start, end), name, value = leaf.span(), leaf[1], leaf[2]
    other = chance.choice(leaves)
    nasty = escape("".join(c for c in chance.choice(NASTY) if c >= " " and c != "\ufffe"))
    new = chance.choice((f"<{name}>{nasty}</{name}>", f"<{name}>{value}</{name}>" * 2, "", f"<u:x>{value}</u:x>", f"<{name}/>",
                         f"<{name} a='{value}'>{value}</{name}>", other[0] + leaf[0], f"<{name}>{leaf[0]}</{name}>",
                         f"<{name}><!-- {value} -->{value}</{name}>", f"<{name}><![CDATA[{value}]]></{name}>",
                         f"<{name} xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:nil='true'/>",
                         f"<{name} xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:type='u:ItemAction'>{value}</{name}>"))
    return text[:start] + new + text[end:]


def roughly(text: str, chance: random.Random) -> str:
    """Change characters, pieces or tags anywhere."""
    at, to = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
    to = min(to, at + chance.choice((1, 5, 40)))
    tags = [m.span() for m in re.finditer(r"<[^>]*>", text)] or [(0, 0)]
    (a, b), (c, d) = sorted((chance.choice(tags), chance.choice(tags)))
    return chance.choice((
        text[:at] + text[to:],
        text[:at] + chance.choice(NASTY) + text[at:],
        text[:at] + chance.choice(NASTY) + text[to:],
        text[:at] + text[at:to] * chance.choice((2, 3, 50)) + text[to:],
        text[:a] + text[b:],
        text[:b] + chance.choice(NASTY) + text[b:],
        text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:] if b <= c else text,
    ))[:100_000]


def mutated(chance: random.Random, seeds: Sequence[str]) -> bytes:
    """One envelope, changed in one to four places: half of them gently, the others in characters, pieces, tags and bytes."""
    text = chance.choice(seeds)
    if chance.random() < 0.5:
        for _ in range(chance.randint(1, 3)):
            text = gently(text, chance)
        return text.encode()
    for _ in range(chance.randint(1, 4)):
        text = roughly(text, chance)
    data = text.encode(chance.choice(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1")), "replace")
    if chance.random() < 0.2 and data:
        at = chance.randrange(len(data))
        data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1:]
    return data


def attached(chance: random.Random, seeds: Sequence[str]) -> tuple[bytes, str]:
    """A message with attachments and its Content-Type: its envelope is changed, or something else about it, or nothing."""
    whole = MULTIPART.replace("ENVELOPE", chance.choice(seeds).replace("E-1", INCLUDE).replace("BASIC", INCLUDE))
    kind = MULTIPART_KIND
    match chance.randrange(4):
        case 0:
            whole = MULTIPART.replace("ENVELOPE", mutated(chance, seeds).decode("latin-1"))
        case 1:
            whole = roughly(whole, chance)
        case 2:
            kind = "".join(c for c in roughly(kind, chance) if c.isprintable())[:500]
    return whole.encode("latin-1", "replace"), kind.encode("latin-1", "replace").decode("latin-1")


@dataclass
class Outcome:
    """What came of a run: answers by status and fault code."""

    counts: dict[str, int]

    def add(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def fuzz(times: int, seed: int) -> Outcome:
    """Send `times` mutated envelopes. Raises AssertionError on an answer that is no answer, or tells too much."""
    chance = random.Random(seed)
    clock = Clock()
    gateway = StandIn(clock)
    with TemporaryDirectory() as folder:
        served, log = listener(clock, gateway, Path(folder), protocols={"shop": site(Path(folder))}, partners={"/shop": "shop"},
                               max_request=60_000)
    factory: Any = served._factory
    factory.now, outcome = 0.0, Outcome({})
    factory.date = b"Tue, 24 Nov 2026 12:00:00 GMT"
    for number in range(times):
        path, seeds = chance.choice((("/soap", SEEDS), ("/soap", SEEDS), ("/shop", PARTNER_SEEDS)))
        body, kind = attached(chance, seeds) if chance.random() < 0.2 else (mutated(chance, seeds), chance.choice(KINDS))
        who = chance.choice((BASIC, BASIC, ""))
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{who}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
        connection = factory.buildProtocol(None)
        transport = Transport()
        connection.makeConnection(transport)
        whole = head + body
        cut = chance.randrange(len(whole))
        connection.dataReceived(whole[:cut])
        connection.dataReceived(whole[cut:])
        answer = transport.value()
        outcome.add(_judged(answer, f"seed {seed}, number {number}: {body!r}"))
        connection.connectionLost()
        gateway.calls.clear()
        gateway.orders.clear()
        gateway.by_key.clear()
    # The partner's file gives failures codes that its contract has no room for: that is its own mistake, told once a message.
    inside = [more for event, more in log.lines if event != "a fault does not fit the contract"]
    assert not inside, f"failed inside: {inside[0]}"
    assert not LEAKS.search(str(log.lines)), "the log tells too much"
    assert not factory.connections
    assert not len(gateway.sessions)
    return outcome


def _judged(answer: bytes, told: str) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), told
    status = int(head.split()[1])
    assert f"Content-Length: {len(body)}\r\n".encode() in head, told
    root = etree.fromstring(body)
    assert not LEAKS.search(body.decode()), f"{told} -> {body!r}"
    if status == 200:
        return "200"
    codes = [e.text or "" for e in root.iter() if etree.QName(e).localname in ("faultcode", "Value")]
    assert codes, told
    assert CODES.fullmatch(codes[-1].removeprefix("uip:").removeprefix("soap:")), f"{told}: {codes}"
    assert "Internal" not in codes[-1], f"{told} -> {body!r}"
    return f"{status} {codes[-1]}"


def main() -> None:
    """Run from the command line."""
    warnings.simplefilter("ignore")
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"{times} mutated envelopes, seed {seed}\n")
    for what, count in sorted(fuzz(times, seed).counts.items()):
        sys.stdout.write(f"{count:8}  {what}\n")


if __name__ == "__main__":
    main()
