"""The hot path and spyne's give the same: the same business object, or both a refusal."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from pydantic import BaseModel, ValidationError

from adapters.soap.header import Context
from core.messages.catalogue import OPERATIONS
from core.messages.failures import Fault
from core.orders.objects import SubmitProductOrder
from protocols.soap.by_spyne import SpyneReader
from protocols.soap.contract import Contract, Pair
from protocols.soap.decode import Decoder
from protocols.soap.encode import Encoder, escaped
from protocols.soap.faults import SoapError
from protocols.soap.shapes import Kind, Member, Record, Simple

CONTRACT = Contract([Pair(o.request, o.reply) for o in OPERATIONS], Context, Fault)
MODELS = {pair.name: pair.request for pair in CONTRACT.pairs}
DECODER, SPYNE, ENCODER = Decoder(CONTRACT), SpyneReader(CONTRACT), Encoder(CONTRACT)

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=70)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))])
VALUES = {
    Kind.STRING: TEXT.map(escaped),
    Kind.INT: st.integers(-5, 1200).map(str) | st.sampled_from(["+7", " 3 ", "007", "x", "", "1.0", "9" * 30]),
    Kind.LONG: st.integers(-5, 2**40).map(str),
    Kind.DECIMAL: st.decimals(-10, 10**7, places=2).map(lambda d: format(Decimal(d), "f"))
    | st.sampled_from(["1e3", "-0.0", " 5.50 ", ".5", "5."]),
    Kind.DOUBLE: st.floats().map(str),
    Kind.BOOLEAN: st.sampled_from(["true", "false", "1", "0", " true ", "TRUE", ""]),
    Kind.DATE: st.dates().map(str),
    Kind.DATE_TIME: st.datetimes(timezones=ZONES).map(datetime.isoformat)
    | st.sampled_from(["2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "soon", "2026-01-01T00:00:00.1234567Z", " 2026-01-01T00:00:00Z "]),
    Kind.BINARY: st.binary(max_size=9).map(lambda b: b64encode(b).decode()),
}


@st.composite
def contents(draw: Any, shape: Record | Simple) -> str:
    """What stands inside an element of this shape: mostly right, sometimes not."""
    if isinstance(shape, Simple):
        if shape.values and draw(st.integers(0, 9)):
            return draw(st.sampled_from(shape.values))
        return draw(VALUES[shape.kind])
    text = ""
    for member in shape.members:
        text += "".join(draw(element(member)) for _ in range(draw(counts(member))))
    if not draw(st.integers(0, 30)):
        text += "<surplus/>"
    return text


def counts(member: Member) -> st.SearchStrategy[int]:
    usual = st.integers(member.least, min(member.most or 2, 2) if member.most != 1 else 1)
    return usual if not member.least else st.integers(0, 20).flatmap(lambda n: st.just(0) if n == 0 else usual)


@st.composite
def element(draw: Any, member: Member) -> str:
    return f"<{member.name}>{draw(contents(member.type))}</{member.name}>"


@st.composite
def payloads(draw: Any) -> str:
    name = draw(st.sampled_from(sorted(MODELS)))
    return f'<{name} xmlns="urn:uip:1">{draw(contents(CONTRACT.shapes.of(MODELS[name])))}</{name}>'


def outcome(name: str, read: Any) -> BaseModel | str:
    try:
        return MODELS[name].model_validate(read())
    except SoapError as error:
        return error.code
    except ValidationError:
        return "Client.Invalid"


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(payloads())
def test_both_paths_make_the_same_of_every_request(text):
    payload = etree.fromstring(text)
    name = etree.QName(payload.tag).localname
    slow = outcome(name, lambda: SPYNE.fields(etree.fromstring(text))[1])
    fast = outcome(name, lambda: DECODER.fields(payload, text.encode()))
    assert fast == slow


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(payloads())
def test_what_is_accepted_is_encoded_and_read_again_as_the_same(text):
    payload = etree.fromstring(text)
    made = outcome(etree.QName(payload.tag).localname, lambda: DECODER.fields(payload, text.encode()))
    if isinstance(made, BaseModel):
        again = ENCODER.element(made)
        assert type(made).model_validate(DECODER.fields(etree.fromstring(again), again)) == made


def test_both_paths_take_a_usual_order():
    """So that the property does not hold for want of anything accepted."""
    text = ENCODER.element(SubmitProductOrder(externalId="E", relatedParty={"id": "C", "name": "Änn <&"}, productOrderItem=[
        {"productOffering": "o", "productCharacteristic": [{"name": "n", "value": ""}, {"name": "m", "value": "v"}]}] * 2,
        requestedStartDate="2099-01-01T00:00:00+01:00", priority=3))
    fast = outcome("SubmitProductOrder", lambda: DECODER.fields(etree.fromstring(text), text))
    assert isinstance(fast, SubmitProductOrder)
    assert fast == outcome("SubmitProductOrder", lambda: SPYNE.fields(etree.fromstring(text))[1])


def test_an_unknown_operation_is_unknown_on_both():
    payload = etree.fromstring('<NoSuch xmlns="urn:uip:1"/>')
    for read in (DECODER.operation, SPYNE.fields):
        with pytest.raises(SoapError) as caught:
            read(payload)
        assert caught.value.code == "Client.UnknownOperation"
