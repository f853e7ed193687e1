"""The contract: deterministic, true to the models, and read by others' tools."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
from lxml import etree
from pydantic import AwareDatetime, BaseModel, Field

from core.messages.catalogue import OPERATIONS
from core.messages.failures import Fault
from protocols.soap.contract import Contract, Pair
from protocols.soap.decode import Decoder
from protocols.soap.encode import Encoder
from protocols.soap.faults import SoapError
from protocols.soap.patterns import xsd_pattern
from protocols.soap.shapes import Shapes

XS = "{http://www.w3.org/2001/XMLSchema}"
ROOT = Path(__file__).parents[3]


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    name: str


class Everything(BaseModel):
    """One of each kind."""

    text: Annotated[str, Field(min_length=1, max_length=9, pattern=r"^[a-z&<]*$")]
    colour: Colour
    count: Annotated[int, Field(ge=-5, le=70)] = 1
    big: int = 2**40
    amount: Annotated[Decimal, Field(max_digits=9, decimal_places=2)]
    ratio: float = 0.5
    yes: bool = True
    day: date | None = None
    moment: AwareDatetime | None = None
    picture: bytes | None = None
    part: Part | None = None
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=3)]
    words: tuple[str, ...] = ()


class Context(BaseModel):
    idempotencyKey: str | None = None


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract([Pair(Everything, Part)], Context, Fault)


WHOLE = Everything(text="a&<", colour=Colour.BLUE, count=-5, amount=Decimal("1E+3"), ratio=float("inf"), yes=False, day=date(2026, 2, 3),
                   moment=datetime(2026, 1, 2, 3, 4, 5, 678, UTC), picture=b"\0\xff", part=Part(name="p"),
                   parts=(Part(name=""), Part(name="]]>")), words=("x", "y"))


def test_what_is_encoded_is_decoded_to_the_same(contract):
    element = Encoder(contract).element(WHOLE)
    assert Everything.model_validate(Decoder(contract).fields(etree.fromstring(element), element)) == WHOLE


@pytest.mark.parametrize(("old", "new", "field"), [
    ("<text>a&amp;&lt;<", "<text>A<", "text"), ("<text>a&amp;&lt;<", "<text><", "text"), (">blue<", ">green<", "colour"),
    (">-5<", ">-6<", "count"), (">-5<", ">1.0<", "count"), (">1000<", ">1.001<", "amount"), (">1000<", ">12345678901<", "amount"),
    ("<yes>false<", "<yes>no<", "yes"), (">2026-02-03<", ">2026-02-30<", "day"), ("<name>]]&gt;</name>", "", "parts[1].name"),
    ("<words>x</words>", "<words>x</words><wordz/>", "wordz"), ("AP8=", "!", "picture"),
])
def test_what_the_schema_forbids_is_invalid_and_named(contract, old, new, field):
    text = Encoder(contract).element(WHOLE).decode()
    assert old in text
    bad = text.replace(old, new).encode()
    with pytest.raises(SoapError) as caught:
        Decoder(contract).fields(etree.fromstring(bad), bad)
    assert (caught.value.code, caught.value.field) == ("Client.Invalid", field)


def test_cardinalities_facets_and_nothing_nillable(contract):
    root = etree.fromstring(contract.wsdl("http://x/soap"))
    elements = {e.get("name"): e for e in root.find(f".//{XS}complexType[@name='Everything']").iter(f"{XS}element")}
    assert list(elements) == list(Everything.model_fields)
    assert (elements["text"].get("minOccurs", "1"), elements["text"].get("maxOccurs", "1")) == ("1", "1")
    assert elements["count"].get("minOccurs") == "0"
    assert (elements["parts"].get("minOccurs", "1"), elements["parts"].get("maxOccurs")) == ("1", "3")
    assert (elements["words"].get("minOccurs"), elements["words"].get("maxOccurs")) == ("0", "unbounded")
    assert elements["moment"].get("type") == "xs:dateTime"
    assert elements["big"].get("type") == "xs:long"
    assert b"nillable" not in contract.wsdl("http://x/soap")
    assert [e.get("value") for e in root.find(f".//{XS}simpleType[@name='Colour']").iter(f"{XS}enumeration")] == ["blue", "red"]


def test_the_address_is_escaped(contract):
    assert b'location="http://x/&amp;&quot;&lt;"' in contract.wsdl('http://x/&"<')


def test_the_wsdl_is_the_same_in_every_process():
    code = ("from core.messages.catalogue import OPERATIONS\nfrom core.messages.failures import Fault\n"
            "from adapters.soap.header import Context\nfrom protocols.soap.contract import Contract, Pair\nimport hashlib\n"
            "c = Contract([Pair(o.request, o.reply) for o in OPERATIONS], Context, Fault)\n"
            "print(hashlib.sha256(c.wsdl('http://x/')).hexdigest())")
    seen = {subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
                           capture_output=True, text=True, check=True, cwd=ROOT).stdout for seed in ("1", "2")}
    assert len(seen) == 1


def test_every_operation_of_the_catalogue_can_be_said():
    shapes = Shapes()
    for operation in OPERATIONS:
        shapes.of(operation.request)
        shapes.of(operation.reply)


def test_what_cannot_be_said_is_named():
    class Odd(BaseModel):
        either: int | str

    with pytest.raises(TypeError, match=r"Odd\.either"):
        Shapes().of(Odd)


@pytest.mark.parametrize(("python", "xsd"), [
    (r"^[A-Z]{3}$", "[A-Z]{3}"), (r"^[^\x00-\x1f\x7f]*$", r"[^\t\n\r]*"), (r"^\d+-[\w.]+$", r"\d+-[\w\.]+"), ("abc", None),
    (r"^a|b$", None), (r"^(?=a)b$", None), (r"^a*?$", None), (r"^\bx$", None)])
def test_patterns(python, xsd):
    assert xsd_pattern(python) == xsd
