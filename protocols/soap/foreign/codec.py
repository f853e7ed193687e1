"""Both sides of a partner's contract, free of sockets and clocks: messages as nested dicts here, envelopes there.

One HTTP body is one message, so there is nothing to be split: who carries it hands over whole bodies, bounded by `Limits`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lxml import etree

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.soap.content import MULTIPART, ContentType, content_type
from protocols.soap.envelope import EnvelopeReader
from protocols.soap.envelope import Limits as RequestLimits
from protocols.soap.faults import INVALID, MALFORMED, UNKNOWN_OPERATION, SoapError, Version
from protocols.soap.foreign.contract import Contract, Message, Operation
from protocols.soap.foreign.envelope import (
    LIMITS,
    NAMESPACES,
    VERSIONS,
    Limits,
    UsernameToken,
    fault_in,
    make_envelope,
    open_envelope,
    write_fault,
)
from protocols.soap.foreign.reading import Reader, put
from protocols.soap.foreign.schema import Element, local
from protocols.soap.foreign.writing import Writer
from protocols.soap.multipart import INCLUDE, XOP_NAMESPACE, Attachments, parts_of
from protocols.soap.security import SECURITY
from protocols.wording import nearest

Fields = Mapping[str, Any]
FillHeader = Callable[[etree._Element], None]
NOTHING: Fields = MappingProxyType({})
REQUEST_LIMITS = RequestLimits()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for HTTP: its body, and the headers that say what it is."""

    body: bytes
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered. With a `fault` (its code), `text` is the reason and `fields` the details by element name."""

    fields: dict[str, Any]
    headers: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks. `version` is the SOAP version to answer in, `security` the header of WS-Security."""

    operation: str
    fields: dict[str, Any]
    headers: dict[str, Any]
    version: str
    security: etree._Element | None = None


class Refused(SoapError):
    """A request that cannot be taken; `version` is the SOAP version to answer in."""

    def __init__(self, error: RemoteProtocolError, version: str) -> None:
        code, field = (error.code, error.field) if isinstance(error, SoapError) else (INVALID, None)
        super().__init__(code, error.message, field)
        self.version = version


class _Side:
    def __init__(self, contract: Contract, *, strict: bool) -> None:
        self.contract = contract
        self._reader = Reader(contract.schema, strict=strict)

    def _operation(self, name: str) -> Operation:
        found = self.contract.operations.get(name)
        if found is None:
            raise LocalProtocolError(f"the contract has no operation {name}{nearest(name, self.contract.operations)}")
        return found

    def _written(self, message: Message, fields: Fields, fill_header: FillHeader, version: str, action: str | None = None, *,
                 attach: bool) -> Outgoing:
        """Write a message, a request where it has an `action`; with `attach`, what is binary goes into parts of its own."""
        attachments = Attachments()

        def fill_body(body: etree._Element) -> None:
            writer = Writer(self.contract.schema)
            self._write_body(writer, body, message, fields)
            for node in writer.binary if attach else ():
                data, node.text = base64.b64decode(node.text or ""), None
                etree.SubElement(node, INCLUDE, {"href": attachments.add(data)}, nsmap={"xop": XOP_NAMESPACE})

        spoken = Version(NAMESPACES[version])
        body, kind = make_envelope(version, fill_header, fill_body), spoken.content_type
        in_type = {"action": action} if action and spoken is Version.V12 else {}  # SOAP 1.2 Part 2, 6.5.3; 1.1 has a header of its own
        if attachments.parts:
            body, kind = attachments.packed(spoken, body, in_type)
        elif in_type:
            kind = f'{kind}; action="{action}"'
        headers = (("Content-Type", kind),)
        return Outgoing(body, headers if action is None or spoken is Version.V12 else (*headers, ("SOAPAction", f'"{action}"')))

    def _write_body(self, writer: Writer, body: etree._Element, message: Message, fields: Fields) -> None:
        if message.bare:
            writer.write(body, message.body[0][1], fields)
            problem = self._problem(body[0])
            if problem is not None:
                raise LocalProtocolError(problem)
            return
        known = [name for name, _ in message.body]
        for name in fields:
            if name not in known:
                raise LocalProtocolError(f"{name} is not a part of the message{nearest(name, known)}")
        for name, element in message.body:
            writer.write(body, element, fields.get(name))

    def _problem(self, node: etree._Element) -> str | None:
        """What the contract's schema says against a body element; the wrappers of the rpc style are not in it."""
        if self.contract.validator is None or node.tag not in self.contract.schema.elements:
            return None
        return self.contract.validator.problem(node)

    def _read_body(self, nodes: Sequence[etree._Element], message: Message) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if len(nodes) != len(message.body):
            raise SoapError(MALFORMED, f"the Body must hold {len(message.body) or 'no'} element(s)")
        for node, (name, element) in zip(nodes, message.body, strict=True):
            if node.tag != element.tag and local(node) != element.name:
                raise RemoteProtocolError(f"the body holds {local(node)} where {element.name} belongs")
            value = self._reader.read(node, element.type)
            if not message.bare:
                out[name] = value
            elif isinstance(value, dict):
                out = value
            elif value is not None:
                out = {"_text": value}
        return out

    def _write_headers(self, header: etree._Element, declared: Mapping[str, Element], headers: Fields) -> None:
        for name, value in headers.items():
            element = declared.get(name) or self.contract.schema.element(name)
            if element is None:
                raise LocalProtocolError(f"the contract has no header {name}{nearest(name, declared)}")
            Writer(self.contract.schema).write(header, element, value)

    def _read_headers(self, nodes: Iterable[etree._Element], declared: Mapping[str, Element], *, exact: bool) -> dict[str, Any]:
        """The headers that the contract knows; unless `exact`, those declared are known by their local names."""
        out: dict[str, Any] = {}
        for node in nodes:
            element = declared.get(local(node))
            if element is None or (exact and element.tag != node.tag):
                element = self.contract.schema.elements.get(str(node.tag))
            if element is not None:
                put(out, local(node), self._reader.read(node, element.type), many=False)
        return out


class SoapClientCodec(_Side):
    """The client's side. Unless `strict`, what a reply holds beyond the contract is passed over. With `attach`, binary values are
    sent as attachments.
    """

    def __init__(self, contract: Contract, limits: Limits = LIMITS, *, strict: bool = False, attach: bool = False) -> None:
        super().__init__(contract, strict=strict)
        self._limits = limits
        self._attach = attach

    def request(self, operation: str, fields: Fields, headers: Fields = NOTHING, token: UsernameToken | None = None) -> Outgoing:
        """Encode a request. Raises LocalProtocolError, naming the field; then nothing may be sent."""
        asked = self._operation(operation)

        def fill_header(header: etree._Element) -> None:
            if token is not None:
                token.write(header, str(etree.QName(header).namespace))
            self._write_headers(header, asked.input.headers, headers)

        sent = self._written(asked.input, fields, fill_header, self.contract.version, asked.action, attach=self._attach)
        if not self._attach:
            return sent
        media = Version(NAMESPACES[self.contract.version]).content_type.partition(";")[0]
        return Outgoing(sent.body, (*sent.headers, ("Accept", f"{media}, {MULTIPART}")))

    def reply(self, operation: str, data: bytes, kind: str = "") -> Reply:
        """Decode the answer to a request of this operation; `kind` is its Content-Type. Raises RemoteProtocolError."""
        asked = self._operation(operation)
        parts = parts_of(_content(kind), data)
        opened = open_envelope(parts.envelope, self._limits)
        parts.put_into(opened.root)
        fault = fault_in(opened)
        if fault is not None:
            details: dict[str, Any] = {}
            for node in fault.details:
                known = asked.faults.get(str(node.tag)) or self.contract.schema.elements.get(str(node.tag))
                put(details, local(node), self._reader.read(node, known.type) if known else (node.text or ""), many=False)
            return Reply(details, self._read_headers(opened.headers, {}, exact=False), fault.code or "Server", fault.text)
        if asked.output is None:
            return Reply({})
        return Reply(self._read_body(opened.body, asked.output),
                     self._read_headers(opened.headers, asked.output.headers, exact=False))


class SoapServerCodec(_Side):
    """The server's side. What a request holds beyond the contract is refused."""

    def __init__(self, contract: Contract, limits: RequestLimits = REQUEST_LIMITS) -> None:
        super().__init__(contract, strict=True)
        operations = contract.operations.values()
        understood = frozenset(element.tag for operation in operations for element in operation.input.headers.values())
        self._envelopes = EnvelopeReader(understood | {SECURITY}, limits, foreign=True)
        self._by_tag: dict[str, list[Operation]] = {}
        for operation in operations:
            tag = operation.input.body[0][1].tag if operation.input.body else ""
            self._by_tag.setdefault(tag, []).append(operation)

    def receive(self, data: bytes, action: str | None = None, kind: str = "") -> Call:
        """Decode a request; `action` is its SOAPAction (quotes and all) or the content type's action, if it has one, `kind` its
        Content-Type.

        Raises Refused with the fault to answer.
        """
        version = self.contract.version
        try:
            parts = parts_of(_content(kind), data)
            message = self._envelopes.read(parts.envelope, parts.charset)
            version = VERSIONS[message.version.value]
            parts.put_into(message.tree)
            nodes = list(message.body)
            operation = self._asked(nodes, (action or "").strip().strip('"'))
            for node in nodes:
                problem = self._problem(node)
                if problem is not None:
                    name, colon, _ = problem.partition(": ")
                    raise SoapError(INVALID, problem, name if colon else None)
            fields = self._read_body(nodes, operation.input)
            headers = self._read_headers(message.headers.values(), operation.input.headers, exact=True)
        except RemoteProtocolError as error:
            raise Refused(error, version) from None
        return Call(operation.name, fields, headers, version, message.headers.get(SECURITY))

    def _asked(self, nodes: Sequence[etree._Element], action: str) -> Operation:
        tag = str(nodes[0].tag) if nodes else ""
        found = self._by_tag.get(tag, [])
        # The body says what is asked (WS-I Basic Profile R2710); an action that says something else is refused, or it could
        # lead a filter in front of us astray.
        fits = [o for o in found if not action or action == o.action or not o.action]
        if len(fits) == 1:
            return fits[0]
        if found and action:
            raise SoapError(MALFORMED, "the SOAPAction does not belong to the request in the body")
        if not nodes:
            raise SoapError(MALFORMED, "the Body is empty")
        raise SoapError(UNKNOWN_OPERATION, f"the contract has no request {tag.rpartition('}')[2]}")

    def reply(self, operation: str, fields: Fields, headers: Fields = NOTHING, version: str | None = None, *,
              attach: bool = False) -> Outgoing:
        """Encode an answer; with `attach`, binary values are attachments. Raises LocalProtocolError, naming the field."""
        asked = self._operation(operation)
        output = asked.output if asked.output is not None else Message()
        return self._written(output, fields, lambda header: self._write_headers(header, output.headers, headers),
                             version or self.contract.version, attach=attach)

    def fault(self, code: str, text: str, details: Fields = NOTHING, version: str | None = None) -> Outgoing:
        """Encode a fault. `code` is SOAP 1.1's, `details` declared elements by name. Raises LocalProtocolError."""
        spoken = version or self.contract.version

        def fill_detail(detail: etree._Element) -> None:
            self._write_headers(detail, {e.name: e for o in self.contract.operations.values() for e in o.faults.values()}, details)

        body = make_envelope(spoken, lambda _: None,
                             lambda body: write_fault(body, spoken, code, text, fill_detail if details else None))
        return Outgoing(body, (("Content-Type", Version(NAMESPACES[spoken]).content_type),))


def _content(kind: str) -> ContentType:
    return content_type(kind.encode("latin-1", "replace"))


__all__ = ["Call", "Outgoing", "Refused", "Reply", "SoapClientCodec", "SoapServerCodec"]
