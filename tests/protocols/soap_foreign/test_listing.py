"""What a message can hold is told by the paths a protocol file uses, and what is needed is enough."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from protocols.soap.foreign import SoapClientCodec
from protocols.soap.foreign.listing import Field, fields_of
from tests.protocols.soap_foreign.contracts import EMPTY_RESPONSE, asking, load, wrapper, wsdl

SAMPLE = {"string": "x", "integer": "1", "decimal": "1.5"}

def nested(content: str, more: str = "") -> str:
    """An element `a` of this content."""
    return f'<xs:sequence><xs:element name="a"{more}><xs:complexType>{content}</xs:complexType></xs:element></xs:sequence>'


B, B_OR = '<xs:element name="b" type="xs:string"/>', '<xs:element name="c" type="xs:int" minOccurs="0"/>'
AMOUNT = """<xs:simpleContent><xs:extension base="xs:decimal"><xs:attribute name="unit" type="xs:string" use="required"/>
    <xs:attribute name="note" type="xs:string"/></xs:extension></xs:simpleContent>"""
STYLES = {
    "nested": (nested(f"<xs:sequence>{B}{B_OR}</xs:sequence>"), [("a.b", "string", True, False), ("a.c", "integer", False, False)]),
    "optional around needed": (nested(f"<xs:sequence>{B}</xs:sequence>", ' minOccurs="0"'), [("a.b", "string", False, False)]),
    "choice": (f"<xs:choice>{B}{B_OR}</xs:choice>", [("b", "string", True, False), ("c", "integer", False, False)]),
    "list": ('<xs:sequence><xs:element name="a" type="xs:decimal" maxOccurs="unbounded"/></xs:sequence>', [("a", "decimal", True, True)]),
    "text and attributes": (nested(AMOUNT), [("a._text", "decimal", True, False), ("a.unit", "string", True, False),
                                             ("a.note", "string", False, False)]),
    "open": ('<xs:sequence><xs:any minOccurs="0" maxOccurs="unbounded"/></xs:sequence>', [("ELEMENT", "anything", False, True)]),
    "nillable": ('<xs:sequence><xs:element name="a" type="xs:string" nillable="true"/></xs:sequence>', [("a", "string", False, False)]),
}


@pytest.mark.parametrize("style", STYLES)
def test_the_values_of_a_message(tmp_path: Path, style: str) -> None:
    content, expected = STYLES[style]
    contract = asking(tmp_path, content)
    found = list(fields_of(contract.operations["Do"].input, contract.schema))
    assert list(fields_of(contract.operations["Do"].input, contract.schema, needed=True)) == [one for one in found if one.needed]
    assert found == [Field(*one) for one in expected]
    if style == "nillable":
        return  # it has to be there, and may be nothing: null
    given: dict[str, object] = {}
    for one in found:
        if one.needed:
            *around, last = one.path.split(".")
            inside = given
            for step in around:
                inside = inside.setdefault(step, {})  # type: ignore[assignment]
            inside[last] = [SAMPLE[one.kind]] if one.many else SAMPLE[one.kind]
    SoapClientCodec(contract).request("Do", given)


def test_what_holds_itself_is_not_followed_for_ever(tmp_path: Path) -> None:
    again = '<xs:element name="next" type="t:Node" minOccurs="0"/>'
    schema = f'<xs:complexType name="Node"><xs:sequence>{B}{again}</xs:sequence></xs:complexType>'
    contract = load(tmp_path, wsdl(schema + wrapper('<xs:sequence><xs:element name="n" type="t:Node"/></xs:sequence>') + EMPTY_RESPONSE))
    assert [one.path for one in fields_of(contract.operations["Do"].input, contract.schema)] == ["n.b"]


def test_a_message_that_is_one_value_has_it_as_its_text(tmp_path: Path) -> None:
    contract = load(tmp_path, wsdl('<xs:element name="Do" type="xs:int"/>' + EMPTY_RESPONSE))
    assert [(one.path, one.kind) for one in fields_of(contract.operations["Do"].input, contract.schema)] == [("_text", "integer")]
    SoapClientCodec(contract).request("Do", {"_text": 1})


def test_a_message_of_several_parts_begins_with_their_names(tmp_path: Path) -> None:
    parts = '<wsdl:part name="a" type="xs:string"/><wsdl:part name="b" type="xs:int"/>'
    contract = load(tmp_path, wsdl(EMPTY_RESPONSE, style="rpc", in_parts=parts, out_parts='<wsdl:part name="c" type="xs:string"/>'))
    found = fields_of(contract.operations["Do"].input, contract.schema)
    assert [(one.path, one.kind) for one in found] == [("a", "string"), ("b", "integer")]


def test_an_abstract_type_needs_the_name_of_one_that_is_derived_from_it(tmp_path: Path) -> None:
    extension = '<xs:complexContent><xs:extension base="t:Event"/></xs:complexContent>'
    derived = "".join(f'<xs:complexType name="{name}">{extension}</xs:complexType>' for name in ("Alarm", "Change"))
    schema = f'<xs:complexType name="Event" abstract="true"><xs:sequence>{B}</xs:sequence></xs:complexType>{derived}'
    contract = load(tmp_path, wsdl(schema + wrapper('<xs:sequence><xs:element name="e" type="t:Event"/></xs:sequence>') + EMPTY_RESPONSE))
    assert [(one.path, one.among) for one in fields_of(contract.operations["Do"].input, contract.schema, needed=True)] == [
        ("e._type", ("Alarm", "Change")), ("e.b", ())]


def test_a_message_that_can_hold_very_much_is_listed_as_far_as_is_wanted(tmp_path: Path) -> None:
    """Each of forty types can hold each other: what is listed in the end is a few lines of more fields than memory holds."""
    every = "".join(f'<xs:element name="e{n}" type="t:T{n}" minOccurs="0"/>' for n in range(40))
    schema = "".join(f'<xs:complexType name="T{n}"><xs:sequence>{every}{B}</xs:sequence></xs:complexType>' for n in range(40))
    contract = load(tmp_path, wsdl(schema + wrapper('<xs:sequence><xs:element name="a" type="t:T0"/></xs:sequence>') + EMPTY_RESPONSE))
    assert [one.path for one in fields_of(contract.operations["Do"].input, contract.schema, needed=True)] == ["a.b"]
    assert len(list(islice(fields_of(contract.operations["Do"].input, contract.schema), 100))) == 100
