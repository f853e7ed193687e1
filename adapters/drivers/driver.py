"""The driver: ask, classify the answer, and settle every unknown outcome by a query before anything is sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Protocol

from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from adapters.turns import Places
from core.credit.objects import BureauReport, QueryBureau
from core.messages.base import Characteristic
from core.provisioning.objects import ResourceCommand, ResourceCommandResult
from plugins.api import BusinessObject, Envelope, Failure, Kind, Surroundings, TryAgain
from protocols.mapping import Definition, MappingError, Message, Operation, Query, Result, Send, Template
from protocols.mapping.engine import text_of

TRIP_AFTER = 5
"""Messages in a row that were sent and not answered before the breaker opens. A peer that is not connected costs nothing to ask."""
TRIP_SECONDS = 10.0


_Reply = Mapping[str, Any]
TOLD: _Reply = {"retcode": "0", "description": "", "fields": {}, "headers": {}}
"""Stands for the reply to what is only told: that it has been taken is success, whatever code the file looks for in replies."""


class NotSent(Exception):
    """The message certainly did not reach the peer."""


class OutcomeUnknown(Exception):
    """The message may have reached the peer; no answer came."""


class _Late(Exception):
    """The deadline has passed, so the message was not sent."""


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
    """A Connector over one client, as `definition` says. `now` is Unix time, which `reactor` does not tell: it counts evenly.

    Three times bound a command. The file's `timeout`: until the whole answer to one message is there, all its parts. The envelope's
    `deadline`: no message that changes anything is sent after it, or waited for beyond it; what was sent is settled by its query
    even then, and the steps before are taken back. The file's `patience`: how long it is tried again at all. `log` hears of the breaker,
    and of answers that put a command off.
    """

    def __init__(self, name: str, definition: Definition, client: Client, reactor: Any, now: Callable[[], float],
                 log: Any | None = None) -> None:
        self.name = name
        self._log = log
        self._definition = definition
        self._client = client
        self._reactor = reactor
        self._now = now
        self._window = Places(definition.window)
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
        """The client's status, with the commands under way and the breaker; an open one is what is wrong."""
        told = {**self._client.status(), "in_flight": self._busy, "breaker": "closed"}
        if self._reactor.seconds() < self._open_until:
            told |= {"breaker": "open", "last_error": f"{self._silent} messages in a row were not answered; none is sent for a while"}
        return told

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
        repeated = envelope.attempt > 0 or getattr(body, "repeated", False)
        try:
            try:
                ends = inf if envelope.deadline is None else envelope.deadline.timestamp()
                return self._result(body, operation, *await self._carry_out(operation, asked, ends, repeated=repeated))
            except (TryAgain, NotSent, OutcomeUnknown) as error:
                if self._now() - envelope.occurred_at.timestamp() < self._definition.patience:
                    raise
                said = str(error) if isinstance(error, TryAgain) else f"{self.name} does not answer"
                raise Failure(Kind.UNAVAILABLE, said) from error
        except NotSent as error:
            raise TryAgain(f"{self.name} does not answer") from error
        except OutcomeUnknown as error:
            # The next attempt asks before it sends, so trying again is safe.
            raise TryAgain(f"{self.name} does not answer", self._definition.settle or None) from error
        except MappingError as error:
            raise Failure(Kind.INTERNAL, f"{self.name} and its protocol file disagree: {error}") from None

    async def _carry_out(self, operation: Operation, asked: Mapping[str, Any], ends: float, *,
                         repeated: bool) -> tuple[_Reply, Query | None]:
        """Take the steps that are not taken yet. Returns the last reply, and the query that gave it if no step was left to take."""
        steps = operation.steps(asked)
        if not steps:
            raise Failure(Kind.INVALID, "nothing to do")
        done, reply, query = await self._taken(steps, asked) if repeated else (0, {}, None)
        for number in range(done, len(steps)):
            try:
                reply, query = await self._take(steps[number], asked, ends)
            except _Late:
                sent = f"{number} of {len(steps)} messages had been sent" if number else "nothing was sent"
                late = Failure(Kind.TIMEOUT, f"the deadline passed; {sent}")
                await self._undo(steps[:number], asked, late)
                raise late from None
            except Failure as failure:
                await self._undo(steps[:number], asked, failure)
                raise
        return reply, query

    async def _taken(self, steps: Sequence[Send], asked: Mapping[str, Any]) -> tuple[int, _Reply, Query | None]:
        """How many steps have been taken. Looks from the last one back, for a later step may hide the traces of an earlier one."""
        for number in range(len(steps) - 1, -1, -1):
            query = steps[number].query
            if query is not None and (reply := await self._applied(query, asked)) is not None:
                return number + 1, reply, query
        return 0, {}, None

    async def _take(self, step: Send, asked: Mapping[str, Any], ends: float) -> tuple[_Reply, Query | None]:
        """Take one step. Returns the reply, and the query if it was that which gave it.

        Raises TryAgain, OutcomeUnknown, _Late, and Failure when the step is refused for good.
        """
        result, reply = await self._ask(step, asked, ends)
        if result in {Result.RETRYABLE, Result.SESSION_LOST}:
            if self._log is not None:
                self._log.info("not now, says the peer: tried again later", command=step.command, answer=self._words(reply))
            raise TryAgain(f"{self.name}: {self._words(reply)}")
        if result in {Result.AMBIGUOUS, Result.ALREADY_DONE} and step.query is not None:
            # Done perhaps, or done by somebody else in another way: only the element knows.
            settled = await self._applied(step.query, asked)
            if settled is not None:
                return settled, step.query
            if result is Result.AMBIGUOUS:
                raise OutcomeUnknown
            raise Failure(Kind.STATE, self._words(reply))
        if result is Result.AMBIGUOUS:
            raise OutcomeUnknown
        absent_is_done = step.query is not None and step.query.absent
        if result is Result.REFUSED or (result is Result.NOT_FOUND and not absent_is_done):
            raise Failure(Kind.STATE, self._words(reply))
        return reply, None

    async def _undo(self, steps: Sequence[Send], asked: Mapping[str, Any], failure: Failure) -> None:
        """Take back the steps before the one that was refused, the last one first. Raises TryAgain or OutcomeUnknown when that has to
        wait: then the whole command is tried again, and refused again.
        """
        left = []
        for step in reversed(steps):
            if step.undo is None:
                continue
            result, reply = await self._ask(step.undo, asked)
            if result in {Result.RETRYABLE, Result.SESSION_LOST}:
                raise TryAgain(f"{self.name}: {self._words(reply)}")
            if result is Result.AMBIGUOUS:
                raise OutcomeUnknown
            if result is Result.REFUSED:
                left.append(step.command)
        if left:
            raise Failure(Kind.STATE, f"{failure.message}; could not be undone: {', '.join(left)}")

    async def _applied(self, query: Query, asked: Mapping[str, Any]) -> _Reply | None:
        """The query's reply when it proves that the step has been applied, None when it proves that it has not."""
        result, reply = await self._ask(query.send, asked)
        if result is Result.NOT_FOUND:
            return reply if query.absent else None
        if result is not Result.SUCCESS:
            # A query that cannot be answered settles nothing: sending now might apply the step twice.
            raise OutcomeUnknown
        seen = {"asked": asked, "reply": reply}
        return reply if query.applied and all(c.holds(seen) for c in query.applied) else None

    async def _ask(self, message: Message, asked: Mapping[str, Any], ends: float = inf) -> tuple[Result, _Reply]:
        said = {"command": message.command, "fields": message.pack(asked)}
        await self._window.take()
        try:
            left = ends - self._now()
            if left <= 0:
                raise _Late
            if self._reactor.seconds() < self._open_until:
                raise NotSent("the breaker is open")
            try:
                waiting = Deferred.fromCoroutine(self._client.request(said))
                reply = await waiting.addTimeout(min(self._definition.timeout, left), self._reactor)
            except (DeferredTimeout, OutcomeUnknown) as error:
                self._unanswered()
                raise OutcomeUnknown from error
            if self._silent >= TRIP_AFTER and self._log is not None:
                self._log.info("the breaker closes: the peer answers again", unanswered=self._silent)
            self._silent = 0
        finally:
            self._window.leave()
        return Result.SUCCESS if reply is TOLD else self._definition.classify(str(self._code.fill(reply))), reply

    def _unanswered(self) -> None:
        self._silent += 1
        if self._silent < TRIP_AFTER:
            return
        self._open_until = self._reactor.seconds() + TRIP_SECONDS
        if self._silent == TRIP_AFTER and self._log is not None:
            self._log.warning("the breaker opens: the peer does not answer", unanswered=self._silent, seconds=TRIP_SECONDS)

    def _words(self, reply: _Reply) -> str:
        return f"{self._code.fill(reply)} {self._text.fill(reply) or ''}".strip()

    def _result(self, body: BusinessObject, operation: Operation, reply: _Reply, query: Query | None) -> BusinessObject:
        """The business reply; the query that settled the command may say how its own reply is read."""
        fields = query.parse(reply) if query is not None else None
        if isinstance(body, ResourceCommand):
            if fields is None:
                fields = operation.parse(reply)
            told = tuple(Characteristic(name=name, value=text_of(value)) for name, value in fields.items())
            return ResourceCommandResult(workOrder=body.workOrder, done=True, code=_text(self._code.fill(reply)),
                                         text=_text(self._text.fill(reply)), parameter=told)
        try:
            return BureauReport.model_validate(operation.parse(reply) if fields is None else fields)
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
    return Driver(name, Definition.load(around.protocols[settings.protocol]), client, around.reactor, time.time, around.log)
