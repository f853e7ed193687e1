"""A partner's contract: its operations with their messages, as a WSDL 1.1 file says.

zeep reads the WSDL and its schemas; what is needed is then kept in types of our own and zeep's objects are let go. This is
the one module (with its mend) that knows zeep.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Sequence_
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lxml import etree
from zeep import Settings
from zeep.exceptions import Error as ZeepError
from zeep.wsdl.bindings.soap import Soap11Binding, Soap12Binding, SoapBinding
from zeep.wsdl.messages import RpcMessage
from zeep.wsdl.wsdl import Document
from zeep.xsd import elements as zeep_elements
from zeep.xsd.elements.indicators import All, Choice, Group, Sequence
from zeep.xsd.types import builtins
from zeep.xsd.types.any import AnyType
from zeep.xsd.types.collection import ListType, UnionType
from zeep.xsd.types.complex import ComplexType
from zeep.xsd.types.simple import AnySimpleType

from protocols.soap.foreign.documents import WSDL, ContractError, Documents, Problem
from protocols.soap.foreign.linking import unresolved
from protocols.soap.foreign.schema import (
    BINARY,
    UNBOUNDED,
    Anything,
    Attribute,
    Complex,
    Element,
    Kind,
    Particle,
    Schema,
    Simple,
    Type,
    Wildcard,
)
from protocols.soap.foreign.schema import Group as OurGroup
from protocols.soap.foreign.validating import Unsound, Validator
from protocols.soap.foreign.zeep_mend import finished
from protocols.wording import nearest

_FEW = 3
"""Reasons that are told of operations which are left out."""


@dataclass(slots=True)
class Message:
    """What one message carries: body elements (one, where the contract follows WS-I), and declared headers by name.

    With `bare`, the fields are those of the one body element; else each body element is a field by its part's name.
    """

    body: tuple[tuple[str, Element], ...] = ()
    headers: dict[str, Element] = field(default_factory=dict)

    @property
    def bare(self) -> bool:
        """Whether the fields are the children of the one body element."""
        return len(self.body) == 1


@dataclass(slots=True)
class Operation:
    """One operation. `output` is None for a one-way one; `faults` are the declared details by their element's tag."""

    name: str
    action: str
    input: Message
    output: Message | None
    faults: dict[str, Element]


class UnsoundContract(ContractError):
    """The schemas of a contract contradict themselves: it can be used, but nothing can be checked against them."""

    def __init__(self, problem: Problem, contract: Contract) -> None:
        super().__init__([problem])
        self.contract = contract


@dataclass(slots=True)
class Contract:
    """One port of a service. `address` is where the WSDL says it is; `version` is SOAP's (`1.1` or `1.2`)."""

    file: Path
    service: str
    port: str
    version: str
    address: str
    operations: dict[str, Operation]
    schema: Schema
    files: Mapping[str, bytes]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why operations of the WSDL are missing here, by their names."""
    validator: Validator | None = None

    @property
    def path(self) -> str:
        """The path of the address, `/` where it has none."""
        return urlsplit(self.address).path or "/"

    def operation(self, name: str) -> Operation | None:
        """The operation of this name."""
        return self.operations.get(name)


def load_contract(file: Path, inside: Path, *, service: str | None = None, port: str | None = None,
                  imports: Mapping[str, Path] | None = None, validate: bool = True) -> Contract:
    """Load a WSDL and what it imports, all from below the folder `inside`. Nothing is fetched.

    Without `service` and `port`, the first port with a SOAP binding is taken, a SOAP 1.1 one before a 1.2 one. `imports` maps
    a reference's location or namespace to the file to be read instead. With `validate`, the schemas must be sound. Blocks while
    it reads; a large contract takes seconds. Raises ContractError with every problem.
    """
    documents = Documents(file, inside, imports or {})
    if documents.problems:
        raise ContractError(documents.problems)

    def problem(text: str) -> ContractError:
        return ContractError([Problem(documents.root, 0, text)])

    def broken(why: str) -> ContractError:
        """What is wrong with its names, where that is it; else why as zeep says it."""
        return ContractError(unresolved(documents.files) or [Problem(documents.root, 0, why)])

    if documents.encoded:
        raise problem("uses SOAP encoding (use=\"encoded\"), which WS-I Basic Profile forbids and which is not supported")
    files: Any = _Files(documents)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            loaded = Document(str(documents.root), files, settings=Settings(strict=True, force_https=False))
    except (ZeepError, etree.Error, LookupError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError) as error:
        # zeep answers a contract it cannot follow with whatever exception comes first.
        raise broken(f"cannot be understood: {_said(error)}") from None
    found = _port(loaded, service, port)
    if isinstance(found, str):
        raise problem(found + _transports(documents.files))
    service_name, port_name, binding, address = found
    if not binding.all():
        raise broken(f"has no operation that can be used: {'; '.join(_said(w.message) for w in warned)}")
    compiler = _Compiler(loaded.types)
    try:
        contract = Contract(
            file=documents.root, service=service_name, port=port_name,
            version="1.2" if isinstance(binding, Soap12Binding) else "1.1", address=address,
            operations={name: compiler.operation(operation) for name, operation in binding.all().items()},
            schema=compiler.schema(), files=documents.files)
    except (LookupError, TypeError, AttributeError) as error:
        raise broken(f"cannot be understood: {_said(error)}") from None
    if warned:
        why = "; ".join(str(p) for p in broken(_said(warned[0].message)).problems[:_FEW])
        contract.left_out = dict.fromkeys(_bound(documents.files, binding) - set(contract.operations), why)
    try:
        contract.validator = Validator(documents.files) if validate else None
    except Unsound as error:
        why = f"its schemas are not sound ({error}); with `soap: {{validate: false}}` nothing is checked against them"
        raise UnsoundContract(Problem(documents.root, 0, why), contract) from None
    return contract


def _bound(files: Mapping[str, bytes], binding: Any) -> set[str]:
    """The operations that a WSDL has in a binding."""
    return {str(operation.get("name")) for data in files.values()
            for found in etree.fromstring(data).iterchildren(f"{{{WSDL}}}binding") if found.get("name") == binding.name.localname
            for operation in found.iterchildren(f"{{{WSDL}}}operation")}


def _transports(files: Mapping[str, bytes]) -> str:
    """A word on SOAP that is bound to something else than HTTP."""
    bound = {str(found.get("transport")) for data in files.values()
             for found in etree.fromstring(data).iterfind(f"{{{WSDL}}}binding/{{*}}binding") if found.get("transport")}
    other = sorted(transport for transport in bound if not transport.rstrip("/").lower().endswith("http"))
    return f"; its transport is {', '.join(other)}, and only SOAP over HTTP is spoken" if other and other == sorted(bound) else ""


class _Files:
    """zeep's transport: the files of the contract, from memory."""

    def __init__(self, documents: Documents) -> None:
        self.load = documents.load


def _said(error: Exception | Warning | str) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__


def _port(loaded: Any, service: str | None, port: str | None) -> tuple[str, str, Any, str] | str:
    """The names of service and port, the binding and the address; or what is wrong with the choice. A WSDL without services, or whose
    ports name bindings that are not there, still has bindings: then `port` is a binding's name.
    """
    if service is not None and service not in loaded.services:
        return f"has no service {service}{nearest(service, loaded.services)}"
    ports = [(s, p, found.binding, (found.binding_options or {}).get("address") or "")
             for s, held in loaded.services.items() if service in (None, s)
             for p, found in held.ports.items() if isinstance(found.binding, SoapBinding)]
    if not ports and service is None:
        ports = [("", etree.QName(name).localname, found, "") for name, found in loaded.bindings.items() if isinstance(found, SoapBinding)]
    if port is not None:
        named = [p for p in ports if p[1] == port]
        return named[0] if named else f"has no SOAP port {port}{nearest(port, [p[1] for p in ports])}"
    ports.sort(key=lambda p: not isinstance(p[2], Soap11Binding))
    return ports[0] if ports else "has no port with a SOAP binding"


_KINDS: tuple[tuple[Any, str], ...] = (
    (builtins.Boolean, "boolean"), (builtins.Integer, "integer"), (builtins.Decimal, "decimal"), (builtins.Float, "double"),
    (builtins.Double, "double"), (builtins.DateTime, "dateTime"), (builtins.Date, "date"), (builtins.Time, "time"),
    (builtins.Token, "token"), (builtins.Base64Binary, BINARY))


class _Compiler:
    """Turns zeep's types into ours, each once. Types may hold each other, so what a complex one holds is made after it is known."""

    def __init__(self, types: Any) -> None:
        self._types = types
        self._made: dict[int, Complex] = {}
        self._empty: dict[int, Any] = {}
        self._kept: list[Any] = []  # ids are only good while their objects live
        self._substitutes: dict[str, list[Any]] = {}
        for element in types.elements:
            if getattr(element, "substitutes_for", None) is not None:
                self._substitutes.setdefault(element.substitutes_for.text, []).append(element)

    def schema(self) -> Schema:
        """All global elements and types."""
        elements: Any = [e for e in self._types.elements if isinstance(e, zeep_elements.Element)]
        whole = Schema({str(e.qname): self.element(e) for e in elements},
                       {str(t.qname): self.type(t) for t in self._types.types if t.qname is not None})
        while self._empty:
            self._filled(next(iter(self._empty.values())))
        return whole

    def operation(self, operation: Any) -> Operation:
        """One operation of the binding."""
        faults: dict[str, Element] = {}
        for message in operation.abstract.fault_messages.values():
            for part in message.parts.values():
                if part.element is not None:
                    faults[str(part.element.qname)] = self.element(part.element)
        has_output = operation.output is not None and operation.abstract.output_message is not None
        return Operation(operation.name, operation.soapaction or "", self._message(operation.input),
                         self._message(operation.output) if has_output else None, faults)

    def _message(self, message: Any) -> Message:
        headers: dict[str, Element] = {}
        if message is None:
            return Message()
        if message.header is not None:
            for _, element in message.header.type.elements:
                if isinstance(element, zeep_elements.Element):
                    headers[str(element.name)] = self.element(element)
        if message.body is None:
            return Message((), headers)
        if message._is_body_wrapped and not isinstance(message, RpcMessage):
            parts = [(name, self.element(element)) for name, element in message.body.type.elements]
            return Message(tuple(parts), headers)
        return Message(((message.body.name, self.element(message.body)),), headers)

    def element(self, element: Any) -> Element:
        """One element's declaration."""
        return Element(element.qname.text, element.name, self.type(element.type), element.min_occurs or 0, _most(element.max_occurs),
                       bool(element.nillable))

    def type(self, type_: Any) -> Type:
        """One type."""
        if isinstance(type_, ComplexType):
            type_ = finished(type_)
            if id(type_) not in self._made:
                self._made[id(type_)] = Complex(type_.qname.text if type_.qname is not None else None, abstract=type_.abstract)
                self._empty[id(self._made[id(type_)])] = type_
                self._kept.append(type_)
            return self._made[id(type_)]
        if isinstance(type_, AnySimpleType):
            return self._simple(type_)
        if type_ is None or isinstance(type_, AnyType):
            return Anything()
        raise TypeError(f"unresolved type {type_!r}")

    def _simple(self, type_: Any) -> Simple:
        if isinstance(type_, ListType):
            return Simple(self._simple(type_.item_type).kind, many=True)
        if not isinstance(type_, UnionType):
            for known, kind in _KINDS:
                if isinstance(type_, known):
                    return Simple(kind)
        return Simple()

    def _filled(self, type_: Any) -> Complex:
        """A complex type with what it holds, which comes after what it inherits."""
        made: Any = self.type(type_)
        source = self._empty.pop(id(made), None)
        if source is None:
            return made  # type: ignore[no-any-return]  # a Complex: only complex types are asked for
        base, own = source.extends or (source.restricts, source)
        inherited = self._filled(base) if isinstance(base, ComplexType) else Complex()
        made.bases = inherited.bases | ({inherited.tag} if inherited.tag is not None else set())
        before: Sequence_[Particle] = ()
        if source.extends is not None:
            made.attributes = {tag: replace(attribute) for tag, attribute in inherited.attributes.items()}
            made.any_attribute = inherited.any_attribute
            made.text = self._simple(base) if isinstance(base, AnySimpleType) else inherited.text
            before = _members_of(inherited.content)
        for attribute in own._attributes_unwrapped:
            if attribute.qname is None:
                made.any_attribute = True
            else:
                simple = self.type(attribute.type)
                made.attributes[attribute.qname.text] = Attribute(
                    attribute.qname.text, attribute.name, simple if isinstance(simple, Simple) else Simple(), bool(attribute.required))
        content = own._element
        if isinstance(content, zeep_elements.Element) and isinstance(content.type, AnySimpleType):
            made.text, content = self._simple(content.type), None  # how zeep keeps xs:simpleContent
        particle = self._particle(content) if content is not None else None
        if before or not isinstance(particle, OurGroup | None):
            particle = OurGroup("sequence", [*before, *_members_of(particle)])
        made.fill(particle)
        return made  # type: ignore[no-any-return]  # as above

    def _particle(self, particle: Any) -> Particle:
        most = _most(particle.max_occurs)
        if isinstance(particle, Group):
            inner = self._particle(particle.child)
            return OurGroup("sequence", [inner], particle.min_occurs, most)
        if isinstance(particle, (Sequence, Choice, All)):
            kind: Kind = "choice" if isinstance(particle, Choice) else "all" if isinstance(particle, All) else "sequence"
            members = self._members(particle)
            if kind == "choice":
                for ours, theirs in zip(members, particle, strict=True):
                    ours.least = getattr(theirs, "declared_least", ours.least)
            return OurGroup(kind, members, particle.min_occurs, most)
        if isinstance(particle, zeep_elements.Any):
            return Wildcard(particle.min_occurs, most)
        instead = list(self._instead_of(particle, {particle.qname.text})) if getattr(particle, "referred", False) else []
        element = self.element(particle)
        if not instead:
            return element
        # A substitution group is a choice of its members (XML Schema, 2.2.2.2).
        least, element.least, element.most = element.least, 1, 1
        return OurGroup("choice", [*([] if particle.abstract else [element]), *map(self.element, instead)], least, most)

    def _instead_of(self, head: Any, known: set[str]) -> Iterator[Any]:
        """The elements that may stand for another, and those that may stand for these; without abstract ones."""
        for element in self._substitutes.get(head.qname.text, ()):
            if element.qname.text not in known:
                known.add(element.qname.text)
                if not element.abstract:
                    yield element
                yield from self._instead_of(element, known)

    def _members(self, particles: Iterable[Any]) -> list[Particle]:
        return [self._particle(p) for p in particles]


def _members_of(particle: Particle | None) -> Sequence_[Particle]:
    """The particles that stand in the place of this one in a sequence."""
    if particle is None:
        return ()
    plain = isinstance(particle, OurGroup) and particle.kind == "sequence" and particle.least == particle.most == 1
    return particle.members if isinstance(particle, OurGroup) and plain else (particle,)


def _most(most: Any) -> int:
    return UNBOUNDED if most == "unbounded" else int(most)
