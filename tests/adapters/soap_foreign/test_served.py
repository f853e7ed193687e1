"""A partner's own contract, served: called by an independent toolkit (zeep, in a thread), and by hand."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import requests
import zeep
from requests.auth import HTTPBasicAuth
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from zeep.exceptions import Fault
from zeep.wsse import UsernameToken

from adapters.soap.listener import SoapListener
from adapters.soap.settings import SoapListenerSettings
from core.orders.objects import SubmitProductOrder
from plugins.api import Surroundings
from tests.adapters.soap.standin import NOW, Log, StandIn
from tests.adapters.soap_foreign.partner import site

ORDER = {"reference": "R-1", "buyer": {"id": "C1", "_value_1": "Ann Lee"}, "line": [{"plan": "BASIC"}, {"plan": "PLUS", "count": 2}]}


def started(folder: Path, data: dict[str, Any], **settings: Any) -> tuple[SoapListener, StandIn, Log]:
    gateway, log = StandIn(reactor), Log()
    around = Surroundings(reactor=reactor, site=folder, catalogue=gateway.catalogue, dialects={}, protocols={"shop": data}, log=log)
    model = SoapListenerSettings.model_validate({"port": 0, "partners": {"/shop/orders": "shop"}, **settings})
    return SoapListener("soap", model, gateway, around, lambda: NOW), gateway, log


@asynccontextmanager
async def serving(folder: Path, *, session: bool = False, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Any:
    data = site(folder, session=session)
    change(data)
    listener, gateway, log = started(folder, data)
    await listener.start()
    try:
        yield f"http://{listener.status()['address']}/shop/orders", gateway, log
    finally:
        await listener.stop()


def client(url: str, **how: Any) -> Any:
    session = requests.Session()
    if not how:
        session.auth = HTTPBasicAuth("crm", "crm-secret")
    return zeep.Client(f"{url}?wsdl", transport=zeep.Transport(session=session), **how)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("how", ["basic", "text", "digest"])
async def test_an_order_by_the_partners_own_contract(tmp_path: Path, how: str) -> None:
    def partner(url: str) -> Any:
        token = {"text": UsernameToken("crm", "crm-secret"),
                 "digest": UsernameToken("crm", "crm-secret", use_digest=True, nonce="n", created=NOW)}
        shop = client(url, **({} if how == "basic" else {"wsse": token[how]}))
        placed = shop.service.PlaceOrder(**ORDER)
        again = shop.service.PlaceOrder(**ORDER) if how != "digest" else placed  # zeep would use the same nonce
        return placed, again

    async with serving(tmp_path) as (url, gateway, _):
        placed, again = await deferToThread(partner, url)
    assert (placed.orderNumber, placed.status) == ("PO1", "OPEN")
    assert again.orderNumber == "PO1"
    session, request, context = gateway.calls[0]
    assert session.party == "crm"
    assert context.idempotency_key == "R-1"
    assert isinstance(request, SubmitProductOrder)
    assert [(i.productOffering, i.quantity) for i in request.productOrderItem] == [("mobile-basic", 1), ("mobile-plus", 2)]


@pytest_twisted.ensureDeferred
async def test_a_reply_is_packed_into_the_partners_shape(tmp_path: Path) -> None:
    def partner(url: str) -> Any:
        shop = client(url)
        shop.service.PlaceOrder(**ORDER)
        return shop.service.FindOrder(reference="R-1"), shop.service.FindOrder(orderNumber="gone")

    async with serving(tmp_path) as (url, _, _):
        found, missing = await deferToThread(partner, url)
    assert found.found is True
    assert found.order.orderNumber == "PO1"
    assert [(line.plan, line.count) for line in found.order.line] == [("mobile-basic", 1), ("mobile-plus", 2)]
    # A failure that the partner's contract has as an ordinary answer.
    assert missing.found is False
    assert missing.order is None


def post(url: str, body: str, **headers: str) -> tuple[int, str]:
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    envelope = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:o="urn:shop:orders">'
                f"{body}</e:Envelope>")
    connection.request("POST", f"/{path}", envelope.encode(), {"Content-Type": "text/xml", **headers})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


BASIC = {"Authorization": "Basic Y3JtOmNybS1zZWNyZXQ="}
PLACE = ('<e:Body><o:PlaceOrder><o:reference>{ref}</o:reference><o:buyer id="C1">Ann</o:buyer><o:line><o:plan>{plan}</o:plan></o:line>'
         "</o:PlaceOrder></e:Body>")


@pytest_twisted.ensureDeferred
async def test_failures_in_the_partners_words(tmp_path: Path) -> None:
    async with serving(tmp_path) as (url, gateway, _):
        status, text = await deferToThread(post, url, PLACE.format(ref="R-1", plan="WRONG"), **BASIC)
        assert status == 500
        assert "<faultcode>soap:Client</faultcode>" in text
        assert ":number>12</" in text
        assert ":why>not right</" in text
        assert ":where>line" in text
        status, text = await deferToThread(post, url, PLACE.format(ref="R-1", plan="BASIC"))
        assert status == 401
        assert ":number>13</" in text
        # What the contract's schema refuses never reaches the map; what is wrong is said without the value.
        status, text = await deferToThread(post, url, PLACE.format(ref="not-a-reference", plan="BASIC"), **BASIC)
        assert status == 500
        assert ":where>reference</" in text
        assert "not-a-reference" not in text
        assert not gateway.calls
        assert gateway.refusals == [("soap", "invalid"), ("soap", "authentication"), ("soap", "invalid")]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("body", "code"), [
    ("<e:Body><o:Nothing/></e:Body>", "soap:Client.UnknownOperation"),
    ("<e:Body/>", "soap:Client.Malformed"),
    ('<e:Header><x e:mustUnderstand="1"/></e:Header>' + PLACE.format(ref="R", plan="BASIC"), "soap:MustUnderstand"),
    ("<e:Body><o:Login><o:user>crm</o:user><o:password>crm-secret</o:password></o:Login></e:Body>", "soap:Client.UnknownOperation"),
])
async def test_what_the_contract_has_not_or_the_file_does_not_serve(tmp_path: Path, body: str, code: str) -> None:
    async with serving(tmp_path) as (url, _, _):
        status, text = await deferToThread(post, url, body, **BASIC)
        assert status == 500
        assert f"<faultcode>{code}</faultcode>" in text


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("body", "headers", "status", "told"), [
    (PLACE.format(ref="R-1", plan="BASIC"), {"Content-Type": "application/json"}, 415, "text/xml"),
    (PLACE.format(ref="R-1", plan="BASIC"), {"Content-Encoding": "br"}, 415, "gzip"),
    ("<e:Header><e:Body/></e:Header>" + PLACE.format(ref="R-1", plan="BASIC"), {}, 500, "a Body stands inside a header"),
    ("<?x y?>" + PLACE.format(ref="R-1", plan="BASIC"), {}, 500, "processing instructions"),
    ("<e:Body>" + "<a>" * 60 + "</a>" * 60 + "</e:Body>", {}, 500, "more than 40 elements inside one another"),
])
async def test_what_the_open_network_sends_is_refused_as_on_the_native_contract(
        tmp_path: Path, body: str, headers: dict[str, str], status: int, told: str) -> None:
    async with serving(tmp_path) as (url, gateway, _):
        got, text = await deferToThread(post, url, body, **BASIC, **headers)
        assert (got, told in text) == (status, True), text
        assert gateway.calls == []
        assert gateway.refusals == [("soap", "malformed")]


@pytest_twisted.ensureDeferred
async def test_a_gzipped_request_is_opened_within_its_bound(tmp_path: Path) -> None:
    def sent(url: str, text: bytes) -> requests.Response:
        headers = {"Content-Type": "text/xml", "Content-Encoding": "gzip", **BASIC}
        return requests.post(url, gzip.compress(text), timeout=10, headers=headers)

    envelope = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:o="urn:shop:orders">'
                f'{PLACE.format(ref="R-1", plan="BASIC")}</e:Envelope>')
    async with serving(tmp_path) as (url, gateway, _):
        assert (await deferToThread(sent, url, envelope.encode())).status_code == 200
        assert (await deferToThread(sent, url, envelope.encode() + b" " * 3_000_000)).status_code == 413
        assert len(gateway.calls) == 1


@pytest_twisted.ensureDeferred
async def test_a_mistake_inside_tells_nothing(tmp_path: Path) -> None:
    def other(data: dict[str, Any]) -> None:
        data["serves"]["commands"]["FindOrder"].update(request="CancelProductOrder")
        data["serves"]["commands"]["FindOrder"]["takes"] = {"id": {"from": "$orderNumber"}, "cancellationReason": {"from": "x"}}
        data["serves"]["commands"]["FindOrder"]["ignores"] = ["reference"]

    async with serving(tmp_path, change=other) as (url, _, log):
        status, text = await deferToThread(
            post, url, "<e:Body><o:FindOrder><o:orderNumber>1</o:orderNumber></o:FindOrder></e:Body>", **BASIC)
    assert status == 500
    assert "swordfish" not in text
    assert any(event == "a request failed inside" for event, _ in log.lines)


@pytest_twisted.ensureDeferred
async def test_the_partners_own_login(tmp_path: Path) -> None:
    def partner(url: str) -> Any:
        shop = client(url)
        try:
            shop.service.PlaceOrder(**ORDER)
        except Fault as fault:
            first = fault
        ticket = shop.service.Login("crm", "crm-secret")
        placed = shop.service.PlaceOrder(**ORDER, _soapheaders={"Ticket": ticket})
        shop.service.Logout(_soapheaders={"Ticket": ticket})
        try:
            shop.service.PlaceOrder(**ORDER, _soapheaders={"Ticket": ticket})
        except Fault as fault:
            last = fault
        try:
            shop.service.Login("crm", "wrong")
        except Fault as fault:
            return first, placed, last, fault
        raise AssertionError("a wrong password was taken")

    async with serving(tmp_path, session=True) as (url, gateway, _):
        first, placed, last, wrong = await deferToThread(partner, url)
    assert placed.orderNumber == "PO1"
    for fault in (first, last, wrong):
        assert fault.detail.findtext(".//{urn:shop:orders}number") == "13"
    assert len(gateway.sessions) == 0


@pytest_twisted.ensureDeferred
async def test_the_contract_is_published_whole(tmp_path: Path) -> None:
    def get(url: str) -> tuple[int, bytes]:
        answer = requests.get(url, timeout=10)
        return answer.status_code, answer.content

    async with serving(tmp_path) as (url, _, _):
        _, wsdl = await deferToThread(get, url + "?wsdl")
        assert f'location="{url}"'.encode() in wsdl
        assert f'schemaLocation="{url}?wsdl=1"'.encode() in wsdl
        assert str(tmp_path).encode() not in wsdl
        status, types = await deferToThread(get, url + "?wsdl=1")
        assert status == 200
        assert b'name="Reference"' in types
        assert (await deferToThread(get, url + "?wsdl=2"))[0] == 405
        assert (await deferToThread(get, url.replace("/orders", "/other") + "?wsdl"))[0] == 404


@pytest.mark.parametrize(("change", "why"), [
    (lambda data: data.pop("serves"), "operations"),
    (lambda data: data["serves"]["commands"].update(Nothing=data["serves"]["commands"]["FindOrder"]), "Nothing, which its WSDL has not"),
    (lambda data: data["serves"]["commands"]["FindOrder"].update(request="Dance"), "Dance, which is not offered here"),
    (lambda data: data.update(wsdl="wsdl/gone.wsdl"), "no file"),
])
def test_a_file_that_cannot_be_served_says_why(tmp_path: Path, change: Callable[[dict[str, Any]], None], why: str) -> None:
    data = site(tmp_path)
    change(data)
    with pytest.raises(ValueError, match=why):
        started(tmp_path, data)


def test_a_protocol_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no protocol shp; did you mean shop\?"):
        started(tmp_path, site(tmp_path), partners={"/a": "shp"})
    with pytest.raises(ValueError, match="native contract's path"):
        SoapListenerSettings.model_validate({"partners": {"/soap": "shop"}})


@pytest_twisted.ensureDeferred
async def test_a_reply_that_the_contract_does_not_allow_is_told_as_that(tmp_path: Path) -> None:
    def strange(data: dict[str, Any]) -> None:
        data["serves"]["commands"]["PlaceOrder"]["answer"]["fields"]["status"] = {"from": "STRANGE"}

    async with serving(tmp_path, change=strange) as (url, _, log):
        with pytest.raises(Fault, match="the reply does not fit the contract: status: The value is not"):
            await deferToThread(lambda: client(url).service.PlaceOrder(**ORDER))
        assert "a request failed inside" not in [event for event, _ in log.lines]
