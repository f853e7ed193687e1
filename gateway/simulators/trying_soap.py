"""Trying a protocol file over SOAP on an envelope: the partner's service or its simulator, without a socket and without a gateway."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lxml import etree
from twisted.internet.defer import Deferred

from adapters.soap.door import Door
from adapters.soap.http import Response
from adapters.soap.requests import Request
from adapters.soap.served import PartnerService
from core.messages.base import BusinessObject
from core.messages.catalogue import Catalogue
from gateway.simulators.examples import INSTANT
from plugins.api import Context, Failure, Session
from protocols.mapping import Definition, Reply
from protocols.soap.content import content_type
from protocols.soap.foreign import Call, Outgoing, Refused, SoapServerCodec, contract_of

_HEADERS = {b"content-type": b"text/xml", b"authorization": b"Basic " + base64.b64encode(b"try:try")}

_NOW = datetime.fromisoformat(INSTANT)
"""When every sample is tried, so that what is said then stays the same."""


class SoapWire:
    """A partner's contract, from the server's side. Raises protocols.soap.foreign.ContractError when it cannot be read."""

    def __init__(self, definition: Definition, folder: Path) -> None:
        self._definition = definition
        self._contract = contract_of(definition, folder)
        self._codec = SoapServerCodec(self._contract)

    def read(self, sample: bytes) -> Call:
        """Read a request. Raises Refused."""
        return self._codec.receive(sample)

    def refused(self, refused: Refused) -> str:
        """What is answered to what cannot be read."""
        return _text(self._codec.fault(refused.code, refused.message, version=refused.version).body)

    def written(self, call: Call, reply: Reply) -> str:
        """A simulated reply. Raises LocalProtocolError."""
        said: Outgoing = (self._codec.reply(call.operation, reply.fields, version=call.version) if reply.ok
                          else self._codec.fault("Server", f"{reply.code} {reply.text}", version=call.version))
        return _text(said.body)

    def served(self, sample: bytes, catalogue: Catalogue, answer: Callable[[BusinessObject], BusinessObject]) -> tuple[str, list[str]]:
        """Let the partner's service answer a request as a listener would; `answer` stands for the cores and may raise Failure.

        Returns the envelope, and what a running gateway would only have logged as an error.
        """
        gateway: Any = _Gateway(catalogue, answer)
        wrong: list[str] = []
        log: Any = SimpleNamespace(info=_nothing, error=lambda event, **more: wrong.append(
            f"{event}: {more.get('exc_info') or more.get('reason', '')}"))
        service = PartnerService(self._definition, self._contract, gateway, Door(gateway, lambda: _NOW, {}), log)
        done: list[Response] = []
        connection: Any = SimpleNamespace(peer="try", conversation=None, close=_nothing)
        asked = Request(b"POST", b"/", dict(_HEADERS), sample)
        Deferred.fromCoroutine(service.answer(connection, asked, content_type(b"text/xml"))).addCallback(done.append)
        return _text(done[0].body), wrong


class _Gateway:
    """Lets everybody in and asks `answer`."""

    def __init__(self, catalogue: Catalogue, answer: Callable[[BusinessObject], BusinessObject]) -> None:
        self.catalogue = catalogue
        self._answer = answer

    def open_session(self, protocol: str, peer: str, close: Callable[[str], None]) -> Session:
        return Session("try", protocol, peer, close, 0.0, 0.0)

    def close_session(self, session: Session) -> None:
        session.state = "closed"

    def log_in(self, session: Session, name: str, proves: Any) -> None:  # noqa: ARG002 (whoever it is)
        session.party = name

    async def dispatch(self, session: Session, request: BusinessObject, context: Context) -> BusinessObject:  # noqa: ARG002
        return self._answer(request)

    def refused(self, failure: Failure, *_: Any) -> None:
        failure.correlation_id = failure.correlation_id or "try"


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _text(body: bytes) -> str:
    """An envelope for people."""
    try:
        tree = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True))
    except etree.XMLSyntaxError:
        return body.decode("utf-8", "replace")
    return etree.tostring(tree, pretty_print=True, encoding="unicode")
