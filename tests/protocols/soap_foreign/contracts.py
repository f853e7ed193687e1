"""Small contracts in the styles partners use, written as short WSDL files for the tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from protocols.soap.foreign import Contract, load_contract

WSDL = """<wsdl:definitions targetNamespace="urn:t" xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"
    xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/"
    xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:t">
  {imports}
  <wsdl:types><xs:schema targetNamespace="urn:t" elementFormDefault="{form}">{schema}</xs:schema></wsdl:types>
  <wsdl:message name="In">{in_parts}</wsdl:message>
  <wsdl:message name="Out">{out_parts}</wsdl:message>
  <wsdl:message name="Head"><wsdl:part name="head" element="t:Session"/></wsdl:message>
  <wsdl:portType name="P"><wsdl:operation name="Do"><wsdl:input message="t:In"/><wsdl:output message="t:Out"/>
  </wsdl:operation></wsdl:portType>
  <wsdl:binding name="B" type="t:P"><{soap}:binding style="{style}" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="Do"><{soap}:operation soapAction="urn:t/Do"/>
      <wsdl:input>{header}<{soap}:body use="{use}" namespace="urn:t:rpc"/></wsdl:input>
      <wsdl:output><{soap}:body use="{use}" namespace="urn:t:rpc"/></wsdl:output>
    </wsdl:operation></wsdl:binding>
  <wsdl:service name="S"><wsdl:port name="Port" binding="t:B"><{soap}:address location="http://127.0.0.1:1/t"/></wsdl:port></wsdl:service>
</wsdl:definitions>"""

SESSION = '<xs:element name="Session" type="xs:string"/>'


def wsdl(schema: str, *, imports: str = "", form: str = "qualified", soap: str = "soap", style: str = "document", use: str = "literal",
         in_parts: str = '<wsdl:part name="p" element="t:Do"/>', out_parts: str = '<wsdl:part name="p" element="t:DoResponse"/>',
         header: bool = False) -> str:
    head = f'<{soap}:header message="t:Head" part="head" use="literal"/>' if header else ""
    return WSDL.format(schema=SESSION + schema, imports=imports, form=form, soap=soap, style=style, use=use, in_parts=in_parts,
                       out_parts=out_parts, header=head)


def wrapper(content: str, name: str = "Do") -> str:
    return f'<xs:element name="{name}"><xs:complexType>{content}</xs:complexType></xs:element>'


EMPTY_RESPONSE = '<xs:element name="DoResponse"><xs:complexType><xs:sequence/></xs:complexType></xs:element>'


def load(folder: Path, text: str, *, imports: Mapping[str, Path] | None = None, **files: str) -> Contract:
    (folder / "contract.wsdl").write_text(text)
    for name, content in files.items():
        (folder / f"{name}.xsd").write_text(content)
    return load_contract(folder / "contract.wsdl", folder, imports=imports)


def asking(folder: Path, content: str, **how: str) -> Contract:
    """A contract whose one request has this content."""
    return load(folder, wsdl(wrapper(content) + EMPTY_RESPONSE, **how))  # type: ignore[arg-type]
