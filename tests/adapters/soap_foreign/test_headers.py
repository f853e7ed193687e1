"""Partners that want a name and a password in a header of their own: asked so, and let in so."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from zeep.exceptions import Fault

from core.credit.objects import BureauVerdict
from plugins.api import Failure
from protocols.mapping import Definition, DefinitionError
from protocols.soap.foreign import check
from tests.adapters.soap_foreign.bed import BUREAU, REPORT, SITE, connector, http, peer, question, simulated
from tests.adapters.soap_foreign.partner import site
from tests.adapters.soap_foreign.test_served import ORDER, client, serving

ELEMENT = ('<xs:element name="Auth"><xs:complexType><xs:sequence><xs:element name="user" type="xs:string"/>'
           '<xs:element name="password" type="xs:string"/><xs:element name="at" type="xs:string" minOccurs="0"/>'
           "</xs:sequence></xs:complexType></xs:element>")
HEADERS = {"Auth.user": {"from": "$user", "required": True}, "Auth.password": {"from": "$secret", "required": True}}
AT = {"Auth.at": {"from": "$now", "type": "datetime", "write": "%Y%m%d%H%M%S"}}


def bureau(folder: Path, **headers: Any) -> dict[str, Any]:
    """The bureau, with a header that says who asks."""
    (folder / "protocols/wsdl").mkdir(parents=True)
    text = (SITE / "protocols/wsdl/credit-bureau.wsdl").read_text()
    text = text.replace('<xs:element name="InquiryFault">', ELEMENT + '<xs:element name="InquiryFault">')
    message = '<wsdl:message name="Auth"><wsdl:part name="auth" element="cb:Auth"/></wsdl:message>'
    text = text.replace("<wsdl:portType", f"{message}<wsdl:portType")
    text = text.replace('<wsdl:input><soap:body use="literal"/>',
                        '<wsdl:input><soap:header message="cb:Auth" part="auth" use="literal"/><soap:body use="literal"/>')
    (folder / "protocols/wsdl/credit-bureau.wsdl").write_text(text)
    data: dict[str, Any] = copy.deepcopy(BUREAU)
    data["soap"]["headers"] = HEADERS | headers
    return data


@pytest_twisted.ensureDeferred
async def test_a_partner_is_told_who_asks_in_its_own_header(tmp_path: Path) -> None:
    data = bureau(tmp_path)
    async with simulated(reactor, protocol=data, site=tmp_path) as (port, _):
        asking = connector(reactor, data, tmp_path, host="127.0.0.1", port=port, user="uip", secret="uip-secret")
        assert (await asking.perform(question())).verdict is BureauVerdict.ACCEPT  # type: ignore[attr-defined]
        wrong = connector(reactor, data, tmp_path, host="127.0.0.1", port=port, user="uip", secret="wrong")
        with pytest.raises(Failure, match="1102"):
            await wrong.perform(question())
        await asking.stop()
        await wrong.stop()


@pytest_twisted.ensureDeferred
async def test_the_secret_stands_there_and_nowhere_else(tmp_path: Path) -> None:
    async with peer(reactor, lambda p: p.transport.write(http(REPORT))) as (port, seen):
        asking = connector(reactor, bureau(tmp_path, **AT), tmp_path, host="127.0.0.1", port=port, user="uip", secret="uip-secret")
        await asking.perform(question())
        await asking.stop()
    assert re.search(rb"<ns0:user>uip</ns0:user>\s*<ns0:password>uip-secret</ns0:password>\s*<ns0:at>20\d{12}</ns0:at>", seen[0])
    assert b"Authorization" not in seen[0]


@pytest_twisted.ensureDeferred
async def test_the_header_can_tell_which_message_it_belongs_to(tmp_path: Path) -> None:
    """As MTOSI's does."""
    async with peer(reactor, lambda p: p.transport.write(http(REPORT))) as (port, seen):
        data = bureau(tmp_path, **{"Auth.at": {"from": "{command}Request at {now}"}})
        asking = connector(reactor, data, tmp_path, host="127.0.0.1", port=port, user="uip", secret="uip-secret")
        await asking.perform(question())
        await asking.stop()
    assert re.search(rb"<ns0:at>GetCreditReportRequest at 20[0-9-]{8}T[0-9:.]+\+00:00</ns0:at>", seen[0])


@pytest_twisted.ensureDeferred
async def test_a_password_made_of_name_secret_and_time(tmp_path: Path) -> None:
    """As Parlay X gateways want it."""
    async with peer(reactor, lambda p: p.transport.write(http(REPORT))) as (port, seen):
        made = {"Auth.password": {"from": "{user}{secret}{stamp}", "apply": ["md5"]}, "Auth.at": {"from": "$stamp"}}
        asking = connector(reactor, bureau(tmp_path, **made), tmp_path, host="127.0.0.1", port=port, user="uip", secret="uip-secret")
        await asking.perform(question())
        await asking.stop()
    password, stamp = re.findall(rb"<ns0:password>([0-9a-f]{32})</ns0:password><ns0:at>(\d{14})</ns0:at>", seen[0])[0]
    assert password.decode() == hashlib.md5(b"uipuip-secret" + stamp, usedforsecurity=False).hexdigest()
    assert b"Authorization" not in seen[0]


def test_what_the_header_has_not_is_told(tmp_path: Path) -> None:
    data = bureau(tmp_path)
    data["soap"]["headers"]["Auth.pasword"] = data["soap"]["headers"].pop("Auth.password")
    assert check(Definition.load(data), tmp_path / "protocols")[0] == [
        (("soap", "headers", "Auth.pasword"), "Auth has no pasword; did you mean password?"),
        (("soap", "headers"), "Auth.password is missing: the contract needs it")]
    data["soap"]["headers"] = {"Auth.user": {"from": "$usr"}}
    with pytest.raises(DefinitionError, match="a header has no usr; did you mean user"):
        Definition.load(data)


@asynccontextmanager
async def shop(folder: Path) -> AsyncIterator[Any]:
    def change(data: dict[str, Any]) -> None:
        wsdl = folder / "protocols/wsdl/shop.wsdl"
        wsdl.write_text(wsdl.read_text().replace('<xs:element name="Ticket" type="xs:string"/>', ELEMENT.replace('"Auth"', '"Ticket"')))
        data["soap"]["headers"] = {name.replace("Auth", "Ticket"): field for name, field in HEADERS.items()}

    async with serving(folder, change=change) as made:
        yield made


@pytest_twisted.ensureDeferred
async def test_a_partner_logs_in_by_its_own_header(tmp_path: Path) -> None:
    def partner(url: str) -> tuple[Any, str, str]:
        asking = client(url, plugins=[])
        placed = asking.service.PlaceOrder(**ORDER, _soapheaders={"Ticket": {"user": "crm", "password": "crm-secret"}})
        said = []
        for given in ({"Ticket": {"user": "crm", "password": "guess"}}, {}):
            with pytest.raises(Fault) as caught:
                asking.service.PlaceOrder(**ORDER, _soapheaders=given)
            said.append(caught.value.message)
        return placed, said[0], said[1]

    async with shop(tmp_path) as (url, gateway, _):
        placed, wrong, nobody = await deferToThread(partner, url)
    assert placed.orderNumber == "PO1"
    assert (wrong, nobody) == ("who are you", "who are you")
    assert len(gateway.calls) == 1


MTOP = ('<xs:element name="Receipt"><xs:complexType><xs:sequence><xs:element name="message" type="xs:string"/>'
        '<xs:element name="answers" type="xs:string"/></xs:sequence></xs:complexType></xs:element>')


def receipted(data: dict[str, Any], folder: Path) -> None:
    """The shop, with a header in each answer that says which message it is and which it answers, as MTOSI has it."""
    file = folder / "protocols/wsdl/shop.wsdl"
    text = file.read_text().replace('<xs:element name="Ticket"', MTOP + '<xs:element name="Ticket"')
    message = '<wsdl:message name="Receipt"><wsdl:part name="r" element="o:Receipt"/></wsdl:message>'
    text = text.replace("<wsdl:portType", f"{message}<wsdl:portType")
    header = '<soap:header message="o:Receipt" part="r" use="literal"/>'
    file.write_text(text.replace("<wsdl:output><soap:body", f"<wsdl:output>{header}<soap:body"))
    data["soap"]["reply_headers"] = {"Receipt.message": {"from": "{command}Response"}, "Receipt.answers": {"from": "{headers.Ticket}"}}


@pytest_twisted.ensureDeferred
async def test_an_answer_has_the_headers_that_the_contract_says(tmp_path: Path) -> None:
    def ask(url: str) -> Any:
        return client(url).service.PlaceOrder(**ORDER, _soapheaders={"Ticket": "T-1"})

    async with serving(tmp_path, change=lambda data: receipted(data, tmp_path)) as (url, _, _log):
        answer = await deferToThread(ask, url)
    assert (answer.header.r.message, answer.header.r.answers) == ("PlaceOrderResponse", "T-1")


def test_what_an_answers_header_has_not_is_told(tmp_path: Path) -> None:
    data = site(tmp_path)
    receipted(data, tmp_path)
    data["soap"]["reply_headers"].pop("Receipt.answers")
    data["soap"]["reply_headers"]["Receit.message"] = {"from": "x"}
    assert check(Definition.load(data), tmp_path / "protocols")[0] == [
        (("soap", "reply_headers", "Receit.message"), "the contract has no header Receit; did you mean Receipt?"),
        (("soap", "reply_headers"), "Receipt.answers is missing: the contract needs it")]
    data["soap"]["reply_headers"] = {"Receipt.message": {"from": "$comand"}}
    with pytest.raises(DefinitionError, match="an answer's header has no comand; did you mean command"):
        Definition.load(data)
