"""The SOAP listener: a bound port, its WSDL, and the native service behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from adapters.endpoints import address_of, closed, listen
from adapters.soap.answers import Answers
from adapters.soap.coding import UnopenedError, opened
from adapters.soap.door import Door
from adapters.soap.http import Connection, HttpFactory, Response
from adapters.soap.native import NativeService
from adapters.soap.requests import Request
from adapters.soap.settings import SoapListenerSettings
from plugins.api import Gateway, Surroundings
from protocols.soap.content import ContentType, content_type
from protocols.wording import nearest

if TYPE_CHECKING:
    from adapters.soap.served import PartnerService

_HOST = re.compile(rb"^[A-Za-z0-9.-]{1,253}(:\d{1,5})?$|^\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?$")


async def _at_once(response: Response) -> Response:
    return response


def _utcnow() -> datetime:
    return datetime.now(UTC)


class SoapListener:
    """Serves the native contract on one port, and partners' own contracts beside it (`plugins.api.Listener`).

    Raises ValueError (ContractError and DefinitionError are some) when a partner's contract or its protocol file cannot be served.
    """

    def __init__(self, name: str, settings: SoapListenerSettings, gateway: Gateway, around: Surroundings,
                 now: Callable[[], datetime] = _utcnow) -> None:
        self.name = name
        self._settings = settings
        self._around = around
        self._path = settings.path.encode()
        self._door = Door(gateway, now, settings.certificates)
        self._answers = Answers(around.reactor, around.log, settings.reply_to)
        self._native = NativeService(gateway, around.log, self._door, self._answers)
        self._partners = {path.encode(): self._partner(protocol, gateway) for path, protocol in settings.partners.items()}
        self._services: dict[bytes, NativeService | PartnerService] = {self._path: self._native, **self._partners}
        self._factory = HttpFactory(
            handler=self, reactor=around.reactor, log=around.log, max_request=settings.max_request,
            max_connections=settings.max_connections, request_timeout=settings.request_timeout, idle_timeout=settings.idle_timeout)
        self._port: Any = None
        self._address = ""
        self._state = "stopped"

    def _partner(self, protocol: str, gateway: Gateway) -> PartnerService:
        from adapters.soap.served import PartnerService  # zeep is slow to load, and not every site needs it
        from protocols.mapping import Definition
        from protocols.soap.foreign import contract_of

        data = self._around.protocols.get(protocol)
        if data is None:
            raise ValueError(f"listener {self.name}: there is no protocol {protocol}{nearest(protocol, self._around.protocols)}")
        definition = Definition.load(data)
        contract = contract_of(definition, self._around.site / "protocols")
        return PartnerService(definition, contract, gateway, self._door, self._around.log)

    # plugins.api.Service

    async def start(self) -> None:
        """Bind. Raises OSError."""
        self._factory.start()
        self._port = listen(self._around.reactor, self._around.site, self._settings.host, self._settings.port, self._factory,
                            self._settings.tls)
        self._address = address_of(self._port)
        self._state = "listening"

    async def retire(self) -> None:
        """Take no new connections; those that are open go on."""
        self._state = "retired"
        await self._unbind()

    async def drain(self) -> None:
        """Take no new connections; return when every request that has arrived is answered."""
        self._state = "draining"
        await self._unbind()
        await self._factory.drain()

    async def stop(self) -> None:
        """Close everything at once."""
        await self._unbind()
        self._factory.stop()
        self._answers.stop()
        self._state = "stopped"

    async def _unbind(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await closed(port)

    def status(self) -> Mapping[str, Any]:
        """Where it listens and how many are connected."""
        return {"state": self._state, "address": self._address, "connections": len(self._factory.connections),
                "in_flight": self._factory.busy}

    # adapters.soap.http.Handler

    def connected(self, connection: Connection) -> None:
        """A session begins with the first request, not with the connection: a look at the WSDL needs none."""

    def lost(self, connection: Connection) -> None:
        """See `Handler.lost`."""
        self._door.lost(connection)

    def refuse(self, status: int, reason: str, head: Request | None) -> Response:
        """See `Handler.refuse`."""
        return self._native.refuse(status, reason, head)

    def answer(self, connection: Connection, request: Request) -> Coroutine[Any, Any, Response]:
        """See `Handler.answer`."""
        service = self._services.get(request.path) if request.method == b"POST" else None
        if service is None:
            return self._other(request)
        content = content_type(request.headers.get(b"content-type", b""))
        unfit = self._unfit(request, content)
        return service.answer(connection, request, content) if unfit is None else _at_once(unfit)

    def _unfit(self, request: Request, content: ContentType) -> Response | None:
        """Open what comes gzipped; the answer to what is no SOAP message, whatever its contract."""
        if not content.known:
            return self._native.refuse(415, "a SOAP message comes as text/xml or application/soap+xml", request)
        if b"content-encoding" in request.headers:
            try:
                request.body = opened(request.body, request.headers[b"content-encoding"], self._settings.max_request)
            except UnopenedError as error:
                return self._native.refuse(error.status, error.reason, request)
        return None

    async def _other(self, request: Request) -> Response:
        path, _, query = request.target.partition(b"?")
        partner = self._partners.get(path)
        if path != self._path and partner is None:
            return Response(404, b"not found\n")
        if request.method not in (b"GET", b"HEAD"):
            return Response(405, b"SOAP comes by POST\n", headers=b"Allow: POST, GET, HEAD\r\n")
        address = self._public_address(request)
        document: bytes | None = None
        if partner is not None:
            document = partner.document(query.decode("latin-1"), urljoin(address, path.decode("latin-1")))
        elif query.lower() in (b"wsdl", b"singlewsdl"):
            document = self._native.contract.wsdl(address)
        if document is None:
            return Response(405, b"SOAP comes by POST; the WSDL is at ?wsdl\n", headers=b"Allow: POST\r\n")
        return Response(200, document, b"text/xml; charset=utf-8")

    def _public_address(self, request: Request) -> str:
        """Where partners reach us: as configured, else as this one has reached us (a Host that looks like one)."""
        if self._settings.address is not None:
            return self._settings.address
        host = request.headers.get(b"host", b"")
        scheme = "https" if self._settings.tls else "http"
        return f"{scheme}://{host.decode() if _HOST.match(host) else self._address}{self._settings.path}"
