"""Attachments (MTOM) by a partner's own contract: served to zeep, and sent by the connector to the simulated partner and back."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import requests
import structlog
import yaml
import zeep
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from adapters.endpoints import closed
from adapters.soap import adapter
from adapters.soap.listener import SoapListener
from adapters.soap.settings import SoapListenerSettings
from adapters.soap.simulator import simulate
from core.messages.catalogue import Catalogue
from plugins.api import Surroundings
from protocols.mapping import Definition, Simulation
from tests.adapters.soap.standin import DOCUMENTS, NOW, Log, StandIn
from tests.protocols.soap_foreign.contracts import wrapper, wsdl

REQUEST = wrapper('<xs:sequence><xs:element name="number" type="xs:string"/>'
                  '<xs:element name="form" type="xs:base64Binary" minOccurs="0"/></xs:sequence>')
RESPONSE = wrapper('<xs:sequence><xs:element name="page" minOccurs="0" maxOccurs="9"><xs:complexType><xs:sequence>'
                   '<xs:element name="name" type="xs:string"/><xs:element name="content" type="xs:base64Binary"/>'
                   "</xs:sequence></xs:complexType></xs:element></xs:sequence>", "DoResponse")
PROTOCOL = """
protocol: archive
transport: soap
wsdl: archive.wsdl
soap: {attachments: true}
serves:
  commands:
    Do:
      request: GetBill
      takes: {billNo: {from: $number, required: true}}
      answer: {fields: {page: {list: {each: $billDocument, fields: {name: {from: $item.name}, content: {from: $item.content}}}}}}
operations: {}
simulator:
  name: ARCHIVE
  port: 0
  commands:
    Do:
      does: answer
      takes: {number: {from: $number, required: true}}
      reply: {page.name: {from: copy}, page.content: {from: $asked.form}}
"""
FORM = bytes(range(256)) * 3


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols/archive.wsdl").write_text(wsdl(REQUEST + RESPONSE))
    made: dict[str, Any] = yaml.safe_load(PROTOCOL)
    return made


@asynccontextmanager
async def serving(folder: Path, data: dict[str, Any]) -> Any:
    gateway = StandIn(reactor)
    around = Surroundings(reactor=reactor, site=folder, catalogue=gateway.catalogue, dialects={}, protocols={"archive": data}, log=Log())
    settings = SoapListenerSettings.model_validate({"port": 0, "partners": {"/archive": "archive"}})
    listener = SoapListener("soap", settings, gateway, around, lambda: NOW)
    await listener.start()
    try:
        yield f"http://{listener.status()['address']}/archive"
    finally:
        await listener.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("accept", ["text/xml", "text/xml, multipart/related"])
async def test_documents_by_a_partner_s_contract(tmp_path: Path, data: dict[str, Any], accept: str) -> None:
    kinds: list[str] = []

    def partner(url: str) -> Any:
        session = requests.Session()
        session.auth = ("crm", "crm-secret")
        session.headers["Accept"] = accept
        session.hooks["response"].append(lambda answer, **_: kinds.append(answer.headers["Content-Type"]))
        return zeep.Client(f"{url}?wsdl", transport=zeep.Transport(session=session)).service.Do(number="B-1")

    async with serving(tmp_path, data) as url:
        pages = await deferToThread(partner, url)
    assert kinds[-1].startswith("multipart/related" if "multipart" in accept else "text/xml")
    # zeep takes line ends off the end of a part.
    assert [page.content.rstrip(b"\r\n") for page in pages] == [document.rstrip(b"\r\n") for document in DOCUMENTS]


@pytest_twisted.ensureDeferred
async def test_what_the_connector_attaches_the_simulator_reads_and_attaches_again(tmp_path: Path, data: dict[str, Any]) -> None:
    definition = Definition.load(data)
    assert definition.simulator is not None
    port = simulate(reactor, "127.0.0.1", 0, definition, Simulation(definition.simulator, []), lambda _: None, dialects={},
                    folder=tmp_path / "protocols")
    around = Surroundings(reactor, tmp_path, Catalogue([]), {}, {"archive": data}, structlog.get_logger())
    model: Any = adapter.connector_settings
    settings = model.model_validate({"protocol": "archive", "host": "127.0.0.1", "port": port.getHost().port, "path": "/t"})
    asking: Any = adapter.connector("archive", settings, around)
    sent: list[bytes] = []
    post = asking._client._http.post
    asking._client._http.post = lambda url, headers, body: (sent.append(body), post(url, headers, body))[1]
    try:
        reply = await asking._client.request({"command": "Do", "fields": {"number": "1", "form": base64.b64encode(FORM).decode()}})
    finally:
        await asking.stop()
        await closed(port)
    assert FORM in sent[0]
    assert [base64.b64decode(page["content"]) for page in reply["fields"]["page"]] == [FORM]
