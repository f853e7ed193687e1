"""Records between a plain socket and a listener, as netcat would send them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from pytest_twisted import ensureDeferred as async_test

from adapters.drivers import OutcomeUnknown
from protocols.mml import Command, Dialect, Report
from tests.adapters.mml.bed import DIALECTS, Bed, Peer, pause
from tests.adapters.mml.elements import Pair

FILE = """
protocol: shop
transport: mml
dialect: records-json
serves:
  success: {code: "0", text: DONE}
  failures: {invalid: {code: "77", text: "{field}: {message}"}}
  commands:
    order:
      request: SubmitProductOrder
      takes:
        externalId: {from: $ref, required: true}
        relatedParty.id: {from: $buyer.number, required: true}
        relatedParty.name: {from: $buyer.name}
        productOrderItem:
          list:
            each: $lines
            fields:
              id: {from: $index}
              action: {from: add}
              quantity: {from: $item.count, type: integer, default: 1}
              productOffering: {from: $item.plan, required: true}
      answer:
        fields: {number: {from: $id}, buyer.name: {from: $relatedParty.name}}
        tables: {lines: {each: $productOrderItem, fields: {line: {from: $item.id}, state: {from: $item.state}}}}
"""


async def said(peer: Peer, data: str | bytes, end: bytes = b"\n") -> str:
    peer.send(data)
    await peer.until(lambda: end in peer.buffer)
    answer, _, peer.buffer = peer.buffer.partition(end)
    return (answer + end).decode()


@async_test
async def test_delimited_by_hand() -> None:
    async with Bed("records-delimited") as bed:
        peer = await bed.peer()
        assert "|1101|" in await said(peer, "LST ORDER|1|ORDERID=PO1\n")
        assert (await said(peer, "LOGIN|2|crm|wrong\n")).startswith("LOGIN|2|1101|")
        assert await said(peer, "LOGIN|3|crm|crm-secret\r\n") == "LOGIN|3|0|success\n"
        assert await said(peer, "PING\n") == "PONG\n"
        row = await said(peer, "LST ORDER|4|ORDERID=PO1\n")
        assert row.startswith("ROW|4|productOrderItem|id=1|")
        answer = (await said(peer, "")).split("|")
        assert (answer[:4], "state=completed" in answer) == (["LST ORDER", "4", "0", "success"], True)
        assert "|1202|no such order|" in await said(peer, "LST ORDER|5|ORDERID=missing\n")
        assert (await said(peer, "|6\n")).startswith("ERROR|6|1001|a record has no KIND")
        assert "|1003|" in await said(peer, "FLY|7\n")
        assert await said(peer, "LOGOUT|8\n") == "LOGOUT|8|0|success\n"
        assert [envelope.body.id for envelope in bed.core.asked] == ["PO1", "missing"]


@async_test
async def test_xml_by_hand_with_a_numbered_session() -> None:
    async with Bed("records-xml") as bed:
        peer = await bed.peer()
        end = b"Response>"
        login = await said(peer, "<LOGIN ref='1'><USER>crm</USER><PASSWORD>crm-secret</PASSWORD></LOGIN>", b"/>")
        assert login.startswith('<LOGINResponse ref="1" session="')
        number = login.split('session="')[1][:8]
        assert 'result="1101"' in await said(peer, "<LSTORDER ref='2' session='12345678'><ORDERID>PO1</ORDERID></LSTORDER>", end)
        peer.send(f"\n<?xml version='1.0'?><LSTORDER ref='3' session='{number}'><ORDER")
        answer = await said(peer, "ID>PO1</ORDERID></LSTORDER>", end)
        assert "<productOrderItem><id>1</id>" in answer
        assert f'ref="3" session="{number}" result="0" text="success"' in answer
        assert 'result="1001"' in await said(peer, "<a><b></a></b>", b"/Fault>")
        peer.send("<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>")
        await peer.end()
        assert b"document type declaration" in peer.buffer


@async_test
async def test_json_with_fields_inside_fields_through_a_protocol_file() -> None:
    async with Bed(protocol="shop", protocols={"shop": yaml.safe_load(FILE)}) as bed:
        peer = await bed.peer()

        async def ask(command: str, **fields: Any) -> dict[str, Any]:
            answer: dict[str, Any] = json.loads(await said(peer, json.dumps({"command": command, "id": "7", "fields": fields}) + "\n"))
            return answer

        login = await ask("LOGIN", USER="crm", PASSWORD="crm-secret")
        assert login == {"command": "LOGIN", "id": "7", "retcode": "0", "description": "DONE"}
        answer = await ask("order", ref="R1", buyer={"number": "C1", "name": "Ann"}, lines=[{"plan": "a"}, {"plan": "b", "count": 2}])
        assert (answer["retcode"], answer["fields"]) == ("0", {
            "number": "R1", "buyer": {"name": "Ann"}, "lines": [{"line": "1", "state": "completed"}]})
        (asked,) = bed.core.asked
        assert [(i.productOffering, i.quantity) for i in asked.body.productOrderItem] == [("a", 1), ("b", 2)]
        assert (await ask("order", ref="R2", buyer={"name": "Ann"}, lines=[{"plan": "a"}]))["description"].startswith("buyer.number: ")
        assert json.loads(await said(peer, "{\n"))["retcode"] == "1001"


@async_test
async def test_fixed_widths_by_hand() -> None:
    async with Bed("records-fixed") as bed:
        kind = Dialect.load(DIALECTS["records-fixed"]).record.layouts["*"][0].width  # type: ignore[union-attr]
        peer = await bed.peer()
        login = await said(peer, "LOGIN".ljust(kind) + "00000001" + "crm".ljust(16) + "crm-secret\r\n")
        assert login.startswith("LOGIN".ljust(kind) + "000000010000success ")
        assert await said(peer, "PING\r\n") == "PING".ljust(kind) + "\r\n"
        assert (await said(peer, "FLY".ljust(kind) + "00000002\n"))[kind:kind + 12] == "000000021003"


@async_test
async def test_answers_found_by_their_order_and_half_an_answer_is_none() -> None:
    def script(command: Command) -> Report | bytes:
        if command.name == "LST SUB" and dict(command.parameters)["IMSI"] == "2":
            return b'{"command":"LST SUB","retcode":"0","description":"Operation succ'
        return Report("0", "done", {"IMSI": dict(command.parameters).get("IMSI", "")}, (), command.name)

    async with Pair("records-json", script, session={"correlation": "order", "window": 1}) as pair:
        await pair.up()
        answers = [await pair.ask(IMSI="1"), await pair.ask(IMSI="3")]
        assert [answer["fields"]["IMSI"] for answer in answers] == ["1", "3"]
        asked = pair.ask(IMSI="2")
        await pair.until(lambda: len(pair.element.heard) == 4)
        await pause(0.01)
        pair.element.peers[0].transport.loseConnection()
        with pytest.raises(OutcomeUnknown):
            await asked


@async_test
async def test_a_driven_answer_may_have_fields_inside_fields() -> None:
    answer = '{"command":"%s","id":"%s","retcode":"0","fields":{"sub":{"state":"ACTIVE"},"l":[1,2]}}\n'
    async with Pair("records-json", lambda command: (answer % (command.name, command.transaction)).encode()) as pair:
        await pair.up()
        assert (await pair.ask(IMSI="1"))["fields"] == {"sub": {"state": "ACTIVE"}, "l": ["1", "2"]}
        asked = pair.client.request({"command": "ADD", "fields": {"sub": {"plan": "a", "on": True, "none": None}, "lines": [{"n": 1}]}})
        await asked
        assert [getattr(v, "value", v) for _, v in pair.element.heard[-1].parameters] == [{"plan": "a", "on": "true"}, [{"n": "1"}]]
