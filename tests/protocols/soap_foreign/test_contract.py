"""WSDLs load whole, or every reason why not is told with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.soap.foreign import ContractError, SoapClientCodec, SoapServerCodec, load_contract
from tests.protocols.soap_foreign.contracts import EMPTY_RESPONSE, load, wrapper, wsdl

XS = 'xmlns:xs="http://www.w3.org/2001/XMLSchema"'
SIMPLE = '<xs:sequence><xs:element name="a" type="xs:string"/></xs:sequence>'
TYPES = (f'<xs:schema {XS} targetNamespace="urn:types"><xs:simpleType name="Id"><xs:restriction base="xs:string"/></xs:simpleType>'
         "</xs:schema>")
USING = '{}' + wrapper('<xs:sequence><xs:element name="a" type="y:Id" xmlns:y="urn:types"/></xs:sequence>') + EMPTY_RESPONSE


def problems(folder: Path, text: str, **files: str) -> list[str]:
    with pytest.raises(ContractError) as caught:
        load(folder, text, **files)
    return [str(p) for p in caught.value.problems]


def test_a_schema_in_another_file(tmp_path: Path) -> None:
    contract = load(tmp_path, wsdl(USING.format('<xs:import namespace="urn:types" schemaLocation="types.xsd"/>')), types=TYPES)
    assert SoapClientCodec(contract).request("Do", {"a": "1"})


def test_broken_imports_are_told_with_file_and_line_and_mended_locally(tmp_path: Path) -> None:
    text = wsdl(USING.format('\n<xs:import namespace="urn:types" schemaLocation="http://partner.example/types.xsd"/>'
                             '\n<xs:import namespace="urn:more" schemaLocation="gone.xsd"/>'))
    told = problems(tmp_path, text)
    line = 1 + text[:text.index("http://partner.example")].count("\n")
    assert told[0].startswith(f"{tmp_path}/contract.wsdl:{line}: http://partner.example/types.xsd is on another machine")
    assert told[1].startswith(f"{tmp_path}/contract.wsdl:{line + 1}: there is no file {tmp_path}/gone.xsd")
    (tmp_path / "mine.xsd").write_text(TYPES)
    (tmp_path / "more.xsd").write_text(f'<xs:schema {XS} targetNamespace="urn:more"/>')
    mended = {"http://partner.example/types.xsd": tmp_path / "mine.xsd", "urn:more": tmp_path / "more.xsd"}
    assert load(tmp_path, text, imports=mended).operations


def test_an_import_that_says_another_namespace_than_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    text = wsdl(USING.format('\n<xs:import namespace="urn:others" schemaLocation="types.xsd"/>'))
    line = 1 + text[:text.index("urn:others")].count("\n")
    (told,) = problems(tmp_path, text, types=TYPES)
    assert told.startswith(f"{tmp_path}/contract.wsdl:{line}: types.xsd declares the namespace urn:types, not urn:others")


@pytest.mark.parametrize("location", ["Sub\\TYPES.xsd", "sub/types.XSD", ".\\sub\\types.xsd"])
def test_references_as_they_are_written_on_windows(tmp_path: Path, location: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/types.xsd").write_text(TYPES)
    assert load(tmp_path, wsdl(USING.format(f'<xs:import namespace="urn:types" schemaLocation="{location}"/>'))).operations


def test_a_name_that_two_files_could_be_meant_by_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "TYPES.xsd").write_text(TYPES)
    (told,) = problems(tmp_path, wsdl(USING.format('<xs:import namespace="urn:types" schemaLocation="Types.xsd"/>')), types=TYPES)
    assert "there is no file" in told


def test_a_link_that_leads_out_is_not_followed_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "secret.xsd").write_text(TYPES)
    inner = tmp_path / "site"
    inner.mkdir()
    (inner / "LINK.xsd").symlink_to(tmp_path / "secret.xsd")
    (told,) = problems(inner, wsdl(USING.format('<xs:import namespace="urn:types" schemaLocation="link.xsd"/>')))
    assert "outside" in told


def test_a_namespace_that_is_no_absolute_address(tmp_path: Path) -> None:
    """MTOSI 1's is `tmf854.v1`, declared in many files, some of which say the same twice."""
    schema = f'<xs:schema {XS} targetNamespace="tmf854.v1"><xs:simpleType name="Id"><xs:restriction base="xs:string"/></xs:simpleType>'
    imports = "".join(f'<xs:import namespace="tmf854.v1" schemaLocation="{name}.xsd"/>' for name in ("one", "two"))
    contract = load(tmp_path, wsdl(USING.replace("urn:types", "tmf854.v1").format(imports)), one=schema + "</xs:schema>",
                    two=schema + '<xs:element name="Extra" type="xs:int"/></xs:schema>')
    assert SoapClientCodec(contract).request("Do", {"a": "1"})


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.xsd").write_text(TYPES)
    inner = tmp_path / "site"
    inner.mkdir()
    for location in ("../secret.xsd", str(tmp_path / "secret.xsd"), "file:///etc/passwd"):
        told = problems(inner, wsdl(USING.format(f'<xs:import namespace="urn:types" schemaLocation="{location}"/>')))
        assert "outside" in told[0] or "another machine" in told[0]


def test_a_wsdl_of_several_files_of_one_namespace(tmp_path: Path) -> None:
    whole = wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE)
    head = whole[:whole.index("<wsdl:types>")]
    end = "</wsdl:definitions>"
    (tmp_path / "inner.wsdl").write_text(whole[:whole.index("<wsdl:binding")] + end)
    (tmp_path / "middle.wsdl").write_text(head + '<wsdl:import namespace="urn:t" location="inner.wsdl"/>' + end)
    contract = load(tmp_path, head + '<wsdl:import namespace="urn:t" location="middle.wsdl"/>' + whole[whole.index("<wsdl:binding"):])
    assert SoapClientCodec(contract).request("Do", {"a": "1"})


@pytest.mark.parametrize(("text", "why"), [
    ("<a", "not well-formed"),
    ("<a/>", "not a WSDL"),
    ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "DOCTYPE"),
    (wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE, use="encoded"), "SOAP encoding"),
    (wsdl(wrapper('<xs:sequence><xs:element name="a" type="t:Gone"/></xs:sequence>') + EMPTY_RESPONSE), "Gone"),
    (wsdl(EMPTY_RESPONSE), "Do"),
    (wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE, soap="http"), "contract.wsdl"),
])
def test_a_contract_that_cannot_be_used_says_why(tmp_path: Path, text: str, why: str) -> None:
    told = problems(tmp_path, text)
    assert len(told) == 1
    assert why in told[0]
    assert told[0].startswith(str(tmp_path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no file"):
        load_contract(tmp_path / "gone.wsdl", tmp_path)


def test_the_port_can_be_chosen(tmp_path: Path) -> None:
    load(tmp_path, wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE))
    file = tmp_path / "contract.wsdl"
    assert load_contract(file, tmp_path, service="S", port="Port").address == "http://127.0.0.1:1/t"
    with pytest.raises(ContractError, match=r"no service Ss; did you mean S\?"):
        load_contract(file, tmp_path, service="Ss")
    with pytest.raises(ContractError, match=r"no SOAP port Prt; did you mean Port\?"):
        load_contract(file, tmp_path, port="Prt")


def test_a_port_that_names_no_binding_does_not_hide_the_binding_there_is(tmp_path: Path) -> None:
    text = wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE)
    contract = load(tmp_path, text.replace('binding="t:B"', 'binding="t:Gone"'))
    assert (contract.port, contract.address, list(contract.operations)) == ("B", "", ["Do"])


def test_what_everybody_takes_for_granted_is_there(tmp_path: Path) -> None:
    request = ('<xs:import namespace="http://www.w3.org/XML/1998/namespace" schemaLocation="http://www.w3.org/2001/xml.xsd"/>'
               '<xs:import namespace="http://schemas.xmlsoap.org/soap/encoding/"/>'
               + wrapper('<xs:sequence><xs:element name="a" type="xs:string"/></xs:sequence><xs:attribute ref="xml:lang"/>'))
    contract = load(tmp_path, wsdl(request + EMPTY_RESPONSE))
    assert b'xml:lang="en"' in SoapClientCodec(contract).request("Do", {"a": "1", "lang": "en"}).body


def test_a_namespace_that_is_used_without_an_import_can_be_given_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.xsd").write_text(TYPES)
    contract = load(tmp_path, wsdl(USING.format("")), imports={"urn:types": tmp_path / "mine.xsd"})
    assert SoapClientCodec(contract).request("Do", {"a": "1"})


def test_binary_values_that_tell_their_media_type(tmp_path: Path) -> None:
    request = ('<xs:import namespace="http://www.w3.org/2005/05/xmlmime" schemaLocation="https://www.w3.org/2005/05/xmlmime"/>'
               + wrapper('<xs:sequence><xs:element name="a" type="m:base64Binary" m:expectedContentTypes="image/*"'
                         ' xmlns:m="http://www.w3.org/2005/05/xmlmime"/></xs:sequence>'))
    contract = load(tmp_path, wsdl(request + EMPTY_RESPONSE))
    sent = SoapClientCodec(contract).request("Do", {"a": {"_text": b"x", "contentType": "image/gif"}}).body
    assert SoapServerCodec(contract).receive(sent).fields == {"a": {"_text": "eA==", "contentType": "image/gif"}}


PART = '<wsdl:part name="p" {}/>'
UNRESOLVED = {
    "a type that the schema lacks": (
        wsdl(wrapper('<xs:sequence><xs:element name="a"\n type="t:Idd"/></xs:sequence>')
             + '<xs:simpleType name="Id"><xs:restriction base="xs:string"/></xs:simpleType>' + EMPTY_RESPONSE),
        ["type Idd is declared in urn:t; did you mean Id?"]),
    "a namespace that nothing declares": (
        wsdl(USING.format("")), ["type Id is declared in urn:types, nor anything else for messages: `imports:` may name a file"]),
    "an element of another namespace": (
        wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE, in_parts=PART.format('element="x:Do" xmlns:x="urn:t:2"')),
        ["element Do is declared in urn:t:2; did you mean the one of urn:t?"]),
    "a message": (
        wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE).replace('message="t:In"', 'message="t:Inn"'),
        ["message Inn is declared in urn:t; did you mean In?"]),
    "a port type": (
        wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE).replace('type="t:P"', 'type="t:Q"'), ["portType Q is declared in urn:t"]),
    "a prefix": (
        wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE, in_parts=PART.format('element="n:Do"')), ['the prefix of element="n:Do"']),
}


@pytest.mark.parametrize("what", UNRESOLVED)
def test_a_name_that_nothing_declares_is_told_with_its_line_and_the_nearest(tmp_path: Path, what: str) -> None:
    text, expected = UNRESOLVED[what]
    told = problems(tmp_path, text)
    assert len(told) == len(expected)
    for one, words in zip(told, expected, strict=True):
        assert words in one
        assert int(one.removeprefix(f"{tmp_path}/contract.wsdl:").partition(":")[0]) > 1
        assert "definition" not in one


def test_of_very_many_such_names_some_are_told(tmp_path: Path) -> None:
    told = problems(tmp_path, wsdl("".join(f'<xs:element name="e{n}" type="t:Gone"/>' for n in range(50)) + EMPTY_RESPONSE))
    assert len(told) == 21
    assert "and 31 more" in told[-1]    # `Do` is not declared either


def test_an_operation_whose_message_cannot_be_had_is_left_out_and_told(tmp_path: Path) -> None:
    text = wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE)
    more = text.replace("</wsdl:portType>", '<wsdl:operation name="More"><wsdl:input message="t:Gone"/></wsdl:operation></wsdl:portType>')
    more = more.replace("</wsdl:binding>", '<wsdl:operation name="More"><soap:operation soapAction="m"/></wsdl:operation></wsdl:binding>')
    contract = load(tmp_path, more)
    assert list(contract.operations) == ["Do"]
    assert list(contract.left_out) == ["More"]
    assert "no message Gone is declared in urn:t" in contract.left_out["More"]


def test_an_import_that_stands_outside_of_any_schema(tmp_path: Path) -> None:
    """A number portability service has it so."""
    bare = '<xs:import namespace="urn:types" schemaLocation="types.xsd"/>'
    text = wsdl(USING.format("")).replace("<wsdl:types>", f"<wsdl:types>{bare}")
    assert SoapClientCodec(load(tmp_path, text, types=TYPES)).request("Do", {"a": "1"})


def test_soap_over_something_else_than_http_is_told_as_that(tmp_path: Path) -> None:
    text = wsdl(wrapper(SIMPLE) + EMPTY_RESPONSE).replace("http://schemas.xmlsoap.org/soap/http", "http://www.w3.org/2008/07/soap/bindings/JMS/")
    (told,) = problems(tmp_path, text)
    assert "its transport is http://www.w3.org/2008/07/soap/bindings/JMS/, and only SOAP over HTTP is spoken" in told
