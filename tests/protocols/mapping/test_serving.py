"""A foreign message becomes a request of ours, and our reply or failure a foreign one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from core.messages.catalogue import OPERATIONS
from core.messages.failures import Kind
from core.orders.objects import SubmitProductOrder
from plugins.checking import checked
from protocols.mapping import Definition, DefinitionError, MappingError, Serving, UnknownCommand
from protocols.mapping.serving import Kind as FileKind

TEXT = """
protocol: legacy-crm
transport: mml
codes:
  plans: {"01": mobile-basic, "02": mobile-plus}
serves:
  success: {code: "000", text: OK}
  failures:
    invalid: {code: "100", text: "{field} {message}", fields: {WHAT: {from: $field}}}
    notFound: {code: "404", text: nothing there}
    busy: {}
  commands:
    NEW SUBSCR:
      request: SubmitProductOrder
      context: {idempotencyKey: {from: $REF}}
      ignores: [CHANNEL]
      takes:
        externalId: {from: $REF, required: true, max_length: 20}
        relatedParty.id: {from: $CUST, required: true}
        relatedParty.name: {from: "{FIRST} {LAST}", required: true}
        requestedStartDate: {from: $DATE, type: datetime, format: "%Y%m%d"}
        productOrderItem:
          list:
            of:
              - id: {from: "1"}
                action: {from: add}
                quantity: {from: $QTY, type: integer, default: 1, minimum: 1, maximum: 10}
                productOffering: {from: $PLAN, required: true, codes: plans}
                productCharacteristic:
                  list:
                    of:
                      - {name: {from: MSISDN}, value: {from: $MSISDN, pattern: "[0-9]{8,15}"}}
                      - {name: {from: IMSI}, value: {from: $IMSI}}
      answer:
        text: "Order {id}"
        fields: {ORDNO: {from: $id}, STATUS: {from: $state, codes: {acknowledged: A, inProgress: P}, otherwise: X}}
        tables:
          Items: {each: $productOrderItem, fields: {"NO": {from: $item.id}, ST: {from: $item.state}}}
      outcomes:
        - when: [{value: $state, equals: rejected}]
          code: "510"
          text: "Refused: {message}"
      failures:
        notFound: {code: "405"}
    ANY THING:
      request: QualifyService
      takes:
        productOffering: {from: $PLAN}
        serviceCharacteristic: {list: {each: $rest, fields: {name: {from: $item.name}, value: {from: $item.value}}}}
"""
GOOD = {"REF": "R1", "CUST": "C1", "FIRST": "Ann", "LAST": "Lee", "PLAN": "01", "MSISDN": "4790000001", "DATE": "20991231"}


def data() -> dict[str, Any]:
    return yaml.safe_load(TEXT)


SERVING = Serving(Definition.load(data()).serves)


def test_a_command_becomes_a_request_that_the_catalogue_takes() -> None:
    asked = SERVING.parse("NEW SUBSCR", {**GOOD, "CHANNEL": "web"})
    assert (asked.request, asked.context) == ("SubmitProductOrder", {"idempotencyKey": "R1"})
    order = checked(SubmitProductOrder, asked.data)
    assert order.relatedParty.name == "Ann Lee"
    assert order.requestedStartDate.isoformat() == "2099-12-31T00:00:00+00:00"
    (item,) = order.productOrderItem
    assert (item.productOffering, item.quantity) == ("mobile-basic", 1)
    assert [(c.name, c.value) for c in item.productCharacteristic] == [("MSISDN", "4790000001")]


@pytest.mark.parametrize(("change", "field", "told"), [
    ({"REF": None}, "REF", "is required"),
    ({"PLAN": "03"}, "PLAN", "must be one of 01, 02"),
    ({"QTY": "11"}, "QTY", "must be at most 10"),
    ({"MSISDN": "12"}, "MSISDN", "must match"),
    ({"MSISDM": "12"}, "MSISDM", "did you mean MSISDN"),
])
def test_a_wrong_field_is_told_in_the_asker_s_words(change: dict[str, Any], field: str, told: str) -> None:
    message = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(MappingError) as caught:
        SERVING.parse("NEW SUBSCR", message)
    assert (caught.value.source, told in caught.value.message) == (field, True)


def test_all_that_is_wrong_is_told_on_request() -> None:
    problems: list[MappingError] = []
    SERVING.parse("NEW SUBSCR", {"CUST": "C1", "QTY": "x", "PLAN": "9", "FOO": "1"}, problems)
    assert [p.source for p in problems] == ["FOO", "REF", "", "QTY", "PLAN"]


def test_an_unknown_command_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownCommand, match="did you mean NEW SUBSCR"):
        SERVING.parse("NEW SUBSCRIBER", {})
    assert not SERVING.knows("NEW SUBSCRIBER")


def test_the_rest_of_the_fields_can_be_taken_as_a_list() -> None:
    asked = SERVING.parse("ANY THING", {"PLAN": "p", "SPEED": "100", "COLOUR": "red"})
    assert asked.data == {"productOffering": "p", "serviceCharacteristic": [{"name": "SPEED", "value": "100"},
                                                                            {"name": "COLOUR", "value": "red"}]}


def test_a_reply_is_said_with_fields_tables_and_text() -> None:
    reply = SERVING.pack("NEW SUBSCR", {"id": "O-1", "state": "acknowledged", "productOrderItem": [
        {"id": "1", "state": "acknowledged"}, {"id": "2", "state": "held"}]})
    assert (reply.code, reply.text, reply.ok) == ("000", "Order O-1", True)
    assert reply.fields == {"ORDNO": "O-1", "STATUS": "A"}
    assert reply.tables == {"Items": [{"NO": "1", "ST": "acknowledged"}, {"NO": "2", "ST": "held"}]}


def test_what_the_reply_holds_can_choose_the_code() -> None:
    reply = SERVING.pack("NEW SUBSCR", {"id": "O-1", "state": "rejected", "message": "bad payer"})
    assert (reply.code, reply.text) == ("510", "Refused: bad payer")


def test_failures_by_kind_and_by_command() -> None:
    invalid = SERVING.fault("invalid", "productOrderItem[0].productOffering: no such offering", "productOrderItem[0].productOffering",
                            "NEW SUBSCR")
    assert (invalid.code, invalid.text, invalid.fields, invalid.ok) == ("100", "PLAN no such offering", {"WHAT": "PLAN"}, False)
    assert SERVING.fault("notFound", "no order", None, "NEW SUBSCR").code == "405"
    assert SERVING.fault("notFound", "no order", None, "ANY THING").text == "nothing there"
    assert SERVING.fault("busy", "later", code="2001").code == "2001"
    assert SERVING.fault("internal", "oops") is None


def test_the_kinds_are_those_of_the_outside_contract() -> None:
    assert set(FileKind.__args__) == set(Kind)


@pytest.mark.parametrize(("change", "path", "told"), [
    (lambda d: d["serves"]["commands"]["NEW SUBSCR"].update(takez={}),
     ("serves", "commands", "NEW SUBSCR", "takez"), "did you mean takes?"),
    (lambda d: d["serves"]["commands"]["NEW SUBSCR"]["takes"]["externalId"].update(requird=True),
     ("serves", "commands", "NEW SUBSCR", "takes", "externalId", "requird"), "did you mean required?"),
    (lambda d: d["serves"]["commands"]["ANY THING"]["takes"]["productOffering"].update(codes="plan"),
     ("serves", "commands", "ANY THING", "takes", "productOffering", "codes"), "did you mean plans?"),
    (lambda d: d["serves"]["failures"].update(invaild={}), ("serves", "failures", "invaild"), "did you mean invalid?"),
    (lambda d: d["serves"]["commands"].update({False: d["serves"]["commands"]["ANY THING"]}), ("serves", "commands", "False"), "in quotes"),
    (lambda d: d["codes"]["plans"].update({3: "x"}), ("codes", "plans", "3"), "in quotes"),
    (lambda d: d.pop("serves"), (), "neither"),
])
def test_mistakes_are_named_with_the_nearest_right_name(change: Any, path: tuple[str, ...], told: str) -> None:
    wrong = data()
    change(wrong)
    with pytest.raises(DefinitionError) as caught:
        Definition.load(wrong)
    assert len(caught.value.problems) == 1, caught.value.problems
    assert (caught.value.problems[0][0], told in caught.value.problems[0][1]) == (path, True), caught.value.problems


def test_the_requests_named_here_exist() -> None:
    names = {operation.name for operation in OPERATIONS}
    assert {c.request for c in Definition.load(data()).serves.commands.values()} <= names
