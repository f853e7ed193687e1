"""A protocol file held against its contract: every name that is not there, told with the way to it and the nearest right one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from protocols.mapping import Definition
from protocols.soap.foreign import check
from tests.protocols.soap_foreign.contracts import wrapper, wsdl

DEMO = Path(__file__).parents[3] / "config/site/demo/protocols"
FILES: dict[str, Any] = {name: yaml.safe_load((DEMO / f"{name}.yaml").read_text()) for name in ("credit-bureau-soap", "provisioning-soap")}

Change = Callable[[dict[str, Any]], None]


def told(name: str, change: Change) -> list[str]:
    data = copy.deepcopy(FILES[name])
    change(data)
    wrong, elsewhere = check(Definition.load(data), DEMO)
    return [f"{'.'.join(map(str, where))}: {text}" for where, text in wrong] + [str(p) for p in elsewhere]


@pytest.mark.parametrize("name", FILES)
def test_the_bundled_files_fit_their_contracts(name: str) -> None:
    assert told(name, lambda data: None) == []


def bureau(data: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = data["operations"]["QueryBureau"]
    return operation


def renamed(where: Callable[[dict[str, Any]], dict[str, Any]], old: str, new: str) -> Change:
    def change(data: dict[str, Any]) -> None:
        part = where(data)
        part[new] = part.pop(old)

    return change


def fields(data: dict[str, Any]) -> dict[str, Any]:
    sent: dict[str, Any] = bureau(data)["send"][0]["fields"]
    return sent


CASES: dict[str, tuple[str, Change, list[str]]] = {
    "an operation": ("credit-bureau-soap", lambda data: bureau(data)["send"][0].update(command="GetCreditReprt"),
                     [("operations.QueryBureau.send.0.command: the contract has no operation GetCreditReprt; did you mean "
                      "GetCreditReport?")]),
    "a field": ("credit-bureau-soap", renamed(fields, "subject.name", "subject.nam"),
                ["operations.QueryBureau.send.0.fields.subject.nam: subject has no nam; did you mean name?"]),
    "an attribute": ("credit-bureau-soap", renamed(fields, "exposure.currency", "exposure.curency"),
                     ["operations.QueryBureau.send.0.fields.exposure.curency: exposure has no curency; did you mean currency?",
                      "operations.QueryBureau.send.0.fields: exposure.currency is missing: the contract needs it"]),
    "something left out": ("credit-bureau-soap", lambda data: fields(data).pop("subject.partyId") and None,
                           ["operations.QueryBureau.send.0.fields: subject.partyId is missing: the contract needs it"]),
    "a reply's field": ("credit-bureau-soap", lambda data: bureau(data)["reply"]["score"].update({"from": "$fields.report.scor"}),
                        ["operations.QueryBureau.reply.score: report has no scor; did you mean score?"]),
    "a fault": ("credit-bureau-soap", lambda data: data["soap"].update(fault_code="$InquiryFalt.code"),
                ["soap.fault_code: the contract has no fault InquiryFalt; did you mean InquiryFault?"]),
    "a simulator's command": ("credit-bureau-soap", renamed(lambda d: d["simulator"]["commands"], "GetCreditReport", "Get"),
                              ["simulator.commands.Get: the contract has no operation Get; there are GetCreditReport"]),
    "inside a wildcard": (
        "provisioning-soap",
        renamed(lambda d: d["operations"]["createSubscriber"]["send"][0]["fields"],
                "MOAttributes.CreateSubscription.msisdn", "MOAttributes.CreateSubscription.msidn"),
        [("operations.createSubscriber.send.0.fields.MOAttributes.CreateSubscription.msidn: CreateSubscription has no msidn; did you "
         "mean msisdn?"),
         "operations.createSubscriber.send.0.fields: MOAttributes.CreateSubscription.msisdn is missing: the contract needs it"]),
    "a query's condition": (
        "provisioning-soap",
        lambda data: data["operations"]["activateSubscriber"]["query"]["applied"][0].update(
            value="$reply.fields.MOAttributes.Subscription.stat"),
        ["operations.activateSubscriber.query.applied.0: Subscription has no stat; did you mean state?"]),
    "a session's header": ("provisioning-soap", renamed(lambda d: d["soap"]["session"]["headers"], "SequenceId", "SequencId"),
                           ["soap.session.headers.SequencId: the contract has no header SequencId; did you mean SequenceId?"]),
    "what a login keeps": ("provisioning-soap", lambda data: data["soap"]["session"].update(keep={"id": "$fields.sesionId"}),
                           ["soap.session.keep: the contract has no sesionId; did you mean sessionId?"]),
}


@pytest.mark.parametrize("what", CASES)
def test_a_wrong_name_is_told_with_the_nearest_right_one(what: str) -> None:
    name, change, expected = CASES[what]
    assert told(name, change) == expected


def test_a_contract_that_cannot_be_read_is_told_at_its_own_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.wsdl").write_text('<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/">\n<w:import location="gone.wsdl"/>'
                                       "</w:definitions>")
    data = {**FILES["credit-bureau-soap"], "wsdl": "bad.wsdl"}
    wrong, elsewhere = check(Definition.load(data), tmp_path)
    assert not wrong
    assert [(p.file.name, p.line) for p in elsewhere] == [("bad.wsdl", 2)]


def test_a_file_without_a_contract() -> None:
    assert told("credit-bureau-soap", lambda data: data.pop("wsdl") and None) == [
        ": `wsdl:` is missing: a protocol over soap names its contract"]


def test_fields_of_a_derived_type_are_known(tmp_path: Path) -> None:
    types = ('<xs:complexType name="Base" abstract="true"><xs:sequence>'
             '<xs:element name="a" type="xs:string"/></xs:sequence></xs:complexType>'
             '<xs:complexType name="Far"><xs:complexContent><xs:extension base="t:Near"><xs:sequence>'
             '<xs:element name="c" type="xs:int"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>'
             '<xs:complexType name="Near"><xs:complexContent><xs:extension base="t:Base"><xs:sequence>'
             '<xs:element name="b" type="xs:int"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>')
    x = '<xs:sequence><xs:element name="x" type="t:Base"/></xs:sequence>'
    (tmp_path / "contract.wsdl").write_text(wsdl(types + wrapper(x) + wrapper(x, "DoResponse")))
    fields = {"x._type": {"from": "Far"}, **{f"x.{name}": {"from": f"${name}"} for name in "abcd"}}
    data = {"protocol": "p", "transport": "soap", "wsdl": "contract.wsdl", "operations": {"Do": {
        "repeatable": True, "takes": {name: {"from": f"${name}"} for name in "abcd"}, "send": [{"command": "Do", "fields": fields}],
        "reply": {"kind": {"from": "$fields.x._type"}, "c": {"from": "$fields.x.c"}, "e": {"from": "$fields.x.e"}}}}}
    assert [".".join(map(str, where)) for where, _ in check(Definition.load(data), tmp_path)[0]] == [
        "operations.Do.send.0.fields.x.d", "operations.Do.reply.e"]


def test_an_abstract_type_must_be_told_which_it_is_and_what_is_left_out_why(tmp_path: Path) -> None:
    types = ('<xs:complexType name="Base" abstract="true"/>'
             '<xs:complexType name="Near"><xs:complexContent><xs:extension base="t:Base"/></xs:complexContent></xs:complexType>')
    x = '<xs:sequence><xs:element name="x" type="t:Base"/></xs:sequence>'
    text = wsdl(types + wrapper(x) + wrapper(x, "DoResponse"))
    gone = '<wsdl:operation name="Gone"><wsdl:input message="t:Gone"/></wsdl:operation>'
    bound = '<wsdl:operation name="Gone"><soap:operation soapAction="g"/></wsdl:operation>'
    text = text.replace("</wsdl:portType>", gone + "</wsdl:portType>").replace("</wsdl:binding>", bound + "</wsdl:binding>")
    (tmp_path / "contract.wsdl").write_text(text)
    data = {"protocol": "p", "transport": "soap", "wsdl": "contract.wsdl", "operations": {name: {
        "repeatable": True, "send": [{"command": name, "fields": {"x.a": {"from": "1"}}}]} for name in ("Do", "Gone")}}
    told_ = [text for _, text in check(Definition.load(data), tmp_path)[0]]
    assert "x._type (Near) is missing: the contract needs it" in told_
    assert any(text.startswith("the contract has no operation Gone: it is left out, since ") and "message Gone" in text for text in told_)


def test_what_comes_in_every_request_must_be_taken_or_ignored(tmp_path: Path) -> None:
    content = "".join(f'<xs:element name="{name}" type="xs:string" minOccurs="{int(name != "c")}"/>' for name in "abc")
    text = wsdl(wrapper(f"<xs:sequence>{content}</xs:sequence>") + wrapper("<xs:sequence/>", "DoResponse"))
    (tmp_path / "contract.wsdl").write_text(text)
    served: dict[str, Any] = {"request": "GetProductOrder", "takes": {"id": {"from": "$a"}}, "answer": {"fields": {}}}
    data: dict[str, Any] = {"protocol": "p", "transport": "soap", "wsdl": "contract.wsdl", "serves": {"commands": {"Do": served}}}

    def told_() -> list[str]:
        return [text for _, text in check(Definition.load(data), tmp_path)[0]]

    assert told_() == ["b comes in every request: take it, or name it in `ignores`"]
    served["ignores"] = ["b"]
    assert told_() == []
    del served["ignores"]
    data["serves"]["unknown_fields"] = "ignore"
    assert told_() == []
