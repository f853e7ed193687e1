"""The native contract: WSDL 1.1, SOAP 1.1 and 1.2, document/literal wrapped, derived from the catalogue's models by spyne.

spyne declares types, messages and operations; what it cannot say (a second binding, where the service is, which elements are
public) is put into its document afterwards. The schema that is published is the one requests are checked against.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree
from pydantic import BaseModel

from protocols.soap import spyne_compat as spyne
from protocols.soap.names import NAMESPACE, SERVICE
from protocols.soap.shapes import Kind, Record, Shapes, Simple

_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_WSDL_SOAP11 = "{http://schemas.xmlsoap.org/wsdl/soap/}"
_WSDL_SOAP12 = "{http://schemas.xmlsoap.org/wsdl/soap12/}"
_XSD = "{http://www.w3.org/2001/XMLSchema}"
_XMIME = "http://www.w3.org/2005/05/xmlmime"
_EXPECTED = f"{{{_XMIME}}}expectedContentTypes"  # tells toolkits that the value may come as an attachment
_ORDER = [f"{_XSD}simpleType", f"{_XSD}complexType", f"{_XSD}element"]
_ANYWHERE = "http://address.invalid/"
_HTTP = "http://schemas.xmlsoap.org/soap/http"


@dataclass(frozen=True, slots=True)
class Pair:
    """One operation: the models of its request and of its reply."""

    request: type[BaseModel]
    reply: type[BaseModel]

    @property
    def name(self) -> str:
        """The operation's name, that of its request."""
        return self.request.__name__

    @property
    def action(self) -> str:
        """The SOAPAction the WSDL declares."""
        return f"{NAMESPACE}/{self.name}"


class Contract:
    """Everything the native service promises. `header` is the model of the Context header, `fault` of a fault's detail.

    Raises TypeError when a model holds what XML Schema cannot say.
    """

    def __init__(self, pairs: Iterable[Pair], header: type[BaseModel], fault: type[BaseModel]) -> None:
        self.pairs: Sequence[Pair] = tuple(pairs)
        self.shapes = Shapes()
        self.header, self.fault = header, fault
        self.application = _Declaration(self).application()
        document = _finished(self.application, {p.name for p in self.pairs} | {f"{p.name}Response" for p in self.pairs}
                             | {header.__name__, fault.__name__})
        self._wsdl = etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True)
        self.schema_text: bytes = etree.tostring(document.find(f"{_WSDL}types/{_XSD}schema"), encoding="UTF-8")

    def wsdl(self, address: str) -> bytes:
        """Return the WSDL with the address it is reached at."""
        return self._wsdl.replace(_ANYWHERE.encode(), escape(address, {'"': "&quot;"}).encode())

    def schema(self) -> etree.XMLSchema:
        """Make a validator for requests, replies, the Context header and fault details. Not for use in two threads at once."""
        return etree.XMLSchema(etree.fromstring(self.schema_text))


class _Declaration:
    """Says shapes in spyne's words. Types with equal facets are one type, named after what they allow."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._records: dict[str, Any] = {}
        self._simple: dict[Simple, Any] = {}
        self._names: set[str] = set()

    def application(self) -> Any:
        shapes = self._contract.shapes
        header = self.record(shapes.of(self._contract.header))
        fault_shape = shapes.of(self._contract.fault)
        fault = type(fault_shape.name, (spyne.Fault,), {
            "__namespace__": NAMESPACE, "__type_name__": fault_shape.name, "_type_info": self._members(fault_shape)})
        methods = {pair.name: self._method(pair, header, fault) for pair in self._contract.pairs}
        service = type(SERVICE, (spyne.ServiceBase,), methods)
        application = spyne.Application([service], NAMESPACE, name=SERVICE, in_protocol=spyne.Soap11(validator="lxml"),
                                        out_protocol=spyne.Soap11())
        spyne.ServerBase(application)
        application.transport = _HTTP
        return application

    def _method(self, pair: Pair, header: Any, fault: Any) -> Any:
        request, reply = self._contract.shapes.of(pair.request), self._contract.shapes.of(pair.reply)
        members = self._members(request)

        def operation(_ctx: Any, *_fields: Any) -> None:
            raise NotImplementedError("requests are carried out by the gateway, never by spyne")

        operation.__name__ = pair.name
        operation.__doc__ = request.doc
        return spyne.rpc(*(kind for _, kind in members), _args=[name for name, _ in members], _in_header=(header,), _throws=(fault,),
                         _returns=self.record(reply).customize(min_occurs=1, nillable=False))(operation)

    def record(self, shape: Record) -> Any:
        made = self._records.get(shape.name)
        if made is None:
            made = self._records[shape.name] = spyne.complex_type(shape.name, NAMESPACE, self._members(shape))
        return made

    def _members(self, shape: Record) -> list[tuple[str, Any]]:
        members = []
        for member in shape.members:
            kind = self.record(member.type) if isinstance(member.type, Record) else self.simple(member.type)
            most = "unbounded" if member.most is None else member.most
            named = {"type_name": kind.__type_name__} if isinstance(member.type, Simple) and kind.__namespace__ == NAMESPACE else {}
            members.append((member.name, kind.customize(min_occurs=member.least, max_occurs=most, nillable=False, **named)))
        return members

    def simple(self, shape: Simple) -> Any:
        made = self._simple.get(shape)
        if made is None:
            facets = _facets(shape)
            made = _SPYNE[shape.kind]
            if facets:
                made = made.customize(type_name=self._name(shape), **facets)
                made.__namespace__ = NAMESPACE
            self._simple[shape] = made
        return made

    def _name(self, shape: Simple) -> str:
        kind = "Text" if shape.kind is Kind.STRING else shape.kind.value.capitalize()
        name = shape.name or kind + "_".join(
            str(f).translate(_TO_NAME) for f in (*shape.length, *shape.bounds, *shape.digits) if f is not None)
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name


_TO_NAME = str.maketrans({"-": "m", "+": "", ".": "_"})

_SPYNE = {Kind.STRING: spyne.Unicode, Kind.INT: spyne.Integer32, Kind.LONG: spyne.Integer64, Kind.DECIMAL: spyne.Decimal,
          Kind.DOUBLE: spyne.Double, Kind.BOOLEAN: spyne.Boolean, Kind.DATE: spyne.Date, Kind.DATE_TIME: spyne.DateTime,
          Kind.BINARY: spyne.ByteArray}


def _facets(shape: Simple) -> dict[str, Any]:
    facets = {"values": list(shape.values) or None, "min_len": shape.length[0], "max_len": shape.length[1], "pattern": shape.pattern,
              "ge": shape.bounds[0], "gt": shape.bounds[1], "le": shape.bounds[2], "lt": shape.bounds[3],
              "total_digits": shape.digits[0], "fraction_digits": shape.digits[1]}
    return {name: value for name, value in facets.items() if value is not None}


def _finished(application: Any, public: set[str]) -> Any:
    """Return spyne's WSDL completed: both SOAP versions, declared actions, only the elements a message may begin with."""
    wsdl = spyne.Wsdl11(application.interface)
    wsdl.build_interface_document(_ANYWHERE)
    root: Any = etree.fromstring(wsdl.get_interface_document())
    schema = root.find(f"{_WSDL}types/{_XSD}schema")
    for element in schema.findall(f"{_XSD}element"):
        if element.get("name") not in public:
            schema.remove(element)
    schema[:] = sorted(schema, key=lambda e: (_ORDER.index(e.tag), e.get("name")))  # spyne keeps some of them in sets
    for enumeration in schema.iterfind(f"{_XSD}simpleType/{_XSD}restriction"):
        enumeration[:] = sorted(enumeration, key=lambda e: (e.tag, e.get("value")) if e.tag == f"{_XSD}enumeration" else ("", ""))
    for element in schema.iter(f"{_XSD}element"):
        if element.get("type") == "xs:base64Binary":
            element.set(_EXPECTED, "application/octet-stream")
    for message in root.iterfind(f"{_WSDL}message"):
        if message.get("name") not in (None, "Context"):
            message[0].set("name", "fault" if message.get("name") == "Fault" else "parameters")
    for operation in root.iterfind(f"{_WSDL}portType/{_WSDL}operation"):
        operation.attrib.pop("parameterOrder")  # means something for RPC style only
    binding, service = root.find(f"{_WSDL}binding"), root.find(f"{_WSDL}service")
    for operation in binding.iterfind(f"{_WSDL}operation"):
        operation.find(f"{_WSDL_SOAP11}operation").set("soapAction", f"{NAMESPACE}/{operation.get('name')}")
    binding.addnext(_for_soap12(binding))
    service.append(_for_soap12(service[0]))
    service[-1].set("binding", f"tns:{SERVICE}Soap12")
    root.append(service)
    etree.cleanup_namespaces(root, top_nsmap={"xmime": _XMIME} if root.find(f".//*[@{_EXPECTED}]") is not None else None,
                             keep_ns_prefixes=["tns", "xs"])
    etree.indent(root)
    return root


def _for_soap12(part: Any) -> Any:
    """Copy a binding or a port, in the words of WSDL's binding for SOAP 1.2."""
    copy = etree.fromstring(etree.tostring(part).replace(_WSDL_SOAP11[1:-1].encode(), _WSDL_SOAP12[1:-1].encode()))
    copy.set("name", f"{SERVICE}Soap12")
    return copy
