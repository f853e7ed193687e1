"""A partner's own contract, served: its requests become ours through a protocol file's `serves:`, our replies become its."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from adapters.failures import BY_SOAP, FAILURES
from adapters.soap.coding import close_for
from adapters.soap.door import CHALLENGE, PROTOCOL, Door
from adapters.soap.http import Connection, Response
from adapters.soap.partner import nested
from adapters.soap.requests import Request
from plugins.api import BusinessObject, Context, Failure, Gateway, Kind, Session, checked
from protocols.base import LocalProtocolError
from protocols.mapping import Definition, MappingError, Reply, Serving, UnknownCommand
from protocols.mapping.soap import SoapSession
from protocols.soap.content import ContentType, takes_attachments
from protocols.soap.faults import SoapError
from protocols.soap.foreign import Call, Contract, Outgoing, Published, Refused, SoapServerCodec, reply_headers


class PartnerService:
    """Serves one contract. Raises ValueError when the file serves nothing, or what the contract or the gateway has not.

    Who asks is found out as for the native contract, or by the contract's own login, where the file declares a session.
    """

    def __init__(self, definition: Definition, contract: Contract, gateway: Gateway, door: Door, log: Any) -> None:
        if definition.serves is None:
            raise ValueError(f"protocol {definition.protocol} serves nothing: it has no `serves:`")
        unknown = sorted({served.request for served in definition.serves.commands.values()} - set(gateway.catalogue.operations))
        if unknown:
            raise ValueError(f"protocol {definition.protocol} serves {', '.join(unknown)}, which is not offered here")
        strange = sorted(set(definition.serves.commands) - set(contract.operations))
        if strange:
            raise ValueError(f"protocol {definition.protocol} serves {', '.join(strange)}, which its WSDL has not")
        self._definition = definition
        self._serving = Serving(definition.serves)
        self._gateway = gateway
        self._door = door
        self._log = log
        self._codec = SoapServerCodec(contract)
        self._published = Published(contract)
        declared = definition.soap.session
        self._sessions = None if declared is None else _Sessions(declared, gateway)

    def document(self, query: str, address: str) -> bytes | None:
        """The contract's file that is asked for with this query, as it is at this address of ours."""
        return self._published.document(query, address)

    async def answer(self, connection: Connection, request: Request, content: ContentType) -> Response:
        """Answer a POST. Never raises: what fails is said in the partner's way, or in a fault."""
        response = await self._answer(connection, request, content)
        close_for(request, response)
        return response

    async def _answer(self, connection: Connection, request: Request, content: ContentType) -> Response:
        call: Call | None = None
        session: Session | None = None
        basic = request.headers.get(b"authorization")
        try:
            if self._sessions is None:
                session = self._door.session(connection)
                if basic is not None:
                    self._door.by_basic(session, basic)
            action = request.headers.get(b"soapaction")
            call = self._codec.receive(request.body, action.decode("latin-1") if action is not None else content.parameters.get("action"),
                                       request.headers.get(b"content-type", b"").decode("latin-1"))
            if self._sessions is not None:
                if self._sessions.concerns(call):
                    fields, headers = self._sessions.answer(call, connection)
                    return self._said(call, fields, 200, headers)
                session = self._sessions.session(call)
            assert session is not None
            if self._sessions is None and basic is None:
                user, secret = self._definition.soap.credentials(call.headers)
                if user and call.security is None:
                    self._door.by_words(session, user, secret)
                else:
                    self._door.by_message(session, connection, call.security)
            asked, context = self.asked(call)
            reply = await self._gateway.dispatch(session, asked, context)
            attach = takes_attachments(content, request.headers.get(b"accept", b""))
            return self.packed(call, reply, attach=attach)
        except SoapError as error:
            version = error.version if isinstance(error, Refused) else None
            return self._wire_fault(call, error, session, version)
        except Failure as failure:
            response = self.refusal(call, failure, session)
            if failure.kind is Kind.AUTHENTICATION and self._sessions is None and basic is None and (call is None or call.security is None):
                response.status, response.headers = 401, CHALLENGE
            return response
        except Exception as error:  # noqa: BLE001  # whatever it is, the peer gets a fault and the log the reason
            self._log.error("a request failed inside", protocol=self._definition.protocol, exc_info=error)
            return self.refusal(call, Failure(Kind.INTERNAL, "the request failed inside"), session)

    def asked(self, call: Call) -> tuple[BusinessObject, Context]:
        """The request of ours that a call means, and what it says about itself. Raises Failure."""
        try:
            asked = self._serving.parse(call.operation, call.fields)
        except UnknownCommand as error:
            raise Failure(Kind.UNKNOWN_OPERATION, error.message) from None
        except MappingError as error:
            raise Failure(Kind.INVALID, error.message, error.path) from None
        context = Context(asked.context.get("idempotencyKey"), asked.context.get("correlationId"), asked.context.get("deadline"))
        return checked(self._gateway.catalogue.operation(asked.request).request, asked.data), context

    def packed(self, call: Call, reply: BusinessObject, *, attach: bool) -> Response:
        """Our reply in the partner's words. Raises Failure."""
        try:
            said = self._serving.pack(call.operation, reply.model_dump(mode="json", exclude_none=True))
            return self._said(call, said.fields, 200, attach=attach)
        except MappingError as error:
            raise Failure(Kind.INTERNAL, f"the reply does not fit the protocol file: {error}") from None
        except LocalProtocolError as error:
            raise Failure(Kind.INTERNAL, f"the reply does not fit the contract: {error.message}") from None

    def _said(self, call: Call, fields: Mapping[str, Any], status: int, headers: Mapping[str, Any] | None = None, *,
              attach: bool = False) -> Response:
        shown = {**reply_headers(self._definition, self._codec.contract, call, self._door.now()), **(headers or {})}
        return _response(self._codec.reply(call.operation, fields, shown, call.version, attach=attach), status)

    def _wire_fault(self, call: Call | None, error: SoapError, session: Session | None, version: str | None) -> Response:
        failure = Failure(BY_SOAP.get(error.code, Kind.MALFORMED), error.message, error.field)
        if error.code in BY_SOAP:
            return self.refusal(call, failure, session, version)
        self._gateway.refused(failure, PROTOCOL, session)  # SOAP's own codes stand as they are: MustUnderstand, VersionMismatch
        return _response(self._codec.fault(error.code, failure.message, version=version), 500)

    def refusal(self, call: Call | None, failure: Failure, session: Session | None, version: str | None = None) -> Response:
        """A failure as the file says it: in a fault's details, or in an ordinary answer whose fields say that it has failed."""
        version = call.version if call is not None else version
        self._gateway.refused(failure, PROTOCOL, session)
        usual = FAILURES[failure.kind].soap
        said = self._serving.fault(failure.kind, failure.message, failure.field, call.operation if call is not None else "",
                                   correlation=failure.correlation_id, code=usual)
        status = 400 if version == "1.2" and usual.startswith("Client") else 500
        try:
            if said is None:
                field = self._serving.field(call.operation, failure.field) if call is not None else failure.field
                text = f"{field}: {failure.message.removeprefix(f'{failure.field}: ')}" if field else failure.message
                return _response(self._codec.fault(usual, text, self._details(Reply(usual, text)), version), status)
            if call is not None and said.fields and not set(said.fields) & self._fault_names():
                return self._said(call, said.fields, 200)
            return _response(self._codec.fault(usual.partition(".")[0], said.text, self._details(said), version), status)
        except LocalProtocolError as error:
            self._log.error("a fault does not fit the contract", protocol=self._definition.protocol, reason=error.message)
            return _response(self._codec.fault(usual, failure.message, version=version), status)

    def _details(self, said: Reply) -> dict[str, Any]:
        """The fields of a failure, with its code and text where partners' faults of this contract have them."""
        soap = self._definition.soap
        places = {sources[0]: value for sources, value in ((soap.fault_code, said.code), (soap.fault_text, said.text)) if sources}
        return nested({place: value for place, value in places.items() if place not in ("$fault", "$text")}, said.fields)

    def _fault_names(self) -> set[str]:
        return {element.name for operation in self._codec.contract.operations.values() for element in operation.faults.values()}


class _Sessions:
    """Sessions begun by the contract's own login and shown in a header of each request."""

    def __init__(self, declared: SoapSession, gateway: Gateway) -> None:
        self._declared = declared
        self._gateway = gateway
        self._open: dict[str, Session] = {}

    def concerns(self, call: Call) -> bool:
        """Whether the request begins or ends a session."""
        logout = self._declared.logout
        return call.operation == self._declared.login.command or (logout is not None and call.operation == logout.command)

    def answer(self, call: Call, connection: Connection) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Log in or out; the answer's fields and headers. Raises Failure(AUTHENTICATION) and Failure(BUSY)."""
        if call.operation != self._declared.login.command:
            self._end(self._declared.named(call.headers))
            return {}, {}
        user, secret = self._declared.credentials(call.fields)
        name = secrets.token_hex(16)
        session = self._gateway.open_session(PROTOCOL, connection.peer, lambda _reason: self._end(name))
        try:
            self._gateway.log_in(session, user, lambda known: hmac.compare_digest(known.encode(), secret.encode()))
        except Failure:
            self._gateway.close_session(session)
            raise
        self._open[name] = session
        granted = nested(self._declared.granted(name, 1), {"fields": {}, "headers": {}})
        return granted["fields"], granted["headers"]

    def session(self, call: Call) -> Session:
        """The session a request shows. Raises Failure(AUTHENTICATION)."""
        session = self._open.get(self._declared.named(call.headers))
        if session is None:
            raise Failure(Kind.AUTHENTICATION, "log in first: no such session")
        return session

    def _end(self, name: str) -> None:
        session = self._open.pop(name, None)
        if session is not None:
            self._gateway.close_session(session)


def _response(outgoing: Outgoing, status: int) -> Response:
    return Response(status, outgoing.body, dict(outgoing.headers)["Content-Type"].encode())
