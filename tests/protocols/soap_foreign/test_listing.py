"""What a message can hold is told by the paths a protocol file uses, and what is needed is enough."""

from __future__ import annotations

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
    found = fields_of(contract.operations["Do"].input)
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
    assert [one.path for one in fields_of(contract.operations["Do"].input)] == ["n.b"]


def test_a_message_that_is_one_value_has_it_as_its_text(tmp_path: Path) -> None:
    contract = load(tmp_path, wsdl('<xs:element name="Do" type="xs:int"/>' + EMPTY_RESPONSE))
    assert [(one.path, one.kind) for one in fields_of(contract.operations["Do"].input)] == [("_text", "integer")]
    SoapClientCodec(contract).request("Do", {"_text": 1})


def test_a_message_of_several_parts_begins_with_their_names(tmp_path: Path) -> None:
    parts = '<wsdl:part name="a" type="xs:string"/><wsdl:part name="b" type="xs:int"/>'
    contract = load(tmp_path, wsdl(EMPTY_RESPONSE, style="rpc", in_parts=parts, out_parts='<wsdl:part name="c" type="xs:string"/>'))
    assert [(one.path, one.kind) for one in fields_of(contract.operations["Do"].input)] == [("a", "string"), ("b", "integer")]
