"""The native service: a request from bytes to the gateway, its reply or fault back to bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from adapters.failures import BY_SOAP, FAILURES
from adapters.soap import header
from adapters.soap.answers import Answers
from adapters.soap.coding import close_for
from adapters.soap.door import CHALLENGE, PROTOCOL, Door
from adapters.soap.http import Connection, Response
from adapters.soap.requests import Request
from plugins.api import BusinessObject, Context, Failure, Fault, Gateway, Kind, Session, checked
from protocols.soap.addressing import NONE, UNDERSTOOD, Addressing, read_addressing
from protocols.soap.by_spyne import SpyneReader
from protocols.soap.content import ContentType, check_action, content_type, takes_attachments
from protocols.soap.contract import Contract, Pair
from protocols.soap.decode import Decoder, UnusualError, is_nil
from protocols.soap.encode import Encoder, envelope
from protocols.soap.envelope import EnvelopeReader, Message
from protocols.soap.faults import SoapError, Version, fault_body, fault_headers, http_status
from protocols.soap.multipart import XOP_NAMESPACE, Attachments, parts_of
from protocols.soap.names import NAMESPACE
from protocols.soap.security import SECURITY

CONTEXT = f"{{{NAMESPACE}}}Context"
_XOP = XOP_NAMESPACE.encode()


@lru_cache(maxsize=4)
def _contract(pairs: tuple[Pair, ...]) -> Contract:
    """Make the contract, half a second's work, once: a reload seldom changes what is offered."""
    return Contract(pairs, header.Context, Fault)


@dataclass(slots=True)
class _Exchange:
    """What is known of a request so far: it is learnt step by step, and a fault says what is known when it fails.

    `secured` says that it has a Security header, `elsewhere` that its answer does not go to who is connected.
    """

    version: Version
    session: Session | None = None
    context: Context = Context()  # noqa: RUF009  # it is immutable
    secured: bool = False
    addressing: Addressing | None = None
    elsewhere: bool = False


class NativeService:
    """Answers requests of the native contract."""

    def __init__(self, gateway: Gateway, log: Any, door: Door, answers: Answers) -> None:
        self._gateway = gateway
        self._log = log
        self._door = door
        self._answers = answers
        self.contract = _contract(tuple(Pair(o.request, o.reply) for o in gateway.catalogue.operations.values()))
        self._reader = EnvelopeReader(frozenset({CONTEXT, SECURITY}) | UNDERSTOOD)
        self._decoder = Decoder(self.contract)
        self._by_spyne = SpyneReader(self.contract)
        self._encoder = Encoder(self.contract)

    async def answer(self, connection: Connection, request: Request, content: ContentType) -> Response:
        """Answer a POST. Never raises: what fails is said in a fault."""
        exchange = _Exchange(content.version)
        try:
            response = await self._carry_out(connection, request, content, exchange)
        except Failure as failure:
            response = self._fault(exchange, failure)
            if failure.kind is Kind.AUTHENTICATION and b"authorization" not in request.headers and not exchange.secured:
                response.status, response.headers = 401, CHALLENGE  # a client that can log in by Basic, and did not, now will
        except SoapError as error:
            response = self._fault(exchange, Failure(BY_SOAP.get(error.code, Kind.MALFORMED), error.message, error.field), error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the peer gets a fault and the log the reason
            self._log.error("a request failed inside", exc_info=error)
            response = self._fault(exchange, Failure(Kind.INTERNAL, "the request failed inside"))
        if exchange.elsewhere and exchange.addressing is not None:
            return self._send_elsewhere(exchange.addressing, response)
        close_for(request, response)
        return response

    async def _carry_out(self, connection: Connection, request: Request, content: ContentType, exchange: _Exchange) -> Response:
        session = exchange.session = self._door.session(connection)
        pair, asked = self._understand(connection, request, content, session, exchange)
        reply = await self._gateway.dispatch(session, asked, exchange.context)
        headers = exchange.addressing.headers(pair.name) if exchange.addressing is not None else b""
        attachments = Attachments() if self._encoder.attaches(pair.name) and takes_attachments(
            content, request.headers.get(b"accept", b"")) else None
        said = envelope(exchange.version, self._encoder.reply(pair.name, reply, attachments), headers)
        if attachments is None or not attachments.parts:
            return Response(200, said, exchange.version.content_type.encode())
        packed, kind = attachments.packed(exchange.version, said)
        return Response(200, packed, kind.encode())

    def _understand(self, connection: Connection, request: Request, content: ContentType, session: Session,
                    exchange: _Exchange) -> tuple[Pair, BusinessObject]:
        """Who asks, and for what. The message as XML is done with then, and need not be kept until the answer is there."""
        basic = request.headers.get(b"authorization")
        if basic is not None:
            self._door.by_basic(session, basic)
        parts = parts_of(content, request.body)
        message = self._reader.read(parts.envelope, parts.charset)
        exchange.version = message.version
        exchange.secured = SECURITY in message.headers
        if parts.others or _XOP in message.text:
            parts.put_into(message.tree)
        if basic is None:
            self._door.by_message(session, connection, message.headers.get(SECURITY))
        exchange.context = self._context(message)
        exchange.addressing = addressing = read_addressing(message.headers) if message.headers else None
        pair = self._decoder.operation(message.payload)
        check_action(_action(content, request), pair.name)
        if addressing is not None:
            self._mind(addressing, pair, exchange)
        return pair, checked(self._gateway.catalogue.operations[pair.name].request, self._fields(message))

    def _mind(self, addressing: Addressing, pair: Pair, exchange: _Exchange) -> None:
        check_action(addressing.action, pair.name)
        for address in {addressing.reply_to, addressing.fault_to} - {None, NONE}:
            assert address is not None
            self._answers.check(address)
        exchange.elsewhere = addressing.reply_to is not None or addressing.fault_to is not None
        if exchange.context.idempotency_key is None and addressing.message_id is not None and len(addressing.message_id) <= 64:
            exchange.context = replace(exchange.context, idempotency_key=addressing.message_id)

    def _send_elsewhere(self, addressing: Addressing, response: Response) -> Response:
        """Send the answer where the request says; the connection gets 202, or the answer itself when only one of the two goes away."""
        address = addressing.reply_to if response.status == 200 else addressing.fault_to
        if address is None:
            return response
        if address != NONE:
            self._answers.send(address, response.body, response.content_type.decode())
        return Response(202, b"", response.content_type)

    def refuse(self, status: int, reason: str, head: Request | None) -> Response:
        """Answer a request that was not read to its end."""
        version = content_type(head.headers.get(b"content-type", b"")).version if head else Version.V11
        response = self._fault(_Exchange(version), Failure(Kind.BUSY if status == 503 else Kind.MALFORMED, reason))
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
        if block is None or is_nil(block):  # JAX-WS sends a header that its caller has none for
            return Context()
        said = checked(header.Context, self._decoder.fields(block, message.text))
        assert isinstance(said, header.Context)
        return said.said()

    def _fault(self, exchange: _Exchange, failure: Failure, error: SoapError | None = None) -> Response:
        version = exchange.version
        code = error.code if error is not None else FAILURES[failure.kind].soap
        self._gateway.refused(failure, PROTOCOL, exchange.session, exchange.context)
        fault = failure.fault()
        headers = fault_headers(version, error) if error is not None else b""
        if exchange.addressing is not None:
            headers += exchange.addressing.headers(None)
        return Response(http_status(version, code),
                        envelope(version, fault_body(version, code, fault.message, self._encoder.element(fault)), headers),
                        version.content_type.encode())


def _action(content: ContentType, request: Request) -> str | None:
    said = request.headers.get(b"soapaction") if content.version is Version.V11 else None
    return said.decode("latin-1") if said is not None else content.parameters.get("action")
