"""The driver: ask, classify the answer, and settle every unknown outcome by a query before anything is sent again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import ValidationError
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.defer import TimeoutError as DeferredTimeout

from core.credit.objects import BureauReport, QueryBureau
from core.provisioning.objects import ResourceCommand, ResourceCommandResult
from plugins.api import BusinessObject, Envelope, Failure, Kind, Surroundings, TryAgain
from protocols.mapping import Definition, MappingError, Operation, Result, Template
from protocols.mapping.definition import Send

TRIP_AFTER = 5
"""Calls in a row without an answer before the breaker opens."""
TRIP_SECONDS = 10.0


class NotSent(Exception):
    """The message certainly did not reach the peer."""


class OutcomeUnknown(Exception):
    """The message may have reached the peer; no answer came."""


class Client(Protocol):
    """A foreign client. A message is {command, fields}; a reply a plain nested dict in which the file's paths are looked up."""

    async def start(self) -> None:
        """Begin to connect."""

    async def request(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask once. Raises NotSent or OutcomeUnknown."""

    async def stop(self) -> None:
        """Close everything at once."""

    def status(self) -> Mapping[str, Any]:
        """At least `peer` and `state`."""


class Driver:
    """A Connector over one client, as `definition` says."""

    def __init__(self, name: str, definition: Definition, client: Client, reactor: Any) -> None:
        self.name = name
        self._definition = definition
        self._client = client
        self._reactor = reactor
        self._window = DeferredSemaphore(definition.window)
        self._code = Template(definition.results.code)
        self._text = Template(definition.results.text)
        self._silent = 0
        self._open_until = 0.0
        self._idle: list[Deferred[None]] = []
        self._busy = 0
        self._draining = False

    async def start(self) -> None:
        """Begin to connect."""
        await self._client.start()

    async def drain(self) -> None:
        """Take no new commands; return when those taken are answered."""
        self._draining = True
        if self._busy:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle

    async def stop(self) -> None:
        """Close everything at once."""
        self._draining = True
        await self._client.stop()

    def status(self) -> Mapping[str, Any]:
        """The client's status, with the commands under way and the breaker."""
        opened = self._reactor.seconds() < self._open_until
        return {**self._client.status(), "in_flight": self._busy, "breaker": "open" if opened else "closed"}

    async def perform(self, envelope: Envelope[Any]) -> BusinessObject:
        """Carry out one command. Raises TryAgain and Failure as plugins.api.Connector says."""
        if self._draining:
            raise TryAgain("draining")
        self._busy += 1
        try:
            return await self._perform(envelope)
        finally:
            self._busy -= 1
            if not self._busy:
                idle, self._idle = self._idle, []
                for waiting in idle:
                    waiting.callback(None)

    async def _perform(self, envelope: Envelope[Any]) -> BusinessObject:
        body = envelope.body
        command, data = _business(body)
        operation = self._definition.operations.get(command)
        if operation is None:
            raise Failure(Kind.UNKNOWN_OPERATION, f"{self.name} has no command {command}")
        try:
            asked = operation.check(data)
        except MappingError as error:
            raise Failure(Kind.INVALID, error.message, error.path) from None
        try:
            if envelope.attempt or getattr(body, "repeated", False):
                settled = await self._applied(operation, asked)
                if settled is not None:
                    return self._result(body, operation, settled)
            return self._result(body, operation, await self._send_all(operation, asked))
        except (NotSent, OutcomeUnknown) as error:
            # The next attempt asks before it sends, so trying again is safe in both cases.
            if self._reactor.seconds() - envelope.occurred_at.timestamp() >= self._definition.patience:
                raise Failure(Kind.UNAVAILABLE, f"{self.name} does not answer") from error
            raise TryAgain(f"{self.name} does not answer") from error
        except MappingError as error:
            raise Failure(Kind.INTERNAL, f"{self.name} and its protocol file disagree: {error}") from None

    async def _send_all(self, operation: Operation, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        reply: Mapping[str, Any] = {}
        for send in operation.send:
            result, reply = await self._ask(send, asked)
            if result is Result.AMBIGUOUS:
                raise OutcomeUnknown
            if result in (Result.RETRYABLE, Result.SESSION_LOST):
                raise TryAgain(f"{self.name}: {self._words(reply)}")
            absent_is_done = operation.query is not None and operation.query.absent
            if result is Result.REFUSED or (result is Result.NOT_FOUND and not absent_is_done):
                raise Failure(Kind.STATE, self._words(reply))
        return reply

    async def _applied(self, operation: Operation, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The query's reply when the command has been applied, None when it has not or may simply be repeated."""
        query = operation.query
        if query is None:
            return None
        result, reply = await self._ask(query.send, asked)
        if result is Result.NOT_FOUND:
            return reply if query.absent else None
        if result is not Result.SUCCESS:
            # A query that cannot be answered settles nothing: sending now might apply the command twice.
            raise OutcomeUnknown
        seen = {"asked": asked, "reply": reply}
        return reply if query.applied and all(c.holds(seen) for c in query.applied) else None

    async def _ask(self, send: Send, asked: Mapping[str, Any]) -> tuple[Result, Mapping[str, Any]]:
        message = {"command": send.command, "fields": send.pack(asked)}
        await self._window.acquire()
        try:
            if self._reactor.seconds() < self._open_until:
                raise NotSent("the breaker is open")
            try:
                waiting = Deferred.fromCoroutine(self._client.request(message))
                reply = await waiting.addTimeout(self._definition.timeout, self._reactor)
            except (DeferredTimeout, NotSent, OutcomeUnknown) as error:
                self._silent += 1
                if self._silent >= TRIP_AFTER:
                    self._open_until = self._reactor.seconds() + TRIP_SECONDS
                if isinstance(error, DeferredTimeout):
                    raise OutcomeUnknown from error
                raise
            self._silent = 0
        finally:
            self._window.release()
        return self._definition.classify(str(self._code.fill(reply))), reply

    def _words(self, reply: Mapping[str, Any]) -> str:
        return f"{self._code.fill(reply)} {self._text.fill(reply) or ''}".strip()

    def _result(self, body: BusinessObject, operation: Operation, reply: Mapping[str, Any]) -> BusinessObject:
        if isinstance(body, ResourceCommand):
            return ResourceCommandResult(workOrder=body.workOrder, done=True, code=_text(self._code.fill(reply)),
                                         text=_text(self._text.fill(reply)))
        try:
            return BureauReport.model_validate(operation.parse(reply))
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise MappingError(where, "does not fit the business object") from None


def _text(value: Any) -> str | None:
    return str(value)[:255] if value not in (None, "") else None


def _business(body: BusinessObject) -> tuple[str, Mapping[str, Any]]:
    if isinstance(body, ResourceCommand):
        return body.command, {p.name: p.value for p in body.parameter}
    if isinstance(body, QueryBureau):
        return "QueryBureau", body.model_dump(mode="json")
    raise Failure(Kind.UNKNOWN_OPERATION, f"{type(body).__name__} is not an outbound command")


def make_connector(name: str, settings: Any, around: Surroundings, client: Client) -> Driver:
    """Make the connector of the protocol file that `settings.protocol` names. Raises KeyError or DefinitionError."""
    return Driver(name, Definition.load(around.protocols[settings.protocol]), client, around.reactor)
