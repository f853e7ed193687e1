"""Contracts as they come from the field, each a few lines in a style of its own: telecom APIs in many files, equipment interfaces with
header blocks and substitution by xsi:type, toolkits with a schema for each namespace, bureaus that repeat themselves.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.soap.foreign import Contract, ContractError, Refused, SoapClientCodec, SoapServerCodec, load_contract
from tests.protocols.soap_foreign.contracts import EMPTY_RESPONSE, load, wrapper, wsdl

HEAD = ('<wsdl:definitions targetNamespace="{tns}" xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" '
        'xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:{p}="{tns}" {more}>')
XSD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{tns}" elementFormDefault="{form}" {more}>{body}</xs:schema>'
SIMPLE = '<xs:sequence><xs:element name="a" type="xs:string"/></xs:sequence>'


def both_ways(contract: Contract, operation: str, fields: dict[str, Any], headers: dict[str, Any] | None = None) -> tuple[Any, Any]:
    sent = SoapClientCodec(contract).request(operation, fields, headers or {})
    call = SoapServerCodec(contract).receive(sent.body, dict(sent.headers).get("SOAPAction"))
    assert call.operation == operation
    return call.fields, call.headers


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        folder.joinpath(name.replace("__", ".")).write_text(text)


def test_a_telecom_api_split_into_service_interface_types_and_faults(tmp_path: Path) -> None:
    """The service imports the interface, the interface the types and the common faults: four files, four namespaces."""
    common = XSD.format(tns="urn:api:common", form="qualified", more="", body=(
        '<xs:complexType name="Charging"><xs:sequence><xs:element name="description" type="xs:string"/>'
        '<xs:element name="amount" type="xs:decimal" minOccurs="0"/></xs:sequence></xs:complexType>'))
    faults = HEAD.format(tns="urn:api:faults", p="f", more="") + (
        "<wsdl:types>" + XSD.format(tns="urn:api:faults", form="qualified", more="", body=(
            '<xs:element name="ServiceException"><xs:complexType><xs:sequence><xs:element name="messageId" type="xs:string"/>'
            '<xs:element name="variables" type="xs:string" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType>'
            "</xs:element>"))
        + '</wsdl:types><wsdl:message name="ServiceException"><wsdl:part name="e" element="f:ServiceException"/></wsdl:message>'
        "</wsdl:definitions>")
    interface = HEAD.format(tns="urn:api:interface", p="i", more='xmlns:l="urn:api:local" xmlns:f="urn:api:faults"') + (
        '<wsdl:import namespace="urn:api:faults" location="faults.wsdl"/><wsdl:types>'
        + XSD.format(tns="urn:api:local", form="qualified", more='xmlns:c="urn:api:common"', body=(
            '<xs:import namespace="urn:api:common" schemaLocation="common.xsd"/>'
            '<xs:element name="send"><xs:complexType><xs:sequence><xs:element name="addresses" type="xs:anyURI" maxOccurs="unbounded"/>'
            '<xs:element name="charging" type="c:Charging" minOccurs="0"/><xs:element name="message" type="xs:string"/></xs:sequence>'
            '</xs:complexType></xs:element>'
            '<xs:element name="sendResponse"><xs:complexType><xs:sequence><xs:element name="result" type="xs:string"/></xs:sequence>'
            "</xs:complexType></xs:element>"))
        + '</wsdl:types><wsdl:message name="sendRequest"><wsdl:part name="parameters" element="l:send"/></wsdl:message>'
        '<wsdl:message name="sendResponse"><wsdl:part name="result" element="l:sendResponse"/></wsdl:message>'
        '<wsdl:portType name="Send"><wsdl:operation name="send"><wsdl:input message="i:sendRequest"/>'
        '<wsdl:output message="i:sendResponse"/><wsdl:fault name="ServiceException" message="f:ServiceException"/></wsdl:operation>'
        "</wsdl:portType></wsdl:definitions>")
    service = HEAD.format(tns="urn:api:service", p="s", more='xmlns:i="urn:api:interface"') + (
        '<wsdl:import namespace="urn:api:interface" location="interface.wsdl"/>'
        '<wsdl:binding name="SendBinding" type="i:Send"><soap:binding transport="http://schemas.xmlsoap.org/soap/http" style="document"/>'
        '<wsdl:operation name="send"><soap:operation soapAction="" style="document"/><wsdl:input><soap:body use="literal"/></wsdl:input>'
        '<wsdl:output><soap:body use="literal"/></wsdl:output><wsdl:fault name="ServiceException">'
        '<soap:fault name="ServiceException" use="literal"/></wsdl:fault></wsdl:operation></wsdl:binding>'
        '<wsdl:service name="SendService"><wsdl:port name="Send" binding="s:SendBinding">'
        '<soap:address location="http://localhost/send"/></wsdl:port></wsdl:service></wsdl:definitions>')
    write(tmp_path, service__wsdl=service, interface__wsdl=interface, faults__wsdl=faults, common__xsd=common)
    contract = load_contract(tmp_path / "service.wsdl", tmp_path)
    fields = {"addresses": ["tel:4912345"], "charging": {"description": "d", "amount": Decimal("0.10")}, "message": "hello"}
    assert both_ways(contract, "send", fields)[0] == fields
    said = SoapServerCodec(contract).fault("Server", "no", {"ServiceException": {"messageId": "SVC0001", "variables": ["x"]}})
    assert SoapClientCodec(contract).reply("send", said.body).fields == {"ServiceException": {"messageId": "SVC0001", "variables": ["x"]}}


def test_an_equipment_interface_with_a_header_block_and_objects_by_their_real_type(tmp_path: Path) -> None:
    """Every request has a header of its own kind; an abstract object is sent as what it is (xsi:type); schemas include each other."""
    base = XSD.format(tns="urn:em", form="qualified", more='xmlns:m="urn:em"', body=(
        '<xs:include schemaLocation="names.xsd"/>'
        '<xs:complexType name="Object" abstract="true"><xs:sequence><xs:element name="name" type="m:Name"/></xs:sequence></xs:complexType>'
        '<xs:complexType name="Port"><xs:complexContent><xs:extension base="m:Object"><xs:sequence>'
        '<xs:element name="speed" type="xs:int"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>'))
    names = XSD.format(tns="urn:em", form="qualified", more='xmlns:m="urn:em"', body=(
        '<xs:include schemaLocation="base.xsd"/>'
        '<xs:complexType name="Name"><xs:sequence><xs:element name="rdn" maxOccurs="unbounded"><xs:complexType><xs:sequence>'
        '<xs:element name="type" type="xs:string"/><xs:element name="value" type="xs:string"/></xs:sequence></xs:complexType></xs:element>'
        "</xs:sequence></xs:complexType>"))
    text = wsdl('<xs:import namespace="urn:em" schemaLocation="base.xsd"/>'
                + wrapper('<xs:sequence><xs:element name="object" type="m:Object" xmlns:m="urn:em"/></xs:sequence>') + EMPTY_RESPONSE,
                header=True)
    contract = load(tmp_path, text, base=base, names=names)
    port = {"_type": "Port", "name": {"rdn": [{"type": "ME", "value": "1"}, {"type": "PTP", "value": "2"}]}, "speed": 100}
    fields, headers = both_ways(contract, "Do", {"object": port}, {"Session": "s"})
    assert fields == {"object": port}
    assert headers == {"Session": "s"}
    with pytest.raises(LocalProtocolError, match=r"(?i)abstract"):
        SoapClientCodec(contract).request("Do", {"object": {"name": {"rdn": {"type": "a", "value": "b"}}}})


def test_a_toolkit_that_writes_one_schema_a_namespace_and_no_locations(tmp_path: Path) -> None:
    text = wsdl('<xs:import namespace="urn:data"/>' + wrapper('<xs:sequence><xs:element name="x" type="d:X" xmlns:d="urn:data" '
                'nillable="true" minOccurs="0"/></xs:sequence>') + EMPTY_RESPONSE)
    data = XSD.format(tns="urn:data", form="qualified", more='xmlns:d="urn:data"', body=(
        '<xs:complexType name="X"><xs:sequence><xs:element name="list" type="d:ArrayOfInt" minOccurs="0"/></xs:sequence></xs:complexType>'
        '<xs:complexType name="ArrayOfInt"><xs:sequence><xs:element name="int" type="xs:int" minOccurs="0" maxOccurs="unbounded"/>'
        "</xs:sequence></xs:complexType>"))
    contract = load(tmp_path, text.replace("</wsdl:types>", data + "</wsdl:types>"))
    assert both_ways(contract, "Do", {"x": {"list": {"int": [1, 2]}}})[0] == {"x": {"list": {"int": [1, 2]}}}


def test_a_contract_with_bindings_and_no_service(tmp_path: Path) -> None:
    text = wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE)
    contract = load(tmp_path, text[:text.index("<wsdl:service")] + "</wsdl:definitions>")
    assert (contract.port, contract.address) == ("B", "")
    assert both_ways(contract, "Do", {"a": "1"})[0] == {"a": "1"}


def test_the_body_is_the_part_that_the_binding_names(tmp_path: Path) -> None:
    text = wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE, in_parts='<wsdl:part name="p" element="t:Do"/><wsdl:part name="h" element="t:Session"/>')
    named = text.replace('<wsdl:input><soap:body use="literal"', '<wsdl:input><soap:body parts="p" use="literal"')
    assert named != text
    assert both_ways(load(tmp_path, named), "Do", {"a": "1"})[0] == {"a": "1"}
    gone = named.replace('parts="p"', 'parts="gone"').replace('<wsdl:part name="h" element="t:Session"/>', "")
    assert both_ways(load(tmp_path, gone), "Do", {"a": "1"})[0] == {"a": "1"}


def test_declarations_that_stand_twice_and_stray_text(tmp_path: Path) -> None:
    twice = wsdl(">" + wrapper(SIMPLE) + EMPTY_RESPONSE)
    again = XSD.format(tns="urn:t", form="qualified", more='xmlns:t="urn:t"', body=wrapper(SIMPLE))
    contract = load(tmp_path, twice.replace("</wsdl:types>", again + "</wsdl:types>"))
    assert both_ways(contract, "Do", {"a": "1"})[0] == {"a": "1"}


def test_a_schema_without_a_namespace_is_taken_in_under_the_includers(tmp_path: Path) -> None:
    plain = ('<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:simpleType name="Id"><xs:restriction base="xs:string">'
             '<xs:maxLength value="3"/></xs:restriction></xs:simpleType></xs:schema>')
    request = '<xs:include schemaLocation="plain.xsd"/>' + wrapper('<xs:sequence><xs:element name="a" type="t:Id"/></xs:sequence>')
    contract = load(tmp_path, wsdl(request + EMPTY_RESPONSE), plain=plain)
    assert both_ways(contract, "Do", {"a": "abc"})[0] == {"a": "abc"}
    with pytest.raises(LocalProtocolError, match=r"a: .*length"):
        SoapClientCodec(contract).request("Do", {"a": "too long"})


FACETS = {
    '<xs:pattern value="[0-9]{5,15}"/>': ("12-345", "v: The value is not accepted by the pattern '[0-9]{5,15}'"),
    '<xs:pattern value="[A-Z]+"/>': ("it's is not a valid 'one'", "v: The value is not accepted by the pattern '[A-Z]+'"),
    '<xs:enumeration value="A"/><xs:enumeration value="B"/>': ("C", "v: The value is not an element of the set {'A', 'B'}"),
    '<xs:minLength value="3"/>': ("ab", "v: The value has a length of '2'; this underruns the allowed minimum length of '3'"),
}


@pytest.mark.parametrize("facet", FACETS)
def test_facets_hold_in_both_directions_and_values_are_not_repeated(tmp_path: Path, facet: str) -> None:
    request = (f'<xs:simpleType name="V"><xs:restriction base="xs:string">{facet}</xs:restriction></xs:simpleType>'
               + wrapper('<xs:sequence><xs:element name="v" type="t:V"/></xs:sequence>'))
    text = wsdl(request + EMPTY_RESPONSE)
    contract = load(tmp_path, text)
    wrong, told = FACETS[facet]
    with pytest.raises(LocalProtocolError) as caught:
        SoapClientCodec(contract).request("Do", {"v": wrong})
    assert caught.value.message == told
    unchecked = load_contract(tmp_path / "contract.wsdl", tmp_path, validate=False)
    sent = SoapClientCodec(unchecked).request("Do", {"v": wrong}).body
    with pytest.raises(Refused) as refused:
        SoapServerCodec(contract).receive(sent)
    assert refused.value.message == told
    assert SoapServerCodec(unchecked).receive(sent).fields == {"v": wrong}


def test_a_contract_whose_schema_contradicts_itself_says_so_and_can_be_used_unchecked(tmp_path: Path) -> None:
    twice = wsdl(wrapper(SIMPLE) + wrapper('<xs:sequence><xs:element name="b" type="xs:int"/></xs:sequence>', "X")
                 + wrapper(SIMPLE, "X") + EMPTY_RESPONSE)
    with pytest.raises(ContractError, match=r"not sound.*validate: false"):
        load(tmp_path, twice)
    contract = load_contract(tmp_path / "contract.wsdl", tmp_path, validate=False)
    assert both_ways(contract, "Do", {"a": "1"})[0] == {"a": "1"}


def test_an_answer_of_a_newer_contract_is_understood(tmp_path: Path) -> None:
    """A partner adds fields and reorders none: its old clients go on; strict ones do not."""
    old = load(tmp_path, wsdl(wrapper(SIMPLE) + wrapper(SIMPLE, "DoResponse")))
    new = load(tmp_path, wsdl(wrapper(SIMPLE) + wrapper(
        '<xs:sequence><xs:element name="a" type="xs:string"/><xs:element name="b" type="xs:string"/></xs:sequence>', "DoResponse")))
    answer = SoapServerCodec(new).reply("Do", {"a": "1", "b": "2"}).body
    assert SoapClientCodec(old).reply("Do", answer).fields == {"a": "1"}
    with pytest.raises(RemoteProtocolError):
        SoapClientCodec(old, strict=True).reply("Do", answer)


def test_names_with_blanks_around_them(tmp_path: Path) -> None:
    """Three messages of MTOSI 2 are written so."""
    contract = load(tmp_path, wsdl(wrapper('<xs:sequence><xs:element name="a " type=" xs:string"/></xs:sequence>', " Do") + EMPTY_RESPONSE))
    assert both_ways(contract, "Do", {"a": "1"})[0] == {"a": "1"}


def test_types_that_hold_each_other_keep_all_they_inherit(tmp_path: Path) -> None:
    """An inventory's base type holds what is derived from it twice over."""
    types = ('<xs:complexType name="Root"><xs:sequence><xs:element name="id" type="xs:string"/>'
             '<xs:element name="port" type="t:Port" minOccurs="0"/></xs:sequence><xs:attribute name="v" type="xs:string"/></xs:complexType>'
             '<xs:complexType name="Port"><xs:complexContent><xs:extension base="t:Resource"><xs:sequence>'
             '<xs:element name="rate" type="xs:string"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>'
             '<xs:complexType name="Resource"><xs:complexContent><xs:extension base="t:Root"><xs:sequence>'
             '<xs:element name="place" type="xs:string"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>')
    port = {"id": "2", "place": "p", "rate": "r", "v": "x"}
    for first in ("Root", "Resource", "Port"):
        content = f'<xs:sequence><xs:element name="a" type="t:{first}"/></xs:sequence>'
        contract = load(tmp_path, wsdl(types + wrapper(content) + EMPTY_RESPONSE))
        asked = {"Root": {"id": "1", "port": port}, "Resource": {"id": "1", "port": port, "place": "p"}, "Port": port}[first]
        assert both_ways(contract, "Do", {"a": asked})[0] == {"a": asked}


def test_two_children_of_one_name_in_two_namespaces(tmp_path: Path) -> None:
    """MTOSI's GTP has vendorExtensions of its own, beside those that it inherits."""
    base = XSD.format(tns="urn:base", form="qualified", more="", body=(
        '<xs:complexType name="Base"><xs:sequence><xs:element name="extensions" type="xs:string" minOccurs="0"/></xs:sequence>'
        "</xs:complexType>"))
    request = '<xs:import namespace="urn:base" schemaLocation="base.xsd"/>' + wrapper(
        '<xs:complexContent><xs:extension base="b:Base" xmlns:b="urn:base"><xs:sequence>'
        '<xs:element name="extensions" type="xs:string" minOccurs="0"/></xs:sequence></xs:extension></xs:complexContent>')
    contract = load(tmp_path, wsdl(request + EMPTY_RESPONSE), base=base)
    for asked in ({"extensions": "1"}, {"extensions_2": "2"}, {"extensions": "1", "extensions_2": "2"}):
        assert both_ways(contract, "Do", asked)[0] == asked


def test_what_must_be_there_and_may_be_empty_is_there_unasked(tmp_path: Path) -> None:
    """MTOSI's resources have lists of states that must be given and may hold nothing."""
    inner = '<xs:complexType><xs:sequence><xs:element name="s" type="xs:string" minOccurs="0"/></xs:sequence></xs:complexType>'
    states = f'<xs:element name="states">{inner}</xs:element>'
    resource = f"<xs:sequence>{wrapper(f'<xs:sequence>{states}</xs:sequence>', 'resource')}</xs:sequence>"
    contract = load(tmp_path, wsdl(wrapper(resource) + EMPTY_RESPONSE))
    assert both_ways(contract, "Do", {})[0] == {"resource": {"states": {}}}
    needing = states.replace("</xs:sequence></xs:complexType>", '</xs:sequence><xs:attribute name="n" use="required"/></xs:complexType>')
    contract = load(tmp_path, wsdl(wrapper(f"<xs:sequence>{needing}</xs:sequence>") + EMPTY_RESPONSE))
    with pytest.raises(LocalProtocolError, match=r"Do\.states is required"):
        SoapClientCodec(contract).request("Do", {})
