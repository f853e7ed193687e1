"""SOAP on the way out: a partner's service, called as its WSDL and a protocol file say."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from twisted.internet.defer import Deferred

from adapters.drivers import Driver, NotSent, OutcomeUnknown, make_connector
from adapters.soap.client import Answer, GivenUp, SoapHttp
from adapters.soap.partner import Answers
from adapters.soap.session import HeaderSession
from config.settings import Name, Part, Port, Seconds, Tls
from plugins.api import Failure, Kind, Surroundings
from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mapping import Definition, MappingError, Result
from protocols.soap.foreign import Contract, Limits, Reply, SoapClientCodec, UsernameToken, contract_of

LOGOUT_SECONDS = 2.0
"""How long a goodbye may take."""

Url = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+(/[^\s#]*)?$")]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class SoapConnectorSettings(Part):
    """A way out to a partner's SOAP service.

    Where it is: `url` (one, or several that serve the same: the next is tried at once when one cannot be reached, and after one that
    was silent or broken nobody knows what became of the request, so the next is where that is asked), or `host` and
    `port` with the WSDL's own path unless `path` says otherwise, or nothing at all: the address in the WSDL. `tls` makes
    host and port https, and says whom an https address may be trusted by. `user` and `secret` go out as HTTP Basic
    (`basic`), in a WS-Security UsernameToken (`text`, `digest`), or only where the protocol file itself puts them, in a
    session's login or in headers (`none`); without a word it is `none` for such a file, else `basic`. `connect_timeout`
    is in seconds (how long an answer may take is the protocol file's `timeout`), `max_reply` in bytes.
    """

    protocol: Name
    url: Annotated[tuple[Url, ...], BeforeValidator(_listed)] = ()
    host: str | None = None
    port: Port | None = None
    path: Annotated[str, Field(pattern=r"^/[^\s#]*$")] | None = None
    tls: Tls | None = None
    user: str | None = None
    secret: SecretStr | None = None
    authentication: Literal["basic", "text", "digest", "none"] | None = None
    connect_timeout: Seconds = 5
    max_reply: Annotated[int, Field(ge=1_000, le=256 << 20)] = 4 << 20

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.url and (self.host or self.port or self.path):
            raise ValueError("give either url, or host and port")
        if (self.host is None) != (self.port is None):
            raise ValueError("host and port come together")
        if (self.user is None) != (self.secret is None):
            raise ValueError("user and secret come together")
        return self

    def addresses(self, contract: Contract) -> tuple[str, ...]:
        """Every address to be tried, in order. Raises ValueError when there is none."""
        if self.url:
            return self.url
        if self.host is not None:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return (f"{'https' if self.tls else 'http'}://{host}:{self.port}{self.path or contract.path}",)
        if not urlsplit(contract.address).hostname:
            raise ValueError(f"{contract.file.name} has no address: give url, or host and port")
        return (contract.address,)


class SoapClient:
    """One partner (`adapters.drivers.Client`). A message's `command` is an operation of its contract."""

    def __init__(self, settings: SoapConnectorSettings, definition: Definition, contract: Contract, around: Surroundings) -> None:
        self._settings = settings
        self._codec = SoapClientCodec(contract, Limits(bytes=settings.max_reply), strict=definition.soap.strict,
                                      attach=definition.soap.attachments)
        self._answers = Answers(definition)
        self._definition = definition
        self._addresses = settings.addresses(contract)
        self._first = 0
        self._log = around.log
        self._reactor = around.reactor
        self._http = SoapHttp(around.reactor, around.site, tls=settings.tls, timeout=settings.connect_timeout,
                              max_reply=settings.max_reply, keep=definition.window)
        self._state = "idle"
        self._authentication = settings.authentication or ("none" if definition.soap.proves else "basic")
        self._user = settings.user or ""
        self._secret = settings.secret.get_secret_value() if settings.secret is not None else ""
        self._session: HeaderSession | None = None
        if definition.soap.session is not None:
            self._session = HeaderSession(
                definition.soap.session, self._user, self._secret, self._ask,
                lambda reply: self._class(reply) is Result.SUCCESS, around.reactor, definition.timeout)

    async def start(self) -> None:
        """Nothing to do: connections are made when they are needed, and kept."""

    async def stop(self) -> None:
        """Log out, if that is quick, and close everything."""
        if self._session is not None:
            await Deferred.fromCoroutine(self._session.end()).addTimeout(LOGOUT_SECONDS, self._reactor, lambda _result, _timeout: None)
        await self._http.stop()

    def status(self) -> Mapping[str, Any]:
        """Where the requests go, and how the last one went: `idle` (none yet), `up` or `down`."""
        session = {"session": self._session.state} if self._session is not None else {}
        return {"peer": _shown(self._addresses[self._first]), "state": self._state, **session}

    async def request(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask once, the next address when one cannot be reached. Raises NotSent, OutcomeUnknown, and Failure for what the
        contract cannot say.

        A request refused because its session is gone has done nothing: it is sent again in a new session, once.
        """
        operation = str(message["command"])
        if self._session is None:
            return await self._ask(operation, message["fields"], {})
        which, headers = await self._session.headers()
        reply = await self._ask(operation, message["fields"], headers)
        if self._class(reply) is Result.SESSION_LOST:
            self._session.lost(which)
            which, headers = await self._session.headers()
            reply = await self._ask(operation, message["fields"], headers)
            if self._class(reply) is Result.SESSION_LOST:
                self._session.lost(which)
        return reply

    def _class(self, reply: Mapping[str, Any]) -> Result:
        return self._definition.classify(self._answers.code(reply))

    async def _ask(self, operation: str, fields: Mapping[str, Any], headers: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            shown = self._definition.soap.shown(self._user, self._secret, datetime.now(UTC), operation)
            outgoing = self._codec.request(operation, fields, {**shown, **headers}, self._token())
        except MappingError as error:
            raise Failure(Kind.INVALID, f"{operation}: soap.headers: {error}") from None
        except LocalProtocolError as error:
            raise Failure(Kind.INVALID, f"{operation}: {error.message}") from None
        number, answer = await self._post((*outgoing.headers, *self._basic()), outgoing.body)
        try:
            return self._seen(operation, answer)
        except OutcomeUnknown:
            self._leave(number)
            raise

    async def _post(self, headers: tuple[tuple[str, str], ...], body: bytes) -> tuple[int, Answer]:
        """Ask at the address that answered last, or the next that can be reached. Returns which it was, and the answer."""
        for tried in range(len(self._addresses)):
            number = (self._first + tried) % len(self._addresses)
            try:
                answer = await self._http.post(self._addresses[number], headers, body)
            except NotSent as error:
                self._down(number, error)
                if isinstance(error, GivenUp):
                    self._leave(number)
                    raise
                if tried + 1 == len(self._addresses):
                    raise
            except OutcomeUnknown as error:
                self._down(number, error)
                self._leave(number)
                raise
            else:
                self._first, self._state = number, "up"
                return number, answer
        raise NotSent("no address")

    def _leave(self, number: int) -> None:
        """Begin with the next address from now on, unless that is so already."""
        if self._first == number:
            self._first = (number + 1) % len(self._addresses)

    def _down(self, number: int, error: Exception) -> None:
        self._state = "down"
        self._log.warning("partner does not answer", address=_shown(self._addresses[number]), reason=str(error),
                          sent=isinstance(error, OutcomeUnknown))

    def _seen(self, operation: str, answer: Answer) -> Mapping[str, Any]:
        if answer.status == 202 and not answer.body.strip():
            return self._answers.seen(Reply({}))
        # A fault comes with status 500 (SOAP 1.1, 6.2); some servers send it with 200, and 1.2 allows 400.
        # Not every partner gets the media type right: what looks like XML is tried.
        if answer.status in (200, 400, 500) and (answer.body.lstrip()[:1] == b"<" or "multipart/related" in answer.content_type.lower()):
            try:
                reply = self._codec.reply(operation, answer.body, answer.content_type)
            except RemoteProtocolError as error:
                if answer.status == 200:
                    self._log.warning("answer cannot be read", operation=operation, reason=error.message)
                    raise OutcomeUnknown(f"the answer cannot be read: {error.message}") from None
            else:
                return self._answers.seen(reply)
        code = f"HTTP.{answer.status}"
        listed = any(code in codes for codes in self._definition.results.classes.values())
        if listed or (300 <= answer.status < 500 and answer.status != 408):
            return self._answers.coded(code, f"HTTP status {answer.status} without a SOAP answer")
        # Some machine on the way, or the partner's own, failed: nobody knows how far the request has come.
        raise OutcomeUnknown(f"HTTP status {answer.status} without a SOAP answer")

    def _basic(self) -> tuple[tuple[str, str], ...]:
        if self._settings.user is None or self._authentication != "basic":
            return ()
        pair = f"{self._user}:{self._secret}"
        return (("Authorization", "Basic " + base64.b64encode(pair.encode()).decode()),)

    def _token(self) -> UsernameToken | None:
        if self._settings.user is None or self._authentication in ("basic", "none"):
            return None
        if self._authentication == "text":
            return UsernameToken(self._user, self._secret)
        return UsernameToken(self._user, self._secret, secrets.token_bytes(16), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _shown(address: str) -> str:
    """An address without its query, where some partners want keys."""
    return address.partition("?")[0]


def make_soap_connector(name: str, settings: SoapConnectorSettings, around: Surroundings) -> Driver:
    """Make the connector of the protocol file that `settings.protocol` names.

    Raises KeyError, DefinitionError and ContractError.
    """
    definition = Definition.load(around.protocols[settings.protocol])
    contract = contract_of(definition, around.site / "protocols")
    return make_connector(name, settings, around, SoapClient(settings, definition, contract, around))
