"""The native service: a request from bytes to the gateway, its reply or fault back to bytes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from adapters.failures import BY_SOAP, FAILURES
from adapters.soap import header
from adapters.soap.door import CHALLENGE, Door
from adapters.soap.http import Connection, Request, Response
from core.ids import new_id
from plugins.api import Context, Failure, Fault, Gateway, Kind, checked
from protocols.soap.by_spyne import SpyneReader
from protocols.soap.content import ContentType, check_action, content_type
from protocols.soap.contract import NAMESPACE, Contract, Pair
from protocols.soap.decode import Decoder, UnusualError
from protocols.soap.encode import Encoder, envelope
from protocols.soap.envelope import EnvelopeReader, Message
from protocols.soap.faults import SoapError, Version, fault_body, fault_headers, http_status
from protocols.soap.security import SECURITY

CONTEXT = f"{{{NAMESPACE}}}Context"


@lru_cache(maxsize=4)
def _contract(pairs: tuple[Pair, ...]) -> Contract:
    """Make the contract, half a second's work, once: a reload seldom changes what is offered."""
    return Contract(pairs, header.Context, Fault)


class NativeService:
    """Answers requests of the native contract."""

    def __init__(self, gateway: Gateway, log: Any, door: Door) -> None:
        self._gateway = gateway
        self._log = log
        self._door = door
        self.contract = _contract(tuple(Pair(o.request, o.reply) for o in gateway.catalogue.operations.values()))
        self._reader = EnvelopeReader(frozenset({CONTEXT, SECURITY}))
        self._decoder = Decoder(self.contract)
        self._by_spyne = SpyneReader(self.contract)
        self._encoder = Encoder(self.contract)

    async def answer(self, connection: Connection, request: Request) -> Response:
        """Answer a POST. Never raises: what fails is said in a fault."""
        content = content_type(request.headers.get(b"content-type", b""))
        version, context, message = content.version, Context(), None
        basic = request.headers.get(b"authorization")
        if not content.known:
            return self.refuse(415, "a SOAP message comes as text/xml or application/soap+xml", request)
        try:
            session = self._door.session(connection)
            if basic is not None:
                self._door.by_basic(session, basic)
            message = self._reader.read(request.body, content.charset)
            version = message.version
            if basic is None:
                self._door.by_message(session, connection, message.headers.get(SECURITY))
            context = self._context(message)
            pair = self._decoder.operation(message.payload)
            check_action(_action(content, request), pair.name)
            asked = checked(self._gateway.catalogue.operations[pair.name].request, self._fields(message))
            reply = await self._gateway.dispatch(session, asked, context)
            return Response(200, envelope(version, self._encoder.reply(pair.name, reply)), version.content_type.encode())
        except Failure as failure:
            response = self._fault(version, failure, context)
            if failure.kind is Kind.AUTHENTICATION and basic is None and (message is None or SECURITY not in message.headers):
                response.status, response.headers = 401, CHALLENGE  # a client that can log in by Basic, and did not, now will
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

    # What is said

    def _fields(self, message: Message) -> dict[str, Any]:
        try:
            return self._decoder.fields(message.payload, message.text)
        except UnusualError:
            return self._by_spyne.fields(message.payload)[1]

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
