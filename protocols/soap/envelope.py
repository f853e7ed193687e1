"""The envelope: from bytes to headers and payload, refusing everything that is unsafe or not SOAP before it costs anything.

What is refused, and why: document types (SOAP 1.1 section 3; entities), processing instructions (SOAP 1.2 Part 1, 5),
too many elements or attributes, too deep nesting, anything beside or behind the one payload, a header or an id that stands
twice (two readers of one message must not find two different things in it).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from protocols.soap.faults import MALFORMED, MUST_UNDERSTAND, VERSION_MISMATCH, SoapError, Version

WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_ENCODINGS = frozenset({"utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso8859-1", "iso8859-15", "cp1252", "ascii"})
_DECLARED = re.compile(r"^\s*<\?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"'][^>]*\?>|^\s*<\?xml[^>]*\?>")
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
                     (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
_ID_ENDS = frozenset({b"d", b"D", b" ", b"\t", b"\n", b"\r"})
_FOREIGN_IDS = (f"{{{WSU}}}Id", "{http://www.w3.org/XML/1998/namespace}id")
_IDS = (*_FOREIGN_IDS, "Id", "ID", "id", "AssertionID")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one message. `depth` counts nested elements, `elements` and `attributes` the whole message's."""

    depth: int = 40
    elements: int = 20_000
    attributes: int = 10_000


@dataclass(slots=True)
class Message:
    """A message taken apart. `headers` are the blocks meant for us by their tag; `payload` is the Body's one child.

    `text` is the message as UTF-8, `tree` as lxml has it, `body` the Body in it.
    """

    version: Version
    headers: dict[str, Any]
    payload: Any
    text: bytes
    tree: Any
    body: Any


@dataclass(frozen=True, slots=True)
class _Names:
    """What the parts of an envelope are called in one version; `here` are the actors (roles) that mean us."""

    version: Version
    header: str
    body: str
    fault: str
    must_understand: str
    actor: str
    here: frozenset[str]


def _names(version: Version, actor: str, *here: str) -> _Names:
    header, body, fault, must, actor = (f"{{{version.value}}}{n}" for n in ("Header", "Body", "Fault", "mustUnderstand", actor))
    return _Names(version, header, body, fault, must, actor, frozenset(here))


_NAMES = {f"{{{names.version.value}}}Envelope": names for names in (
    _names(Version.V11, "actor", "http://schemas.xmlsoap.org/soap/actor/next"),
    _names(Version.V12, "role", "http://www.w3.org/2003/05/soap-envelope/role/next",
           "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver"))}


class EnvelopeReader:
    """Reads messages. `understood` are the tags of the header blocks we act on. In a `foreign` contract's messages the Body may hold
    several elements or none, and attributes called id are the partner's business. Not for use in two threads at once.
    """

    def __init__(self, understood: frozenset[str], limits: Limits = Limits(), *, foreign: bool = False) -> None:
        self._understood = understood
        self._limits = limits
        self._foreign = foreign
        self._parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
                                       huge_tree=False, remove_comments=True, remove_blank_text=False, collect_ids=False)
        self._too_deep = etree.XPath("boolean(" + "/*" * (limits.depth + 1) + ")")
        self._instructions = etree.XPath("boolean(//processing-instruction())")

    def read(self, data: bytes, charset: str | None = None) -> Message:
        """Take a message apart; `charset` is what the transport says of it. Raises SoapError."""
        text = _as_utf8(data, charset)
        self._look_before_parsing(text)
        try:
            root = etree.fromstring(text, self._parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            raise SoapError(MALFORMED, f"not well-formed XML: {_told(error)}") from None
        self._look_at_tree(root, text)
        names = _NAMES.get(root.tag) or _no_envelope(root)
        header, body = _parts(root, names)
        children = len(body)
        if children != 1 and not self._foreign:
            raise SoapError(MALFORMED, f"the Body must hold exactly one element, not {children}")
        payload = body[0] if children else None
        if payload is not None and payload.tag == names.fault:
            raise SoapError(MALFORMED, "a Fault is no request")
        headers = {} if header is None else self._headers(header, names, text)
        return Message(names.version, headers, payload, text, root, body)

    def _look_before_parsing(self, text: bytes) -> None:
        if _has_doctype(text):
            raise SoapError(MALFORMED, "a document type is not allowed")
        # Each takes two bytes at least: most messages are too short for too many.
        if len(text) > 2 * self._limits.elements and text.count(b"<") > 2 * self._limits.elements:
            raise SoapError(MALFORMED, f"more than {self._limits.elements} elements")
        if len(text) > self._limits.attributes and text.count(b"=") > self._limits.attributes:
            raise SoapError(MALFORMED, f"more than {self._limits.attributes} attributes")

    def _look_at_tree(self, root: Any, text: bytes) -> None:
        # No message with fewer tags can be that deep; most have fewer.
        if text.count(b"<") > 2 * self._limits.depth and self._too_deep(root):
            raise SoapError(MALFORMED, f"more than {self._limits.depth} elements inside one another")
        declared = text.startswith(b"<?xml") and text[5:6].isspace()
        if text.count(b"?") > 2 * declared and (self._instructions(root) or root.getprevious() is not None or root.getnext() is not None):
            raise SoapError(MALFORMED, "processing instructions are not allowed")
        # An id, or a space before the '=': nobody writes that but who has an id to hide.
        for part in text.split(b"="):
            if part[-1:] in _ID_ENDS:
                _ids_once(root, _FOREIGN_IDS if self._foreign else _IDS)
                break

    def _headers(self, header: Any, names: _Names, text: bytes) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for block in header:
            actor = block.get(names.actor)
            if actor and actor not in names.here:
                continue
            tag = block.tag
            if tag in self._understood:
                if tag in found or _stands_elsewhere(tag, header, text):
                    raise SoapError(MALFORMED, f"the header {etree.QName(tag).localname} stands twice")
            elif block.get(names.must_understand, "").strip() in ("1", "true"):
                name = etree.QName(tag)
                raise SoapError(MUST_UNDERSTAND, f"the header {name.localname} is not understood here",
                                not_understood=(name.namespace or "", name.localname))
            found[tag] = block
        if _stands_elsewhere(names.body, header, text, 0):
            raise SoapError(MALFORMED, "a Body stands inside a header")
        return found


def _as_utf8(data: bytes, charset: str | None) -> bytes:
    """Return the message as UTF-8 without an XML declaration of another encoding. The transport's word comes first (RFC 7303)."""
    if charset in (None, "utf-8", "us-ascii") and data[:1] == b"<" and data[1:2] != b"\0":
        declaration = data[:200].partition(b"?>")[0].lower() if data[:5] == b"<?xml" else b""
        if b"encoding" not in declaration or b"utf-8" in declaration:
            return data
    name = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
    try:
        if name is None:
            name = _encoding(charset or _declared(data) or "utf-8")
        text = data.decode(name)
    except (UnicodeDecodeError, LookupError):
        raise SoapError(MALFORMED, f"the message is not in the encoding it claims ({(name or charset or 'utf-8')[:40]})") from None
    return _DECLARED.sub("", text, count=1).lstrip("\ufeff \t\r\n").encode("utf-8", "replace")


def _encoding(name: str) -> str:
    found = codecs.lookup(name).name
    if found not in _ENCODINGS:
        raise LookupError(name)
    return found


def _declared(data: bytes) -> str | None:
    found = _DECLARED.match(data[:200].decode("latin-1"))
    return found[1] if found else None


def _has_doctype(text: bytes) -> bool:
    """Whether a document type stands before the root element: the only place for one."""
    at = 0
    while (at := text.find(b"<", at)) >= 0:
        if text.startswith(b"<?", at):
            at = text.find(b"?>", at + 2)
        elif text.startswith(b"<!--", at):
            at = text.find(b"-->", at + 4)
        else:
            return text.startswith(b"<!", at)
        if at < 0:
            return False
    return False


def _told(error: Exception) -> str:
    """Name libxml2's reason and where; its own words quote the message, and so perhaps a password."""
    log: Any = getattr(error, "error_log", None)
    last = log.last_error if log is not None else None
    if last is None:
        return "it cannot be read"
    return f"{last.type_name.removeprefix('ERR_').replace('_', ' ').lower()}, line {last.line}, column {last.column}"


def _no_envelope(root: Any) -> _Names:
    """Say what is wrong with a root element that is no envelope of ours."""
    if root.tag.rpartition("}")[2] != "Envelope":
        raise SoapError(MALFORMED, "the message is no SOAP envelope")
    raise SoapError(VERSION_MISMATCH, "the envelope is neither SOAP 1.1's nor SOAP 1.2's")


def _parts(root: Any, names: _Names) -> tuple[Any, Any]:
    children = list(root)
    if len(children) == 1 and children[0].tag == names.body:
        return None, children[0]
    if len(children) == 2 and children[0].tag == names.header and children[1].tag == names.body:
        return children[0], children[1]
    raise SoapError(MALFORMED, "an envelope holds one Header at most and one Body, in this order, and nothing else")


def _stands_elsewhere(tag: str, header: Any, text: bytes, allowed: int = 1) -> bool:
    """Whether an element stands more often in the header than allowed, at any depth. The text is asked first: it is quicker."""
    return text.count(tag.rpartition("}")[2].encode()) > 2 and sum(1 for _ in header.iter(tag)) > allowed


def _ids_once(root: Any, names: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for value in _id_values(root, names):
        if value in seen:
            raise SoapError(MALFORMED, "an id stands twice in the message")
        seen.add(value)


def _id_values(root: Any, names: tuple[str, ...]) -> Iterator[str]:
    for element in root.iter(etree.Element):
        for name in names:
            value = element.get(name)
            if value is not None:
                yield value
