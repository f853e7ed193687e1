"""The native service: a request from bytes to the gateway, its reply or fault back to bytes."""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from datetime import datetime
from typing import Any

from adapters.failures import BY_SOAP, FAILURES
from adapters.soap import header
from adapters.soap.http import Connection, Request, Response
from core.ids import new_id
from plugins.api import Context, Failure, Fault, Gateway, Kind, Session, checked
from protocols.soap.content import ContentType, check_action, content_type
from protocols.soap.contract import NAMESPACE, Contract, Pair
from protocols.soap.decode import Decoder
from protocols.soap.encode import Encoder, envelope
from protocols.soap.envelope import EnvelopeReader, Message
from protocols.soap.faults import SoapError, Version, fault_body, fault_headers, http_status
from protocols.soap.security import SECURITY, Nonces, username_token

CONTEXT = f"{{{NAMESPACE}}}Context"
_CHALLENGE = b'WWW-Authenticate: Basic realm="uip", charset="UTF-8"\r\n'


class NativeService:
    """Answers requests of the native contract. `now` tells the wall clock's time in UTC; `certificates` maps the common name
    of a peer's certificate to the party it proves.
    """

    def __init__(self, gateway: Gateway, log: Any, now: Callable[[], datetime], certificates: dict[str, str]) -> None:
        self._gateway = gateway
        self._log = log
        self._now = now
        self._certificates = certificates
        self.contract = Contract((Pair(o.request, o.reply) for o in gateway.catalogue.operations.values()), header.Context, Fault)
        self._reader = EnvelopeReader(frozenset({CONTEXT, SECURITY}))
        self._decoder = Decoder(self.contract)
        self._encoder = Encoder(self.contract)
        self._nonces = Nonces()

    async def answer(self, connection: Connection, request: Request) -> Response:
        """Answer a POST. Never raises: what fails is said in a fault."""
        content = content_type(request.headers.get(b"content-type", b""))
        version, context, message = content.version, Context(), None
        basic = request.headers.get(b"authorization")
        if not content.known:
            return self.refuse(415, "a SOAP message comes as text/xml or application/soap+xml", request)
        try:
            session = self._session(connection)
            if basic is not None:
                self._log_in_basic(session, basic)
            message = self._reader.read(request.body, content.charset)
            version = message.version
            if basic is None:
                self._log_in(session, connection, message)
            context = self._context(message)
            pair = self._decoder.operation(message.payload)
            check_action(_action(content, request), pair.name)
            asked = checked(self._gateway.catalogue.operations[pair.name].request, self._decoder.fields(message.payload, message.text))
            reply = await self._gateway.dispatch(session, asked, context)
            return Response(200, envelope(version, self._encoder.reply(pair.name, reply)), version.content_type.encode())
        except Failure as failure:
            response = self._fault(version, failure, context)
            if failure.kind is Kind.AUTHENTICATION and basic is None and (message is None or SECURITY not in message.headers):
                response.status, response.headers = 401, _CHALLENGE  # a client that can log in by Basic, and did not, now will
            return response
        except SoapError as error:
            return self._soap_fault(version, error, context)
        except Exception as error:  # noqa: BLE001  # whatever it is, the peer gets a fault and the log the reason
            self._log.error("a request failed inside", exc_info=error)
            return self._fault(version, Failure(Kind.INTERNAL, "the request failed inside"), context)

    def refuse(self, status: int, reason: str, head: Request | None) -> Response:
        """Answer a request that was not read to its end."""
        version = content_type(head.headers.get(b"content-type", b"")).version if head else Version.V11
        response = self._fault(version, Failure(Kind.BUSY if status == 503 else Kind.MALFORMED, reason), Context())
        response.status = status
        return response

    def lost(self, connection: Connection) -> None:
        """The peer has gone: its session ends, what it asked for goes on."""
        if connection.conversation is not None:
            self._gateway.close_session(connection.conversation)

    # Who asks

    def _session(self, connection: Connection) -> Session:
        if connection.conversation is None:
            connection.conversation = self._gateway.open_session("soap", connection.peer, connection.close)
        session: Session = connection.conversation
        session.party = None  # each request proves anew who asks
        return session

    def _log_in_basic(self, session: Session, authorization: bytes) -> None:
        scheme, _, credentials = authorization.partition(b" ")
        try:
            name, colon, password = b64decode(credentials.strip(), validate=True).partition(b":")
            if scheme.lower() != b"basic" or not colon:
                raise Failure(Kind.AUTHENTICATION, "only Basic authentication is known here")
            self._gateway.log_in(session, name.decode(), lambda secret: hmac.compare_digest(secret.encode(), password))
        except (NotBase64, UnicodeDecodeError):
            raise Failure(Kind.AUTHENTICATION, "the Authorization header cannot be read") from None

    def _log_in(self, session: Session, connection: Connection, message: Message) -> None:
        security = message.headers.get(SECURITY)
        now = self._now()
        token = username_token(security, now) if security is not None else None
        if token is not None:
            self._gateway.log_in(session, token.name, token.proves)
            if not self._nonces.use(token, now):
                session.party = None
                raise Failure(Kind.AUTHENTICATION, "the password digest is too old, or was used before")
            return
        party = self._certificates.get(_common_name(connection)) if self._certificates else None
        if party is None:
            raise Failure(Kind.AUTHENTICATION, "log in: HTTP Basic or a WS-Security UsernameToken")
        self._gateway.log_in(session, party, lambda _secret: True)  # TLS has proved it

    # What is said

    def _context(self, message: Message) -> Context:
        block = message.headers.get(CONTEXT)
        if block is None:
            return Context()
        said = checked(header.Context, self._decoder.fields(block, message.text))
        assert isinstance(said, header.Context)
        return said.said()

    def _soap_fault(self, version: Version, error: SoapError, context: Context) -> Response:
        failure = Failure(BY_SOAP.get(error.code, Kind.MALFORMED), error.message, error.field)
        return self._fault(version, failure, context, error)

    def _fault(self, version: Version, failure: Failure, context: Context, error: SoapError | None = None) -> Response:
        code = error.code if error is not None else FAILURES[failure.kind].soap
        correlation_id = failure.correlation_id or context.correlation_id or new_id()
        fault = failure.fault(correlation_id)
        if failure.correlation_id is None:  # the dispatcher, which logs refusals, has not seen it
            self._log.info("refused", protocol="soap", code=code, field=fault.field, correlation_id=correlation_id)
        return Response(http_status(version, code),
                        envelope(version, fault_body(version, code, fault.message, self._encoder.element(fault)),
                                 fault_headers(version, error) if error is not None else b""), version.content_type.encode())


def _action(content: ContentType, request: Request) -> str | None:
    said = request.headers.get(b"soapaction") if content.version is Version.V11 else None
    return said.decode("latin-1") if said is not None else content.parameters.get("action")


def _common_name(connection: Connection) -> str:
    certificate = getattr(connection.transport, "getPeerCertificate", lambda: None)()
    return str(certificate.get_subject().CN or "") if certificate is not None else ""
