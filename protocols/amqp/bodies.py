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
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from protocols.base import LocalProtocolError, RemoteProtocolError

Kind = Literal["json", "xml"]
CONTENT_TYPES: Mapping[Kind, str] = {"json": "application/json", "xml": "application/xml"}
MAX_DEPTH = 64
_NAME = re.compile(r"[A-Za-z_][\w.-]*\Z")
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


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
    reader = _Reader()
    found = reader.read(body)
    assert reader.root is not None
    return reader.root.name, found


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


class _Element:
    __slots__ = ("children", "name", "texts")

    def __init__(self, name: str, attributes: Mapping[str, str]) -> None:
        self.name = name
        self.children: dict[str, Any] = dict(attributes)
        self.texts: list[str] = []

    def add(self, name: str, value: Any) -> None:
        if name not in self.children:
            self.children[name] = value
        elif isinstance(self.children[name], list):
            self.children[name].append(value)
        else:
            self.children[name] = [self.children[name], value]

    @property
    def value(self) -> Any:
        text = "".join(self.texts)
        if not self.children:
            return text
        if text.strip():
            self.children.setdefault("_text", text)
        return self.children


class _Reader:
    def __init__(self) -> None:
        self._open: list[_Element] = []
        self.root: _Element | None = None

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
        assert self.root is not None
        value = self.root.value
        return value if isinstance(value, dict) else {"_text": value} if value.strip() else {}

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise RemoteProtocolError(f"the body is nested deeper than {MAX_DEPTH} elements")
        local = {key: value for key, value in attributes.items() if " " not in key}
        self._open.append(_Element(name.rpartition(" ")[2], local))

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        if self._open:
            self._open[-1].add(element.name, element.value)
        else:
            self.root = element

    def _text(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def _doctype(self, *_: Any) -> None:
        raise RemoteProtocolError("the body has a document type declaration, which is not allowed")


def _xml(name: str, value: Any, attributes: Mapping[str, str], path: str, as_attributes: frozenset[str]) -> list[str]:
    if not _NAME.match(name):
        raise LocalProtocolError(f"{name!r} cannot be the name of an element")
    attributes = dict(attributes)
    inside: list[str] = []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            where = f"{path}.{key}".lstrip(".")
            if key == "_text":
                inside.append(_escaped(inner))
            elif where in as_attributes:
                if not _NAME.match(key):
                    raise LocalProtocolError(f"{key!r} cannot be the name of an attribute")
                attributes[key] = _plain(inner)
            else:
                several = inner if isinstance(inner, Sequence) and not isinstance(inner, str) else [inner]
                for one in several:
                    inside += _xml(key, one, {}, where, as_attributes)
    elif value is not None:
        inside.append(_escaped(value))
    said = "".join(f" {key}={quoteattr(text)}" for key, text in attributes.items())
    return [f"<{name}{said}>", *inside, f"</{name}>"] if inside else [f"<{name}{said}/>"]


def _escaped(value: Any) -> str:
    """A text as an element holds it; a carriage return would else come over as a line feed (XML 1.0, 2.11)."""
    return escape(_plain(value), {"\r": "&#13;"})


def _plain(value: Any) -> str:
    text = "true" if value is True else "false" if value is False else format(value, "f") if isinstance(value, Decimal) else str(value)
    if _NOT_XML.search(text):
        raise LocalProtocolError("a value has characters that XML cannot carry")
    return text
