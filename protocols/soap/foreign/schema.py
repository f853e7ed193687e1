"""XML Schema types as this gateway needs them: an element read into plain values, plain values written as an element.

A simple element is its value (str, int, Decimal, bool, or a list of them); a complex one a dict of its attributes and child
elements by local name, a repeated child a list. Text beside attributes stands under `_text`, the name of a derived type
(xsi:type) under `_type`, an attribute that shares its name with a child under `_` and its name.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

from lxml import etree

from protocols.base import LocalProtocolError, RemoteProtocolError

XSI = "http://www.w3.org/2001/XMLSchema-instance"
NIL = f"{{{XSI}}}nil"
XSI_TYPE = f"{{{XSI}}}type"
TEXT = "_text"
TYPE = "_type"

Value: TypeAlias = Any
UNBOUNDED = 1 << 30
BINARY = "base64Binary"

_DATE = r"-?\d{4,}-\d\d-\d\d"
_TIME = r"\d\d:\d\d:\d\d(\.\d+)?"
_ZONE = r"(Z|[+-]\d\d:\d\d)?"
_LEXICAL = {kind: re.compile(pattern) for kind, pattern in {
    "integer": r"[+-]?\d+",
    "decimal": r"[+-]?(\d+(\.\d*)?|\.\d+)",
    "boolean": r"true|false|0|1",
    "double": r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|-?INF|NaN",
    "dateTime": f"{_DATE}T{_TIME}{_ZONE}",
    "date": _DATE + _ZONE,
    "time": _TIME + _ZONE,
    BINARY: r"[A-Za-z0-9+/\s]*(=\s*){0,2}",
}.items()}
_MADE: dict[str, Callable[[str], Any]] = {"integer": int, "decimal": Decimal, "boolean": lambda text: text in ("true", "1")}


@dataclass(slots=True)
class Simple:
    """A simple type. `kind` is the XML Schema primitive that matters here (`string` for all whose text is its value)."""

    kind: str = "string"
    many: bool = False

    def read(self, text: str | None) -> Value:
        """The value of a text. Raises ValueError."""
        if self.many:
            return [self._one(word) for word in (text or "").split()]
        return self._one(text or "")

    def _one(self, text: str) -> Value:
        lexical = _LEXICAL.get(self.kind)
        if lexical is None:
            return text
        text = text.strip()
        if not lexical.fullmatch(text):
            raise ValueError(f"is not a valid {self.kind}")
        return _MADE.get(self.kind, str)(text)

    def write(self, value: Value) -> str:
        """The text of a value. Raises ValueError."""
        if self.many and isinstance(value, (list, tuple)):
            return " ".join(self.write_one(v) for v in value)
        return self.write_one(value)

    def write_one(self, value: Value) -> str:
        """The text of one value. Raises ValueError."""
        text = plain(value)
        lexical = _LEXICAL.get(self.kind)
        if lexical is not None and not lexical.fullmatch(text):
            raise ValueError(f"is not a valid {self.kind}")
        return text


def plain(value: Value) -> str:
    """The XML text of a plain value. Raises ValueError where XML cannot carry it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise ValueError("must be a single value")


@dataclass(slots=True)
class Attribute:
    """One attribute of a complex type; `name` is its key in the dict."""

    tag: str
    name: str
    type: Simple
    required: bool = False


@dataclass(slots=True)
class Element:
    """An element's declaration; `tag` is lxml's `{namespace}name`."""

    tag: str
    name: str
    type: Type
    least: int = 1
    most: int = 1
    nillable: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Its own name: what it can take from a dict."""
        return frozenset((self.name,))


@dataclass(slots=True)
class Wildcard:
    """xs:any: elements the type does not name."""

    least: int = 1
    most: int = 1
    names: frozenset[str] = frozenset()


Kind: TypeAlias = Literal["sequence", "choice", "all"]


@dataclass(slots=True)
class Group:
    """xs:sequence, xs:choice or xs:all."""

    kind: Kind
    members: Sequence[Particle]
    least: int = 1
    most: int = 1
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = frozenset(name for member in self.members for name in member.names)


Particle: TypeAlias = Element | Group | Wildcard


@dataclass(slots=True, repr=False, eq=False)
class Complex:
    """A complex type. `text` is its simple content, where it has that; made empty and then filled, since types may be recursive."""

    tag: str | None = None
    content: Group | None = None
    text: Simple | None = None
    attributes: dict[str, Attribute] = field(default_factory=dict)
    any_attribute: bool = False
    children: dict[str, tuple[Element, bool]] = field(default_factory=dict)
    """Child elements by tag and by local name, with whether they may come more than once."""
    wildcard: bool = False

    def fill(self, content: Group | None) -> None:
        """Set the content and the tables made from it."""
        self.content = content
        if content is not None:
            for element, many in _elements(content, many=False):
                for key in {element.tag, element.name}:
                    known = self.children.get(key)
                    self.children[key] = (element, many or known is not None)
            self.wildcard = _has_wildcard(content)
        for attribute in self.attributes.values():
            if attribute.name in self.children:
                attribute.name = "_" + attribute.name


class Anything:
    """xs:anyType: whatever stands there."""


Type: TypeAlias = Simple | Complex | Anything


def _elements(particle: Particle, *, many: bool) -> Iterator[tuple[Element, bool]]:
    if isinstance(particle, Wildcard):
        return
    many = many or particle.most > 1
    if isinstance(particle, Element):
        yield particle, many
    else:
        for member in particle.members:
            yield from _elements(member, many=many)


def _has_wildcard(particle: Particle) -> bool:
    return isinstance(particle, Wildcard) or (isinstance(particle, Group) and any(map(_has_wildcard, particle.members)))


@dataclass(slots=True)
class Schema:
    """All global elements and types of a contract, by tag."""

    elements: dict[str, Element] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)

    def element(self, name: str) -> Element | None:
        """The global element with this tag, or this local name when only one has it."""
        found = self.elements.get(name)
        if found is None and not name.startswith("{"):
            alike = [e for e in self.elements.values() if e.name == name]
            return alike[0] if len(alike) == 1 else None
        return found

    def type_named(self, node: etree._Element, name: str) -> Type | None:
        """The type that xsi:type (a prefixed name in the scope of `node`) names."""
        prefix, _, local = name.strip().rpartition(":")
        namespace = node.nsmap.get(prefix or None)
        return self.types.get(f"{{{namespace}}}{local}" if namespace else local)


class Reader:
    """Reads elements into plain values. `strict` refuses children and attributes the schema does not know; else they are dropped,
    as they are where a partner has a newer version of the contract. Raises RemoteProtocolError.
    """

    def __init__(self, schema: Schema, *, strict: bool) -> None:
        self._schema = schema
        self._strict = strict

    def read(self, node: etree._Element, type_: Type) -> Value:
        """The value of an element of this type."""
        if node.get(NIL) in ("true", "1"):
            return None
        named = node.get(XSI_TYPE)
        if named is not None:
            type_ = self._schema.type_named(node, named) or type_
        if isinstance(type_, Anything):
            return self._anything(node)
        if isinstance(type_, Simple):
            if len(node):
                raise RemoteProtocolError(f"{local(node)} must be a single value")
            return self._simple(node, type_)
        out: dict[str, Value] = {}
        self._attributes(node, type_, out)
        if type_.text is not None:
            out[TEXT] = self._simple(node, type_.text)
        for child in node:
            self._child(node, child, type_, out)
        return out

    def _simple(self, node: etree._Element, type_: Simple) -> Value:
        try:
            return type_.read(node.text)
        except ValueError as error:
            raise RemoteProtocolError(f"{local(node)} {error}") from None

    def _attributes(self, node: etree._Element, type_: Complex, out: dict[str, Value]) -> None:
        for tag, text in node.attrib.items():
            declared = type_.attributes.get(str(tag))
            if declared is not None:
                try:
                    out[declared.name] = declared.type.read(str(text))
                except ValueError as error:
                    raise RemoteProtocolError(f"{local(node)} {declared.name} {error}") from None
            elif type_.any_attribute:
                out[str(tag).rpartition("}")[2]] = str(text)
            elif self._strict and not str(tag).startswith(f"{{{XSI}}}"):
                raise RemoteProtocolError(f"{local(node)} has no attribute {tag!s}")

    def _child(self, node: etree._Element, child: etree._Element, type_: Complex, out: dict[str, Value]) -> None:
        tag = str(child.tag)
        found = type_.children.get(tag)
        if found is None and not self._strict:
            # Many peers get qualified and unqualified names wrong; the local name says what is meant.
            found = type_.children.get(local(child))
        if found is not None:
            element, many = found
            put(out, element.name, self.read(child, element.type), many=many)
        elif type_.wildcard:
            known = self._schema.elements.get(tag)
            put(out, local(child), self.read(child, known.type) if known else self._anything(child), many=False)
        elif self._strict:
            raise RemoteProtocolError(f"{local(node)} has no element {local(child)}")

    def _anything(self, node: etree._Element) -> Value:
        if not len(node):
            return node.text or ""
        out: dict[str, Value] = {str(tag).rpartition("}")[2]: str(text) for tag, text in node.attrib.items()
                                 if not str(tag).startswith(f"{{{XSI}}}")}
        for child in node:
            known = self._schema.elements.get(str(child.tag))
            put(out, local(child), self.read(child, known.type) if known else self._anything(child), many=False)
        return out


def put(out: dict[str, Value], name: str, value: Value, *, many: bool) -> None:
    """Add a value to a dict; what comes again, or may, becomes a list."""
    if name in out:
        before = out[name]
        if isinstance(before, list):
            before.append(value)
        else:
            out[name] = [before, value]
    else:
        out[name] = [value] if many else value


def local(node: etree._Element) -> str:
    """An element's name without its namespace."""
    return str(node.tag).rpartition("}")[2]


class Writer:
    """Writes plain values as elements, in the schema's order; keeps the elements that hold binary values in `binary`.

    Raises LocalProtocolError, naming the field.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.binary: list[etree._Element] = []

    def write(self, parent: etree._Element, element: Element, value: Value, path: tuple[str, ...] = ()) -> None:
        """Append the element with this value."""
        where = (*path, element.name)
        node = etree.SubElement(parent, element.tag)
        if value is None:
            if not element.nillable:
                raise _wrong(where, "is required")
            node.set(NIL, "true")
            return
        self.fill(node, element.type, value, where)

    def fill(self, node: etree._Element, type_: Type, value: Value, path: tuple[str, ...]) -> None:
        """Give an element its attributes, text and children."""
        if isinstance(value, Mapping) and TYPE in value:
            type_ = self._derived(node, str(value[TYPE]), path)
            value = {k: v for k, v in value.items() if k != TYPE}
        if isinstance(type_, Anything):
            self._anything(node, value, path)
            return
        if isinstance(type_, Simple):
            if isinstance(value, Mapping) and set(value) == {TEXT}:
                value = value[TEXT]
            self._simple(node, type_, value, path)
            return
        if not isinstance(value, Mapping):
            if type_.text is None:
                raise _wrong(path, "must have fields of its own")
            value = {TEXT: value}
        used: set[str] = set()
        self._attributes(node, type_, value, used, path)
        if type_.text is not None:
            used.add(TEXT)
            if value.get(TEXT) is None:
                raise _wrong(path, "is required")
            self._simple(node, type_.text, value[TEXT], path)
        if type_.content is not None:
            self._particle(node, type_, type_.content, value, used, path)
        self._nothing_left(node, type_, value, used, path)

    def _simple(self, node: etree._Element, type_: Simple, value: Value, path: tuple[str, ...]) -> None:
        node.text = _text(type_, value, path)
        if type_.kind == BINARY:
            self.binary.append(node)

    @staticmethod
    def _attributes(node: etree._Element, type_: Complex, value: Mapping[str, Value], used: set[str], path: tuple[str, ...]) -> None:
        for attribute in type_.attributes.values():
            if value.get(attribute.name) is not None:
                used.add(attribute.name)
                node.set(attribute.tag, _text(attribute.type, value[attribute.name], (*path, attribute.name)))
            elif attribute.required:
                raise _wrong((*path, attribute.name), "is required")

    def _nothing_left(self, node: etree._Element, type_: Complex, value: Mapping[str, Value], used: set[str],
                      path: tuple[str, ...]) -> None:
        for name in value:
            if name in used or value[name] is None:
                continue
            if name in type_.children:
                raise _wrong((*path, name), "cannot stand together with the other fields")
            if type_.any_attribute and isinstance(value[name], str):
                node.set(name, value[name])
                continue
            known = [*(k for k in type_.children if not k.startswith("{")), *(a.name for a in type_.attributes.values())]
            raise _wrong((*path, name), "is not a field of the contract" + nearest(name, known))

    def _particle(self, node: etree._Element, type_: Complex, particle: Particle, value: Mapping[str, Value], used: set[str],
                  path: tuple[str, ...], turn: int | None = None) -> None:
        if isinstance(particle, Element):
            self._element(node, particle, value, used, path, turn)
        elif isinstance(particle, Wildcard):
            self._wildcard(node, type_, value, used, path)
        elif particle.kind == "choice":
            self._choice(node, type_, particle, value, used, path, turn)
        elif particle.most > 1 and turn is None:
            for number in range(_turns(particle.names, value)):
                self._sequence(node, type_, particle, value, used, path, number)
        else:
            self._sequence(node, type_, particle, value, used, path, turn)

    def _sequence(self, node: etree._Element, type_: Complex, group: Group, value: Mapping[str, Value], used: set[str],
                  path: tuple[str, ...], turn: int | None) -> None:
        if not group.least and not _present(group.names, value) and not any(isinstance(m, Wildcard) for m in group.members):
            return
        for member in group.members:
            self._particle(node, type_, member, value, used, path, turn)

    def _choice(self, node: etree._Element, type_: Complex, group: Group, value: Mapping[str, Value], used: set[str],
                path: tuple[str, ...], turn: int | None) -> None:
        if group.most > 1 and turn is None:
            for member in group.members:
                if _present(member.names, value) or isinstance(member, Wildcard):
                    self._particle(node, type_, member, value, used, path)
            return
        best = max(group.members, key=lambda m: len(_present(m.names, value)), default=None)
        if best is not None and _present(best.names, value):
            self._particle(node, type_, best, value, used, path, turn)
            return
        for member in group.members:
            if isinstance(member, Wildcard):
                self._particle(node, type_, member, value, used, path, turn)
                return
        if group.least and group.members and all(member.least for member in group.members):
            raise _wrong(path, f"needs one of {', '.join(sorted(group.names))}")

    def _element(self, node: etree._Element, element: Element, value: Mapping[str, Value], used: set[str],
                 path: tuple[str, ...], turn: int | None) -> None:
        found = value.get(element.name)
        used.add(element.name)
        given = found if isinstance(found, (list, tuple)) and not _takes_list(element.type) else [found]
        if turn is not None and element.most == 1:
            given = given[turn:turn + 1] or [None]
        if len(given) == 1 and given[0] is None and not element.least and not (element.nillable and element.name in value):
            return
        if len(given) > element.most:
            raise _wrong((*path, element.name), f"must not come more than {element.most} times")
        if len(given) < element.least:
            raise _wrong((*path, element.name), f"must come at least {element.least} times")
        for item in given:
            self.write(node, element, item, path)

    def _wildcard(self, node: etree._Element, type_: Complex, value: Mapping[str, Value], used: set[str],
                  path: tuple[str, ...]) -> None:
        attributes = {a.name for a in type_.attributes.values()}
        for name, item in value.items():
            if name in used or name in type_.children or name in attributes or item is None:
                continue
            used.add(name)
            known = self._schema.element(name)
            for one in item if isinstance(item, (list, tuple)) else [item]:
                if known is not None:
                    self.write(node, known, one, path)
                else:
                    self._anything(etree.SubElement(node, _name(name, path)), one, (*path, name))

    def _derived(self, node: etree._Element, name: str, path: tuple[str, ...]) -> Type:
        found = [tag for tag in self._schema.types if tag == name or tag.rpartition("}")[2] == name]
        if len(found) != 1:
            known = [tag.rpartition("}")[2] for tag in self._schema.types]
            raise _wrong((*path, TYPE), "is not a type of the contract" + nearest(name, known))
        # lxml turns a QName into prefix and name, and declares the prefix where it is missing.
        node.set(XSI_TYPE, etree.QName(found[0]))  # type: ignore[arg-type]  # the stubs do not know it
        return self._schema.types[found[0]]

    def _anything(self, node: etree._Element, value: Value, path: tuple[str, ...]) -> None:
        if not isinstance(value, Mapping):
            node.text = _text(Simple(), value, path)
            return
        for name, item in value.items():
            for one in item if isinstance(item, (list, tuple)) else [item]:
                if one is not None:
                    self._anything(etree.SubElement(node, _name(name, path)), one, (*path, name))


def _takes_list(type_: Type) -> bool:
    return isinstance(type_, Simple) and type_.many


def _present(names: frozenset[str], value: Mapping[str, Value]) -> list[str]:
    return [name for name in names if value.get(name) is not None]


def _turns(names: frozenset[str], value: Mapping[str, Value]) -> int:
    return max((len(v) if isinstance(v, (list, tuple)) else 1 for name in names if (v := value.get(name)) is not None), default=0)


def _text(type_: Simple, value: Value, path: tuple[str, ...]) -> str:
    try:
        text = type_.write(value)
    except ValueError as error:
        raise _wrong(path, str(error)) from None
    if _NOT_XML.search(text):
        raise _wrong(path, "holds a character that XML cannot carry")
    return text


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z_][\w.-]*")


def _name(name: str, path: tuple[str, ...]) -> str:
    if not _NAME.fullmatch(name):
        raise _wrong((*path, name), "is not an element's name")
    return name


def _wrong(path: tuple[str, ...], text: str) -> LocalProtocolError:
    return LocalProtocolError(f"{'.'.join(path)} {text}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`, did you mean X?` where a known name is close."""
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""
