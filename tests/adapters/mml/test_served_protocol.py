"""A listener whose commands, fields and codes are those of a protocol file."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from pytest_twisted import ensureDeferred as async_test

from adapters.mml.language import fields_of
from adapters.mml.settings import ListenerSettings
from protocols.mml import Command, Dialect, MmlClientCodec
from tests.adapters.mml.bed import DIALECTS, Bed

FILE = """
protocol: legacy-crm
transport: mml
dialect: huawei-text
serves:
  success: {code: "00", text: DONE}
  failures:
    invalid: {code: "77", text: "{field}: {message}"}
    authentication: {code: "78", text: who are you}
    unknownOperation: {code: "79"}
    malformed: {code: "76", text: what}
  commands:
    NEW SUBSCR:
      request: SubmitProductOrder
      context: {idempotencyKey: {from: $REF}}
      takes:
        externalId: {from: $REF, required: true}
        relatedParty.id: {from: $CUST, required: true}
        relatedParty.name: {from: $CUST}
        productOrderItem:
          list:
            of:
              - id: {from: "1"}
                action: {from: add}
                quantity: {from: $QTY, type: integer, default: 1}
                productOffering: {from: $PLAN, required: true, codes: {"01": mobile-basic}}
      answer:
        fields: {ORDNO: {from: $id}, STATUS: {from: $state, codes: {completed: C}}}
        tables: {ITEMS: {each: $productOrderItem, fields: {ITEM: {from: $item.id}, STATE: {from: $item.state}}}}
      outcomes:
        - {when: [{value: $id, equals: refuse-me}], code: "80", text: "refused {id}"}
    SHOW SUBSCR:
      request: GetProductOrder
      takes: {id: {from: $ORDNO}}
"""
GOOD = "NEW SUBSCR:REF=R1,CUST=C1,PLAN=01;"


def bed(**settings: Any) -> Bed:
    data = yaml.safe_load(FILE)
    data["serves"].update(settings.pop("serves", {}))
    data.update(settings.pop("file", {}))
    return Bed(protocol="legacy-crm", protocols={"legacy-crm": data}, **settings)


def lines(answer: str) -> list[str]:
    return [line.strip() for line in answer.splitlines() if line.strip()]


@async_test
async def test_a_foreign_command_is_carried_out_and_answered_in_its_own_terms() -> None:
    async with bed() as made:
        peer = await made.peer()
        assert "RETCODE = 00  DONE" in await peer.ask('LGI:OPNAME="crm",PWD="crm-secret";')
        answer = lines(await peer.ask(GOOD))
        assert "RETCODE = 00  DONE" in answer
        assert {"ORDNO  =  R1", "STATUS  =  C", "ITEM  STATE", "1     completed"} <= set(answer)
        (asked,) = made.core.asked
        assert (asked.type, asked.body.productOrderItem[0].productOffering, asked.idempotency_key) == ("SubmitProductOrder", "mobile-basic",
                                                                                                       "R1")


@pytest.mark.parametrize(("command", "code", "told"), [
    ("NEW SUBSCR:REF=R1,CUST=C1,PLAN=09;", "77", "PLAN: must be one of 01"),
    ("NEW SUBSCR:REF=R1,CUST=C1,PLAN=01,QTY=0;", "77", "QTY: must be 1 or more"),
    ("NEW SUBSCR:REF=R1,CUST=C1,PLAN=01,PLAM=1;", "77", "did you mean PLAN"),
    ("NEW SUBSCR:REF=R1,REF=R2,CUST=C1,PLAN=01;", "77", "REF: must be a single value"),
    ("LST ORDER:ORDERID=1;", "79", "unknown command"),
    ("NEW SUBSCR:REF==;", "76", "what"),
    ("SHOW SUBSCR:ORDNO=missing;", "1202", "no such order"),
    ("NEW SUBSCR:REF=refuse-me,CUST=C1,PLAN=01;", "80", "refused refuse-me"),
])
@async_test
async def test_what_is_wrong_is_told_in_the_file_s_codes_and_names(command: str, code: str, told: str) -> None:
    async with bed() as made:
        peer = await made.peer()
        await peer.ask('LGI:OPNAME="crm",PWD="crm-secret";')
        answer = await peer.ask(command)
        assert f"RETCODE = {code} " in answer
        assert told in answer


@async_test
async def test_nobody_is_served_who_has_not_logged_in() -> None:
    async with bed() as made:
        peer = await made.peer()
        for command in (GOOD, 'LGI:OPNAME="crm",PWD="wrong";'):
            assert "RETCODE = 78  who are you" in await peer.ask(command)
        assert made.core.asked == []


@async_test
async def test_native_commands_are_let_through_where_the_file_says_so() -> None:
    async with bed(serves={"native": True}) as made:
        peer = await made.peer()
        await peer.ask('LGI:OPNAME="crm",PWD="crm-secret";')
        assert "RETCODE = 0  Operation succeeded" in await peer.ask("LST ORDER:ORDERID=1;")
        assert "RETCODE = 1202 " in await peer.ask("LST ORDER:ORDERID=missing;")
        assert "RETCODE = 00  DONE" in await peer.ask(GOOD)


@async_test
async def test_the_same_file_in_frames() -> None:
    async with bed(file={"dialect": "framed"}) as made:
        codec = MmlClientCodec(Dialect.load(DIALECTS["framed"]))
        peer = await made.peer()
        peer.send(codec.send(Command("LOGIN", (("USER", "crm"), ("PSWD", "crm-secret")), transaction="00000001")))
        (login,) = codec.receive_data(await peer.frame())
        assert login.retcode == "00"
        peer.send(codec.send(Command("NEW SUBSCR", (("REF", "R1"), ("CUST", "C1"), ("PLAN", "01")), session=login.session,
                                     transaction="00000002")))
        (answer,) = codec.receive_data(await peer.frame())
        assert (answer.retcode, answer.fields, answer.command) == ("00", {"ORDNO": "R1", "STATUS": "C"}, "NEW SUBSCR")


@pytest.mark.parametrize(("change", "told"), [
    ({"serves": None, "operations": {"x": {"send": [{"command": "A"}], "repeatable": True}}}, "serves nothing"),
    ({"serves": {"commands": {"A": {"request": "NoSuchThing"}}}}, "NoSuchThing, which is not offered"),
])
def test_a_file_that_cannot_be_served_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        bed(file=change)


def test_a_parameter_that_stands_several_times_is_a_list() -> None:
    command = Command("X", (("A", "1"), ("B", "2"), ("A", "3"), ("A", "4")))
    assert fields_of(command) == {"A": ["1", "3", "4"], "B": "2"}


def test_dialect_and_protocol_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="names the dialect"):
        ListenerSettings.model_validate({"protocol": "x", "dialect": "framed"})
