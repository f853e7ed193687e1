"""A contract as it is shown to those who ask for it: each file under an address of ours, all references turned that way."""

from __future__ import annotations

from lxml import etree

from protocols.soap.foreign.contract import Contract
from protocols.soap.foreign.documents import references

_HERE = "uip:here"
_XML = "http://www.w3.org/XML/1998/namespace"
_SOAP_ADDRESSES = ("{http://schemas.xmlsoap.org/wsdl/soap/}address", "{http://schemas.xmlsoap.org/wsdl/soap12/}address")


class Published:
    """The contract's files by the query they are asked with: `wsdl` for the WSDL itself, `wsdl=2` and so on for what it imports."""

    def __init__(self, contract: Contract) -> None:
        names = {path: "wsdl" if number == 0 else f"wsdl={number}" for number, path in enumerate(contract.files)}
        self._texts = {names[path]: _turned(data, names) for path, data in contract.files.items()}

    def document(self, query: str, address: str) -> bytes | None:
        """The file asked for with this query, at this address of ours; None where there is none."""
        query = query.lower()
        text = self._texts.get("wsdl" if query == "singlewsdl" else query)
        return None if text is None else text.replace(_HERE.encode(), _escaped(address))


def _turned(data: bytes, names: dict[str, str]) -> bytes:
    root = etree.fromstring(data)
    for node, attribute in references(root):
        location = node.get(attribute)
        if location in names:
            node.set(attribute, f"{_HERE}?{names[location]}")
        elif location == _XML:
            node.set(attribute, "http://www.w3.org/2001/xml.xsd")
    for node in root.iter(*_SOAP_ADDRESSES):
        node.set("location", _HERE)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def _escaped(address: str) -> bytes:
    return address.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").encode()
