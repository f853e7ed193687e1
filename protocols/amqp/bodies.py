"""Foreign bodies, JSON or XML, as plain nested dicts. Without schema, without DTD, with exact decimals.

In XML an element with only text is its text; one with attributes or children is a dict of them by their local names (its
text, if any, under `_text`); elements of one name are a list. Namespaces are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from protocols.base import LocalProtocolError, RemoteProtocolError

Kind = Literal["json", "xml"]
CONTENT_TYPES: Mapping[Kind, str] = {"json": "application/json", "xml": "application/xml"}
MAX_DEPTH = 64
_TOO_DEEP = f"the body is nested deeper than {MAX_DEPTH} elements"
_NAME = re.compile(r"[A-Za-z_][\w.-]*\Z")
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_SPECIAL = re.compile(r"[\x00-\x1f&<>\"\ufffe\uffff\ud800-\udfff]")
"""What XML cannot carry, or not as it is."""


def read_body(kind: Kind, body: bytes) -> dict[str, Any]:
    """Read a body; the root element's name is not part of it. Raises RemoteProtocolError."""
    return _read_json(body) if kind == "json" else _Reader().read(body)


def write_body(kind: Kind, fields: Mapping[str, Any], *, root: str = "", namespace: str | None = None,
               attributes: Collection[str] = ()) -> bytes:
    """Write a body. Raises LocalProtocolError for what cannot be said."""
    if kind == "json":
        return "".join(_json(fields)).encode()
    given = {} if namespace is None else {"xmlns": namespace}
    return "".join(_xml(root, fields, given, "", frozenset(attributes))).encode()


def read_xml(body: bytes | str) -> tuple[str, dict[str, Any]]:
    """Read an XML body: its root element's local name, and what is inside. Raises RemoteProtocolError."""
    if isinstance(body, str) and "<!" not in body and body.find("<?", 1) < 0:
        return _read_plain(body)
    reader = _Reader()
    found = reader.read(body)
    return reader.root[0], found


# ---- JSON


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise RemoteProtocolError("the body is not JSON") from None
    if not isinstance(found, dict):
        raise RemoteProtocolError("the body is not a JSON object")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON (RFC 8259, 6)")


def _json(value: Any) -> list[str]:
    """The parts of a value's text: decimals keep their digits, which no float does."""
    if isinstance(value, Mapping):
        parts = ["{"]
        for name, inner in value.items():
            parts += ["," if len(parts) > 1 else "", json.dumps(str(name)), ":", *_json(inner)]
        return [*parts, "}"]
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = ["["]
        for inner in value:
            parts += ["," if len(parts) > 1 else "", *_json(inner)]
        return [*parts, "]"]
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise LocalProtocolError(f"{value} is not JSON")
        return [format(value, "f")]
    if value is None or isinstance(value, bool | int | str):
        return [json.dumps(value)]
    return [json.dumps(str(value))]


# ---- XML


def _read_plain(body: str) -> tuple[str, dict[str, Any]]:
    """A text that has neither declarations nor comments, as nearly all have none, goes through the tree builder in C."""
    try:
        root = ET.XML(body)  # it can declare nothing
    except (ET.ParseError, ValueError):
        raise RemoteProtocolError("the body is not well-formed XML") from None
    return root.tag.rpartition("}")[2], _fields(_content(root, 1))


def _content(element: ET.Element, depth: int) -> Any:
    """What is inside an element."""
    children: dict[str, Any] = {name: value for name, value in element.items() if "}" not in name}
    text = element.text or ""
    if len(element) and depth >= MAX_DEPTH:
        raise RemoteProtocolError(_TOO_DEEP)
    for child in element:
        name = child.tag
        if name[0] == "{":
            name = name.rpartition("}")[2]
        value = _content(child, depth + 1) if len(child) or child.keys() else child.text or ""
        if name not in children:
            children[name] = value
        else:
            _again(children, name, value)
        if child.tail:
            text += child.tail
    if not children:
        return text
    if text and not text.isspace():
        children.setdefault("_text", text)
    return children


def _again(children: dict[str, Any], name: str, value: Any) -> None:
    """A further child of a name makes a list of them."""
    if isinstance(children[name], list):
        children[name].append(value)
    else:
        children[name] = [children[name], value]


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a root element."""
    return value if isinstance(value, dict) else {"_text": value} if value.strip() else {}


class _Reader:
    """Reads one document. What is open is a stack of name, children (None where there are none) and text, in one piece or several."""

    def __init__(self) -> None:
        self._open: list[tuple[str, dict[str, Any] | None, str | list[str]]] = []
        self.root: tuple[str, Any] = "", ""

    def read(self, body: bytes | str) -> dict[str, Any]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        try:
            parser.Parse(body, True)  # noqa: FBT003  # expat's: this is all of it
        except (expat.ExpatError, ValueError, LookupError):
            raise RemoteProtocolError("the body is not well-formed XML") from None
        return _fields(self.root[1])

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise RemoteProtocolError(_TOO_DEEP)
        local = {key: value for key, value in attributes.items() if " " not in key} if attributes else None
        self._open.append((name.rpartition(" ")[2] if " " in name else name, local or None, ""))

    def _end(self, _name: str) -> None:
        name, children, texts = self._open.pop()
        text = texts if isinstance(texts, str) else "".join(texts)
        value: Any = text
        if children is not None:
            value = children
            if text and not text.isspace():
                children.setdefault("_text", text)
        if not self._open:
            self.root = name, value
            return
        outer, siblings, around = self._open[-1]
        if siblings is None:
            self._open[-1] = outer, {name: value}, around
        elif name not in siblings:
            siblings[name] = value
        else:
            _again(siblings, name, value)

    def _text(self, text: str) -> None:
        name, children, before = self._open[-1]
        if isinstance(before, list):
            before.append(text)
        else:
            self._open[-1] = name, children, [before, text] if before else text

    def _doctype(self, *_: Any) -> None:
        raise RemoteProtocolError("the body has a document type declaration, which is not allowed")


def _xml(name: str, value: Any, attributes: Mapping[str, str], path: str, as_attributes: frozenset[str]) -> list[str]:
    _element(name)
    inside: list[str] = []
    said = dict(attributes)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            where = f"{path}.{key}" if path else key
            if key == "_text":
                inside.append(_escaped(inner))
            elif where in as_attributes:
                if not _NAME.match(key):
                    raise LocalProtocolError(f"{key!r} cannot be the name of an attribute")
                said[key] = _plain(inner)
            elif type(inner) is str and inner:
                inside.append(f"<{_element(key)}>{_escaped(inner)}</{key}>")
            else:
                for one in inner if isinstance(inner, Sequence) and not isinstance(inner, str) else [inner]:
                    inside += _xml(key, one, {}, where, as_attributes)
    elif value is not None:
        inside.append(_escaped(value))
    begun = name + "".join([f' {key}="{text}"' if _SPECIAL.search(text) is None else f" {key}={quoteattr(text)}"
                            for key, text in said.items()]) if said else name
    return [f"<{begun}>", *inside, f"</{name}>"] if inside else [f"<{begun}/>"]


def _element(name: str) -> str:
    if not _NAME.match(name):
        raise LocalProtocolError(f"{name!r} cannot be the name of an element")
    return name


def _escaped(value: Any) -> str:
    """A text as an element holds it; a carriage return would else come over as a line feed (XML 1.0, 2.11)."""
    if type(value) is str and _SPECIAL.search(value) is None:
        return value
    return escape(_plain(value), {"\r": "&#13;"})


def _plain(value: Any) -> str:
    text = "true" if value is True else "false" if value is False else format(value, "f") if isinstance(value, Decimal) else str(value)
    if _NOT_XML.search(text):
        raise LocalProtocolError("a value has characters that XML cannot carry")
    return text
