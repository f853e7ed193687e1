"""Values to elements and back: order, repetition, choices, attributes, derived types, wildcards."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.soap.foreign import SoapClientCodec, SoapServerCodec
from protocols.soap.foreign.contract import Contract
from tests.protocols.soap_foreign.contracts import EMPTY_RESPONSE, asking, load, wrapper, wsdl

XS = 'minOccurs="0" maxOccurs="unbounded"'


def both_ways(contract: Contract, fields: dict[str, Any]) -> dict[str, Any]:
    sent = SoapClientCodec(contract).request("Do", fields)
    return SoapServerCodec(contract).receive(sent.body).fields


def body(contract: Contract, fields: dict[str, Any]) -> etree._Element:
    root = etree.fromstring(SoapClientCodec(contract).request("Do", fields).body)
    return root.find("{*}Body")[0]  # type: ignore[index]


def names(node: etree._Element) -> list[str]:
    return [etree.QName(child).localname for child in node]


def test_children_stand_in_the_schemas_order_whatever_the_dicts(tmp_path: Path) -> None:
    contract = asking(tmp_path, '<xs:sequence><xs:element name="a" type="xs:string"/><xs:element name="b" type="xs:int"/></xs:sequence>')
    assert names(body(contract, {"b": 1, "a": "x"})) == ["a", "b"]


def test_types_come_back_as_what_they_are(tmp_path: Path) -> None:
    kinds = {"s": "string", "i": "int", "d": "decimal", "b": "boolean", "t": "dateTime", "l": "NMTOKENS"}
    content = "".join(f'<xs:element name="{n}" type="xs:{t}"/>' for n, t in kinds.items())
    contract = asking(tmp_path, f"<xs:sequence>{content}</xs:sequence>")
    fields = {"s": " x ", "i": 7, "d": Decimal("1.50"), "b": True, "t": "2026-11-24T00:00:00Z", "l": "a b"}
    assert both_ways(contract, fields) == fields


@pytest.mark.parametrize(("kind", "value"), [("int", "x"), ("decimal", "1,5"), ("boolean", "yes"), ("dateTime", "today"),
                                             ("string", "\x01")])
def test_a_value_the_type_cannot_hold_is_refused_by_name(tmp_path: Path, kind: str, value: str) -> None:
    contract = asking(tmp_path, f'<xs:sequence><xs:element name="a" type="xs:{kind}"/></xs:sequence>')
    with pytest.raises(LocalProtocolError, match=r"Do\.a "):
        SoapClientCodec(contract).request("Do", {"a": value})


def test_what_may_come_often_is_a_list_even_when_it_comes_once(tmp_path: Path) -> None:
    contract = asking(tmp_path, f'<xs:sequence><xs:element name="a" type="xs:int" {XS}/></xs:sequence>')
    assert both_ways(contract, {"a": [1, 2]}) == {"a": [1, 2]}
    assert both_ways(contract, {"a": 1}) == {"a": [1]}


def test_a_missing_field_and_an_unknown_one_are_named(tmp_path: Path) -> None:
    contract = asking(tmp_path, '<xs:sequence><xs:element name="msisdn" type="xs:string"/></xs:sequence>')
    codec = SoapClientCodec(contract)
    with pytest.raises(LocalProtocolError, match=r"Do\.msisdn is required"):
        codec.request("Do", {})
    with pytest.raises(LocalProtocolError, match=r"Do\.misdn is not a field of the contract; did you mean msisdn\?"):
        codec.request("Do", {"msisdn": "1", "misdn": "1"})
    with pytest.raises(LocalProtocolError, match=r"no operation Doo; did you mean Do\?"):
        codec.request("Doo", {})


def test_nil_is_only_sent_where_the_schema_has_it(tmp_path: Path) -> None:
    contract = asking(tmp_path, '<xs:sequence><xs:element name="a" type="xs:int" nillable="true"/></xs:sequence>')
    assert body(contract, {})[0].get("{http://www.w3.org/2001/XMLSchema-instance}nil") == "true"
    assert both_ways(contract, {"a": None}) == {"a": None}


CHOICE = ('<xs:choice><xs:sequence><xs:element name="first" type="xs:string"/><xs:element name="last" type="xs:string"/></xs:sequence>'
          '<xs:element name="company" type="xs:string"/></xs:choice>')


def test_a_choice_takes_one_branch(tmp_path: Path) -> None:
    contract = asking(tmp_path, CHOICE)
    assert both_ways(contract, {"first": "A", "last": "L"}) == {"first": "A", "last": "L"}
    assert both_ways(contract, {"company": "C"}) == {"company": "C"}
    for fields, why in (({}, "needs one of"), ({"first": "A", "last": "L", "company": "C"}, "cannot stand together"),
                        ({"first": "A"}, "last is required")):
        with pytest.raises(LocalProtocolError, match=why):
            SoapClientCodec(contract).request("Do", fields)


def test_a_repeated_choice_takes_each_as_often_as_it_comes(tmp_path: Path) -> None:
    contract = asking(tmp_path, f'<xs:choice {XS}><xs:element name="a" type="xs:int"/><xs:sequence><xs:element name="k" type="xs:string"/>'
                                '<xs:element name="v" type="xs:string" minOccurs="0"/></xs:sequence>'
                                '<xs:element name="m" type="xs:int" maxOccurs="9"/></xs:choice>')
    fields = {"a": [1, 2], "k": ["x", "y"], "v": ["1", "2"], "m": [3, 4]}
    assert names(body(contract, fields)) == ["a", "a", "k", "v", "k", "v", "m", "m"]
    assert both_ways(contract, fields) == fields
    assert both_ways(contract, {"a": 1}) == {"a": [1]}
    assert both_ways(contract, {}) == {}


HEAD = ('<xs:complexType name="Rule"><xs:sequence><xs:element name="id" type="xs:string"/></xs:sequence></xs:complexType>'
        '<xs:complexType name="Limit"><xs:complexContent><xs:extension base="t:Rule"><xs:sequence>'
        '<xs:element name="most" type="xs:int"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>'
        '<xs:element name="rule" type="t:Rule"{abstract}/><xs:element name="limit" type="t:Limit" substitutionGroup="t:rule"/>'
        '<xs:element name="hard" type="t:Limit" substitutionGroup="t:limit"/>')


@pytest.mark.parametrize("abstract", [True, False])
def test_the_members_of_a_substitution_group_stand_for_its_head(tmp_path: Path, *, abstract: bool) -> None:
    schema = HEAD.format(abstract=' abstract="true"' if abstract else "")
    content = '<xs:sequence><xs:element ref="t:rule" maxOccurs="unbounded"/><xs:element name="z" type="xs:int"/></xs:sequence>'
    contract = load(tmp_path, wsdl(schema + wrapper(content) + EMPTY_RESPONSE))
    fields = {"limit": [{"id": "1", "most": 1}, {"id": "2", "most": 2}], "hard": [{"id": "3", "most": 3}], "z": 9}
    assert names(body(contract, fields)) == ["limit", "limit", "hard", "z"]
    assert both_ways(contract, fields) == fields
    head = {"rule": [{"id": "1"}], "z": 9}
    if abstract:
        with pytest.raises(LocalProtocolError, match="Do needs one of hard, limit"):
            SoapClientCodec(contract).request("Do", head)
    else:
        assert both_ways(contract, head) == head
    with pytest.raises(LocalProtocolError, match="Do needs one of hard, limit"):
        SoapClientCodec(contract).request("Do", {"z": 9})


def test_a_repeated_sequence_keeps_its_turns(tmp_path: Path) -> None:
    content = (f'<xs:sequence {XS}><xs:element name="k" type="xs:string"/>'
               '<xs:element name="v" type="xs:string" minOccurs="0"/></xs:sequence>')
    contract = asking(tmp_path, f"<xs:sequence>{content}</xs:sequence>")
    assert names(body(contract, {"k": ["a", "b"], "v": ["1", "2"]})) == ["k", "v", "k", "v"]
    assert both_ways(contract, {"k": ["a", "b"], "v": ["1", "2"]}) == {"k": ["a", "b"], "v": ["1", "2"]}


def test_attributes_and_text_beside_them(tmp_path: Path) -> None:
    amount = ('<xs:complexType name="Amount"><xs:simpleContent><xs:extension base="xs:decimal">'
              '<xs:attribute name="currency" type="xs:string" use="required"/></xs:extension></xs:simpleContent></xs:complexType>')
    request = wrapper('<xs:sequence><xs:element name="amount" type="t:Amount"/></xs:sequence><xs:attribute name="amount" type="xs:int"/>')
    contract = load(tmp_path, wsdl(amount + request + EMPTY_RESPONSE))
    fields = {"_amount": 3, "amount": {"currency": "EUR", "_text": Decimal("1.0")}}
    assert both_ways(contract, fields) == fields
    with pytest.raises(LocalProtocolError, match=r"amount\.currency is required"):
        SoapClientCodec(contract).request("Do", {"amount": "1.0"})


def test_a_derived_type_is_named(tmp_path: Path) -> None:
    types = ('<xs:complexType name="Base"><xs:sequence><xs:element name="a" type="xs:string"/></xs:sequence></xs:complexType>'
             '<xs:complexType name="Derived"><xs:complexContent><xs:extension base="t:Base"><xs:sequence>'
             '<xs:element name="b" type="xs:int"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>')
    contract = load(tmp_path, wsdl(types + wrapper('<xs:sequence><xs:element name="x" type="t:Base"/></xs:sequence>') + EMPTY_RESPONSE))
    assert both_ways(contract, {"x": {"_type": "Derived", "a": "1", "b": 2}}) == {"x": {"_type": "Derived", "a": "1", "b": 2}}
    assert both_ways(contract, {"x": {"_type": "Base", "a": "1"}}) == {"x": {"a": "1"}}, "the declared type needs no name"
    with pytest.raises(LocalProtocolError, match=r"did you mean Derived\?"):
        SoapClientCodec(contract).request("Do", {"x": {"_type": "Drived", "a": "1"}})


def test_a_wildcard_takes_the_contracts_elements_by_name_and_others_as_they_are(tmp_path: Path) -> None:
    known = wrapper('<xs:sequence><xs:element name="n" type="xs:int"/></xs:sequence>', "Known")
    request = wrapper(f'<xs:sequence><xs:element name="id" type="xs:string"/><xs:any processContents="lax" {XS}/></xs:sequence>')
    contract = load(tmp_path, wsdl(known + request + EMPTY_RESPONSE))
    sent = body(contract, {"id": "1", "Known": {"n": 5}, "other": {"deep": ["x", "y"]}})
    assert [child.tag for child in sent] == ["{urn:t}id", "{urn:t}Known", "other"]
    assert both_ways(contract, {"id": "1", "Known": {"n": 5}, "other": {"deep": ["x", "y"]}}) == {
        "id": "1", "Known": {"n": 5}, "other": {"deep": ["x", "y"]}}
    with pytest.raises(LocalProtocolError, match="Known"):
        SoapClientCodec(contract).request("Do", {"id": "1", "Known": {"n": "no number"}})


def test_recursive_types(tmp_path: Path) -> None:
    node = ('<xs:complexType name="Node"><xs:sequence><xs:element name="name" type="xs:string"/>'
            f'<xs:element name="child" type="t:Node" {XS}/></xs:sequence></xs:complexType>')
    contract = load(tmp_path, wsdl(node + wrapper('<xs:sequence><xs:element name="top" type="t:Node"/></xs:sequence>') + EMPTY_RESPONSE))
    tree = {"top": {"name": "a", "child": [{"name": "b", "child": [{"name": "c"}]}]}}
    assert both_ways(contract, tree) == tree


def test_a_server_is_strict_and_a_client_is_not(tmp_path: Path) -> None:
    response = wrapper('<xs:sequence><xs:element name="a" type="xs:string"/></xs:sequence>', "DoResponse")
    contract = load(tmp_path, wsdl(response + wrapper('<xs:sequence/>')))
    reply = SoapServerCodec(contract).reply("Do", {"a": "1"}).body
    newer = reply.replace(b"</ns0:DoResponse>", b"<ns0:more>2</ns0:more></ns0:DoResponse>")
    unqualified = reply.replace(b"ns0:a>", b"a>")
    assert newer != reply != unqualified
    assert SoapClientCodec(contract).reply("Do", newer).fields == {"a": "1"}
    assert SoapClientCodec(contract).reply("Do", unqualified).fields == {"a": "1"}
    with pytest.raises(RemoteProtocolError, match="no element more"):
        SoapClientCodec(contract, strict=True).reply("Do", newer)


# What XML keeps as it is: no control characters; a carriage return would come back as a line feed (XML 1.0, 2.11).
TEXTS = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs", "Cc"], max_codepoint=0xFFFD))
ITEM = st.fixed_dictionaries({"k": TEXTS, "n": st.integers(-2**40, 2**40)},
                             optional={"v": st.decimals(allow_nan=False, allow_infinity=False, places=3)})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(fields=st.fixed_dictionaries({"id": TEXTS}, optional={"flag": st.booleans(), "item": st.lists(ITEM, min_size=1, max_size=5)}))
def test_whatever_the_contract_can_say_comes_back_the_same(fields: dict[str, Any], tmp_path: Path) -> None:
    item = ('<xs:complexType name="Item"><xs:sequence><xs:element name="k" type="xs:string"/><xs:element name="n" type="xs:long"/>'
            '<xs:element name="v" type="xs:decimal" minOccurs="0"/></xs:sequence></xs:complexType>')
    request = wrapper(f'<xs:sequence><xs:element name="id" type="xs:string"/><xs:element name="item" type="t:Item" {XS}/></xs:sequence>'
                      '<xs:attribute name="flag" type="xs:boolean"/>')
    contract = LOADED.get(tmp_path) or LOADED.setdefault(tmp_path, load(tmp_path, wsdl(item + request + EMPTY_RESPONSE)))
    assert both_ways(contract, fields) == fields


LOADED: dict[Path, Contract] = {}
