"""A simulated partner over SOAP: the `simulator:` section of a protocol file behind the partner's own WSDL."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from adapters.endpoints import listen
from adapters.soap.partner import nested
from protocols.base import LocalProtocolError
from protocols.mapping import GARBAGE, Act, Conversation, Definition, MappingError, Outcome, Record, Reply, Simulation
from protocols.mapping.soap import SoapSession
from protocols.soap.content import content_type, takes_attachments
from protocols.soap.faults import SoapError
from protocols.soap.foreign import Call, Contract, Outgoing, Published, Refused, SoapServerCodec, contract_of, reply_headers
from protocols.soap.security import username_token


class SoapSimulator(Resource):
    """Answers at the path of the contract's address, `?wsdl` with the contract.

    Where the protocol has a session in its headers, a conversation is such a session; else each request is one of its own.
    """

    isLeaf = True  # noqa: N815 (Twisted's name)

    def __init__(self, reactor: Any, definition: Definition, contract: Contract, simulation: Simulation, record: Record) -> None:
        super().__init__()
        self._reactor = reactor
        self._definition = definition
        self._contract = contract
        self._simulation = simulation
        self._record = record
        self._codec = SoapServerCodec(contract)
        self._published = Published(contract)
        declared = definition.soap.session
        self._sessions = None if declared is None else _Sessions(declared, simulation)

    def render_GET(self, request: Any) -> bytes:
        """The contract, with the address at which it was asked for."""
        here = f"http://{request.getRequestHostname().decode('latin-1')}:{request.getHost().port}{self._contract.path}"
        document = self._published.document(request.uri.partition(b"?")[2].decode("latin-1"), here)
        if request.path.decode("latin-1") != self._contract.path or document is None:
            request.setResponseCode(404)
            return b""
        request.setHeader("Content-Type", "text/xml; charset=utf-8")
        return document

    def render_POST(self, request: Any) -> Any:
        """Take a request; what comes of it may come later, or never."""
        if request.path.decode("latin-1") != self._contract.path:
            request.setResponseCode(404)
            return b""
        try:
            call = self._codec.receive(request.content.read(), request.getHeader("soapaction"), request.getHeader("content-type") or "")
        except Refused as refused:
            return self._write(request, 500, self._codec.fault(refused.code, refused.message, version=refused.version))
        try:
            outcome = self._taken(request, call) if self._sessions is None else self._sessions.take(call)
        except SoapError as error:
            return self._write(request, 500, self._codec.fault(error.code, error.message, version=call.version))
        if outcome.applied is not None:
            self._record(outcome.applied)
        for act in outcome.acts:
            later = self._reactor.callLater(act.after, self._do, request, call, act)
            request.notifyFinish().addBoth(lambda _, later=later: later.cancel() if later.active() else None)
        return NOT_DONE_YET

    def _taken(self, request: Any, call: Call) -> Outcome:
        talk = self._simulation.connect()
        try:
            reply = self._log_in(talk, request, call)
            return talk.receive(call.operation, call.fields) if reply.ok else _said(reply)
        finally:
            talk.close()

    def _log_in(self, talk: Conversation, request: Any, call: Call) -> Reply:
        users = self._simulation.simulator.users
        if not users:
            return Reply("0")
        token = username_token(call.security, datetime.now(UTC)) if call.security is not None else None
        if token is not None:
            secret = users[token.name].get_secret_value() if token.name in users else ""
            return talk.log_in(token.name, secret if token.proves(secret) else "")
        if self._definition.soap.proves:
            return talk.log_in(*self._definition.soap.credentials(call.headers))
        return talk.log_in(*_basic(request.getHeader("authorization") or ""))

    def _do(self, request: Any, call: Call, act: Act) -> None:
        if act.do == "disconnect":
            request.transport.abortConnection()
        elif act.do == "garbage":
            request.write(GARBAGE)
            request.finish()
        elif act.reply is not None:
            content = content_type((request.getHeader("content-type") or "").encode("latin-1", "replace"))
            attach = takes_attachments(content, (request.getHeader("accept") or "").encode("latin-1", "replace"))
            outgoing = packed(self._codec, self._definition, call, act.reply, attach=attach)
            if act.do == "half":
                request.setHeader("Content-Length", str(len(outgoing.body)))
                request.setHeader(*outgoing.headers[0])
                request.write(outgoing.body[:len(outgoing.body) // 2])
                request.transport.loseConnection()
            else:
                self._write(request, 200 if act.reply.ok else 500, outgoing)

    def _write(self, request: Any, status: int, outgoing: Outgoing) -> Any:
        request.setResponseCode(status)
        request.setHeader("Content-Length", str(len(outgoing.body)))
        for name, value in outgoing.headers:
            request.setHeader(name, value)
        request.write(outgoing.body)
        request.finish()
        return NOT_DONE_YET


def packed(codec: SoapServerCodec, definition: Definition, call: Call, reply: Reply, *, attach: bool = False) -> Outgoing:
    """The reply as the partner would say it: its code and text stand where the protocol file looks for them; with `attach`, its
    binary values are attachments.
    """
    if reply.ok:
        # A login's reply may have headers too: then its fields stand one floor lower.
        fields, headers = (reply.fields["fields"], reply.fields["headers"]) if isinstance(reply, _Granted) else (reply.fields, {})
        try:
            shown = {**reply_headers(definition, codec.contract, call, datetime.now(UTC)), **headers}
            return codec.reply(call.operation, fields, shown, call.version, attach=attach)
        except (LocalProtocolError, MappingError) as error:
            # The file and the contract disagree; who writes them is told what is wrong.
            return codec.fault("Server", f"the simulator's file does not fit its WSDL: {error}", version=call.version)
    soap = definition.soap
    places = {soap.fault_code[0]: reply.code} if soap.fault_code else {}
    details = nested(places | ({soap.fault_text[0]: reply.text} if soap.fault_text else {}), reply.fields)
    try:
        return codec.fault("Server", reply.text, details, call.version)
    except LocalProtocolError:
        return codec.fault("Server", f"{reply.code} {reply.text}", version=call.version)


class _Granted(Reply):
    """A login's reply."""


class _Sessions:
    """Sessions in headers. A new one takes the place of the oldest when there is no other: nobody says when a peer is gone."""

    def __init__(self, declared: SoapSession, simulation: Simulation) -> None:
        self._declared = declared
        self._simulation = simulation
        self._answers = simulation.simulator.answers
        self._open: dict[str, tuple[Conversation, int]] = {}

    def take(self, call: Call) -> Outcome:
        """What comes of a request: login and logout are answered here."""
        if call.operation == self._declared.login.command:
            return _said(self._log_in(call))
        name = self._declared.named(call.headers)
        talk, expected = self._open.get(name, (None, 0))
        numbered = self._declared.numbered(call.headers)
        if talk is None or numbered not in (None, str(expected)):
            return _said(Reply(self._answers.not_logged_in.code or "", self._answers.not_logged_in.text or "", {}, ok=False))
        self._open[name] = (talk, expected + 1)
        if self._declared.logout is not None and call.operation == self._declared.logout.command:
            del self._open[name]
            return _said(talk.log_out())
        return talk.receive(call.operation, call.fields)

    def _log_in(self, call: Call) -> Reply:
        talk = self._simulation.connect()
        reply = talk.log_in(*self._declared.credentials(call.fields))
        while reply.code == self._answers.full.code and self._open:
            oldest = next(iter(self._open))
            self._open.pop(oldest)[0].close()
            reply = talk.log_in(*self._declared.credentials(call.fields))
        if not reply.ok:
            return reply
        name, first = secrets.token_hex(16), secrets.randbelow(1_000) + 1
        self._open[name] = (talk, first)
        return _Granted(reply.code, reply.text, nested(self._declared.granted(name, first), {"fields": {}, "headers": {}}))


def _said(reply: Reply) -> Outcome:
    return Outcome((Act(0.0, "send", reply),))


def _basic(header: str) -> tuple[str, str]:
    kind, _, value = header.partition(" ")
    try:
        user, _, secret = base64.b64decode(value if kind.lower() == "basic" else "", validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, secret


def simulate(reactor: Any, host: str, port: int, definition: Definition, simulation: Simulation, record: Record, *,
             dialects: Mapping[str, Mapping[str, Any]], folder: Path) -> Any:  # noqa: ARG001  # dialects are another transport's
    """Serve `simulation` and return Twisted's listening port. `record` is called with each applied change before its answer;
    `folder` is where the protocol file stands.

    Raises OSError when the port is taken and ContractError when the WSDL cannot be used.
    """
    resource = SoapSimulator(reactor, definition, contract_of(definition, folder), simulation, record)
    site: Any = Site(resource, reactor=reactor, parsePOSTFormSubmission=False)
    return listen(reactor, folder, host, port, site)
