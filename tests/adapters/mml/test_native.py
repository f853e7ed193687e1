"""Native commands: every operation's request there and back, every reply back from its report, over both framings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.mml import native, replies
from core.messages.base import BusinessObject, Characteristic
from core.messages.catalogue import OPERATIONS, Catalogue, Operation
from core.messages.failures import Failure, Kind
from core.orders.objects import ProductOrder, ProductOrderItemRequest, SubmitProductOrder
from protocols.base import LocalProtocolError
from protocols.mml import Command, Dialect, MmlClientCodec, MmlServerCodec, Report
from tests.adapters.mml.objects import TEXT, WORDS, characteristics, objects

DIALECTS = {name: Dialect.load(yaml.safe_load((Path(__file__).parents[3] / f"config/site/dialects/{name}.yaml").read_text()))
            for name in ("huawei-text", "framed")}
CATALOGUE = Catalogue(o.name for o in OPERATIONS)
SETTINGS = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def command(text: str) -> Command:
    (event,) = MmlServerCodec(DIALECTS["huawei-text"]).receive_data(text.encode())
    assert isinstance(event, Command)
    return event


def parse(text: str) -> Any:
    return native.parse(command(text), CATALOGUE)


def refused(text: str) -> Failure:
    with pytest.raises(Failure) as caught:
        parse(text)
    return caught.value


def with_characteristics(request: BusinessObject, values: tuple[Characteristic, ...]) -> BusinessObject:
    place = native._form(type(request)).rest
    assert place
    if len(place) == 1:
        return request.model_copy(update={place[0]: values})
    (item,) = getattr(request, place[0])
    return request.model_copy(update={place[0]: (item.model_copy(update={place[1]: values}),)})


@SETTINGS
@given(operation=st.sampled_from(OPERATIONS), framing=st.sampled_from(sorted(DIALECTS)), data=st.data())
def test_a_request_comes_back_from_its_command(operation: Operation, framing: str, data: st.DataObject) -> None:
    request = data.draw(objects(operation.request, TEXT))
    if native._form(operation.request).rest is not None:
        request = with_characteristics(request, data.draw(characteristics(operation.request)))
    try:
        said = native.pack(request, "K-1")
    except LocalProtocolError:
        assert any("&" in v or not v for v in getattr(request, "disputedItem", ()))
        return
    codec = MmlClientCodec(DIALECTS[framing])
    (heard,) = MmlServerCodec(DIALECTS[framing]).receive_data(codec.send(said))
    assert isinstance(heard, Command)
    assert native.parse(heard, CATALOGUE) == request
    assert native.message_id(heard) == "K-1"


@SETTINGS
@given(operation=st.sampled_from(OPERATIONS), framing=st.sampled_from(sorted(DIALECTS)), data=st.data())
def test_nothing_of_a_reply_is_lost_in_its_report(operation: Operation, framing: str, data: st.DataObject) -> None:
    reply = data.draw(objects(operation.reply, WORDS, items=3))
    told = replies.report(reply, Command("LST X", raw="LST X"), joint="_" if framing == "framed" else ".")
    (heard,) = MmlClientCodec(DIALECTS[framing]).receive_data(MmlServerCodec(DIALECTS[framing]).send(told))
    assert isinstance(heard, Report)
    assert replies.read_object(heard, operation.reply) == reply


ORDER = 'ADD ORDER:EXTID="M-1",CUSTID="C2",CUSTNAME="Bo Chan",OFFER="mobile-basic",MSISDN="4670000001",MSGID="K";'


def test_an_order_as_a_person_types_it() -> None:
    order = parse(ORDER)
    assert isinstance(order, SubmitProductOrder)
    assert (order.relatedParty.id, order.relatedParty.role) == ("C2", "customer")
    (item,) = order.productOrderItem
    assert (item.id, item.action, item.quantity) == ("1", "add", 1)
    assert item.productCharacteristic == (Characteristic(name="MSISDN", value="4670000001"),)


def test_labels_are_the_objects_field_names() -> None:
    order = ProductOrder.model_validate({
        "id": "PO1", "href": "/x", "externalId": "E", "state": "completed", "orderDate": "2026-03-15T12:00:00Z",
        "relatedParty": {"id": "C", "name": "Ann"}, "productOrderItem": [
            {"id": str(n), "action": "add", "quantity": 1, "productOffering": "o", "state": "completed",
             "productCharacteristic": [{"name": "MSISDN", "value": f"4{n}"}]} for n in (1, 2)],
        "stateChange": [{"state": "completed", "changeDate": "2026-03-15T12:00:00Z", "reason": "all done"}]})
    told = replies.report(order, Command("LST ORDER", raw='LST ORDER:ORDERID="PO1"'))
    text = MmlServerCodec(DIALECTS["huawei-text"]).send(told).decode()
    assert "  state  =  completed\r\n" in text
    assert "relatedParty.name  =  Ann\r\n" in text
    assert dict(told.tables)["productOrderItem.productCharacteristic"][1] == {"#": "2", "name": "MSISDN", "value": "42"}
    (heard,) = MmlClientCodec(DIALECTS["huawei-text"]).receive_data(text.encode())
    assert isinstance(heard, Report)
    assert replies.read_object(heard, ProductOrder) == order


def test_an_amount_is_money_in_the_default_currency_or_its_own() -> None:
    ask = 'CHK CREDIT:CUSTID="C",CUSTNAME="Ann",AMOUNT="10.00"'
    assert parse(ask + ";").amount.model_dump(mode="json") == {"unit": "EUR", "value": "10.00"}
    assert parse(ask + ',CURRENCY="SEK";').amount.unit == "SEK"
    assert parse(ask + ',UNIT="SEK";').amount.unit == "SEK"
    assert "given twice" in refused(ask + ',UNIT="SEK",CURRENCY="SEK";').message


def test_valueless_names_and_values_in_any_case() -> None:
    assert parse('CHK SERVICE:OFFER="o",RESERVE;').reserve is True
    assert parse(ORDER.replace("MSGID", "ACTION=DELETE,MSGID")).productOrderItem[0].action == "delete"


@pytest.mark.parametrize(("text", "names", "field"), [
    ('LST ORDER:ORDRID="1";', ("ORDRID", "did you mean ORDERID", "EXTID"), "ORDRID"),
    ('LST ORDER:ORDERID="1",ORDERID="2";', ("ORDERID", "twice"), "ORDERID"),
    (ORDER.replace("EXTID", "EXTERN"), ("EXTID", "is missing"), "externalId"),
    (ORDER.replace('OFFER="mobile-basic",', ""), ("OFFER", "is missing"), "productOrderItem[0].productOffering"),
    (ORDER.replace("MSGID", "QTY=0,MSGID"), ("QTY", "1 or more"), "productOrderItem[0].quantity"),
    (ORDER.replace("4670000001", "4" * 600), ("MSISDN", "512"), "productOrderItem[0].productCharacteristic[0].value"),
    ('CNL ORDER:ORDERID="1",REASON="";', ("REASON", "must not be empty"), "cancellationReason"),
    ('CHK CREDIT:CUSTID="C",CUSTNAME="Ann",AMOUNT="ten";', ("AMOUNT", "must be a number"), "amount.value"),
])
def test_a_refusal_names_the_parameter_and_what_is_allowed(text: str, names: tuple[str, ...], field: str) -> None:
    failure = refused(text)
    assert failure.kind is Kind.INVALID
    assert all(name in failure.message for name in names), failure.message
    assert failure.field == field


def test_an_unknown_command() -> None:
    assert refused("FLY MOON:;").kind is Kind.UNKNOWN_OPERATION


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_cannot_be_one(key: str) -> None:
    with pytest.raises(Failure) as caught:
        native.message_id(Command("ADD ORDER", (("MSGID", key),)))
    assert caught.value.kind is Kind.INVALID


def test_what_a_command_cannot_say_is_not_sent() -> None:
    item = ProductOrderItemRequest(productOffering="o")
    order = parse(ORDER)
    with pytest.raises(LocalProtocolError, match="one of a list"):
        native.pack(order.model_copy(update={"productOrderItem": (item, item)}))
    for name in ("msisdn", "OFFER", "MSGID"):
        odd = item.model_copy(update={"productCharacteristic": (Characteristic(name=name, value="1"),)})
        with pytest.raises(LocalProtocolError, match="characteristic"):
            native.pack(order.model_copy(update={"productOrderItem": (odd,)}))


def test_a_refusal_travels_back_as_the_same_failure() -> None:
    failure = Failure(Kind.CONFLICT, "same key, other body", "externalId")
    failure.correlation_id = "C-1"
    told = replies.refusal(failure, Command("ADD ORDER", raw="ADD ORDER:..."))
    assert told.retcode == "1201"
    assert told.fields["correlationId"] == "C-1"
    back = replies.failure_of(told)
    assert back is not None
    assert (back.kind, back.message, back.field) == (failure.kind, failure.message, failure.field)
