"""XML Schema types as this gateway needs them: what an element's plain values are (read by `reading`, written by `writing`).

A simple element is its value (str, int, Decimal, bool, or a list of them); a complex one a dict of its attributes and child
elements by local name, a repeated child a list. Text beside attributes stands under `_text`, the name of a derived type
(xsi:type) under `_type`, an attribute that shares its name with a child under `_` and its name.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from lxml import etree

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
        self.gather()

    def gather(self) -> None:
        """Collect the names of its members again, all the way down."""
        for member in self.members:
            if isinstance(member, Group):
                member.gather()
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
    bases: frozenset[str] = frozenset()
    """The tags of the types it is derived from."""
    abstract: bool = False
    """Whether an element must say which type it is, one derived from this."""

    def fill(self, content: Group | None) -> None:
        """Set the content and the tables made from it. Of two children with one name in different namespaces, as a type and the one
        it extends can have, the second is called `name_2`.
        """
        self.content = content
        if content is not None:
            tags: dict[str, str] = {}
            for element, _ in _elements(content, many=False):
                name, number = element.name, 2
                while tags.setdefault(element.name, element.tag) != element.tag:
                    element.name, number = f"{name}_{number}", number + 1
            content.gather()
            for element, many in _elements(content, many=False):
                for key in {element.tag, element.name}:
                    known = self.children.get(key)
                    self.children[key] = (element, many or known is not None)
            self.wildcard = _has_wildcard(content)
        for attribute in self.attributes.values():
            if attribute.name in self.children:
                attribute.name = "_" + attribute.name


    def may_be_empty(self, around: tuple[Complex, ...] = ()) -> bool:
        """Whether an element of this type can stand there with nothing in it."""
        return not (self.abstract or self.text is not None or self in around or any(a.required for a in self.attributes.values())) and (
            self.content is None or _needs_nothing(self.content, (*around, self)))


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


def _needs_nothing(particle: Particle, around: tuple[Complex, ...]) -> bool:
    if not particle.least:
        return True
    if isinstance(particle, Group):
        some = any if particle.kind == "choice" and particle.members else all
        return some(_needs_nothing(member, around) for member in particle.members)
    return isinstance(particle, Element) and (
        particle.nillable or (isinstance(particle.type, Complex) and particle.type.may_be_empty(around)))


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

    def derived(self, base: Complex) -> Iterator[Complex]:
        """The types derived from this one: an element of it may be one of them (xsi:type)."""
        for found in self.types.values():
            if isinstance(found, Complex) and base.tag in found.bases:
                yield found

    def concrete(self, base: Complex) -> tuple[str, ...]:
        """The names of the types that an element of this type can say it is."""
        return tuple(sorted(str(t.tag).rpartition("}")[2] for t in self.derived(base) if not t.abstract))

    def type_named(self, node: etree._Element, name: str) -> Type | None:
        """The type that xsi:type (a prefixed name in the scope of `node`) names."""
        prefix, _, local = name.strip().rpartition(":")
        namespace = node.nsmap.get(prefix or None)
        return self.types.get(f"{{{namespace}}}{local}" if namespace else local)


def local(node: etree._Element) -> str:
    """An element's name without its namespace."""
    return str(node.tag).rpartition("}")[2]
