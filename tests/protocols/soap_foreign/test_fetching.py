"""Contracts on other machines: fetched once, ahead, and read from the copies ever after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from protocols.mapping import Definition
from protocols.soap.foreign import ContractError, check, contract_of, fetch
from tests.protocols.soap_foreign.contracts import EMPTY_RESPONSE, wrapper, wsdl

AT = "http://partner.example/services/orders"
TYPES = ('<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:types">{}'
         '<xs:simpleType name="Id"><xs:restriction base="xs:string"/></xs:simpleType></xs:schema>')
REQUEST = wrapper('<xs:sequence><xs:element name="a" type="y:Id" xmlns:y="urn:types"/></xs:sequence>')
ELSEWHERE = {
    f"{AT}?wsdl": wsdl('<xs:import namespace="urn:types" schemaLocation="../schemas/types.xsd"/>' + REQUEST + EMPTY_RESPONSE),
    "http://partner.example/schemas/types.xsd": TYPES.format('<xs:include schemaLocation="more.xsd"/>'),
    "http://partner.example/schemas/more.xsd": TYPES.format("").replace("Id", "Other"),
}


def definition(wsdl: str = f"{AT}?wsdl", **more: Any) -> Definition:
    return Definition.load({"protocol": "p", "transport": "soap", "wsdl": wsdl, "operations": {
        "QueryBureau": {"repeatable": True, "takes": {"a": {"from": "$a"}},
                        "send": [{"command": "Do", "fields": {"a": {"from": "$a"}}}]}}, **more})


class Net:
    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.asked: list[str] = []

    def get(self, address: str) -> bytes:
        self.asked.append(address)
        if address not in self.files:
            raise OSError("no such host")
        return self.files[address].encode()


def test_a_contract_and_all_it_refers_to_is_fetched_once(tmp_path: Path) -> None:
    net = Net(ELSEWHERE)
    wrong, elsewhere = check(definition(), tmp_path)
    assert wrong == [(("wsdl",), f"{AT}?wsdl is on another machine: `uip check DIR --fetch` keeps a copy of it")]
    assert not elsewhere
    assert fetch(definition(), tmp_path, net.get) == list(ELSEWHERE)
    assert list(contract_of(definition(), tmp_path).operations) == ["Do"]
    assert check(definition(), tmp_path) == ([], [])
    assert fetch(definition(), tmp_path, net.get) == []
    assert net.asked == list(ELSEWHERE)


def test_what_a_local_contract_imports_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "own.wsdl").write_text(ELSEWHERE[f"{AT}?wsdl"].replace("../schemas/", "http://partner.example/schemas/"))
    _, elsewhere = check(definition("own.wsdl"), tmp_path)
    assert "--fetch" in elsewhere[0].message
    assert len(fetch(definition("own.wsdl"), tmp_path, Net(ELSEWHERE).get)) == 2
    assert check(definition("own.wsdl"), tmp_path) == ([], [])


def test_a_file_of_the_operators_own_is_taken_instead(tmp_path: Path) -> None:
    (tmp_path / "own.wsdl").write_text(ELSEWHERE[f"{AT}?wsdl"])
    (tmp_path / "mine.xsd").write_text(TYPES.format(""))
    mended = definition("own.wsdl", imports={"../schemas/types.xsd": "mine.xsd"})
    net = Net({})
    assert fetch(mended, tmp_path, net.get) == []
    assert check(mended, tmp_path) == ([], [])


@pytest.mark.parametrize(("files", "why"), [
    ({}, "cannot be fetched: no such host"),
    ({f"{AT}?wsdl": "<html>"}, "not well-formed"),
    ({f"{AT}?wsdl": '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'}, "DOCTYPE"),
])
def test_what_cannot_be_had_is_told(tmp_path: Path, files: dict[str, str], why: str) -> None:
    with pytest.raises(ContractError, match=why):
        fetch(definition(), tmp_path, Net(files).get)
    assert not (tmp_path / "fetched").exists()


def test_a_copy_never_leads_out_of_the_site(tmp_path: Path) -> None:
    files = {f"{AT}?wsdl": ELSEWHERE[f"{AT}?wsdl"].replace("../schemas/types.xsd", "file:///etc/passwd")}
    with pytest.raises(ContractError, match="cannot be fetched: no such host"):
        fetch(definition(), tmp_path, Net(files).get)
