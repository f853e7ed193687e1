"""One connection to a peer: who waits for which answer, the login, and the signs of life."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure as TwistedFailure

from adapters.drivers import NotSent, OutcomeUnknown
from protocols.mml import Command, Heartbeat, Malformed, MmlClientCodec, Report

if TYPE_CHECKING:
    from adapters.mml.connector import MmlClient


class LoginRefused(Exception):
    """The peer does not let us in. The text is the peer's; it holds none of ours."""


class Link(Protocol):
    """Correlates answers with commands: by transaction id in frames, by their order in text.

    In text a command that is not answered in time costs the connection, for its answer, coming late, could be taken for that
    of the next command. In frames it costs the connection only when the peer has been silent since.
    """

    def __init__(self, client: MmlClient) -> None:
        self._client = client
        self._codec = MmlClientCodec(client.dialect)
        self._framed = client.dialect.framing == "framed"
        self._in_order: deque[Deferred[Report]] = deque()
        self._by_transaction: dict[str, Deferred[Report]] = {}
        self._transaction = 0
        self._number = "0" * 8
        self._logging_in: list[Deferred[None]] | None = None
        self._logged_in = False
        self._gone = False
        self._heard = 0.0
        self._reason = ""
        self._beat = LoopingCall(self._sign_of_life)
        self._beat.clock = client.reactor

    @property
    def ready(self) -> bool:
        """Whether a command can be sent now."""
        return self._logged_in and not self._gone

    async def log_in(self) -> None:
        """Log in, where the client has credentials. Raises LoginRefused, NotSent or OutcomeUnknown."""
        settings, dialect = self._client.settings, self._client.dialect
        self._logged_in = False
        self._number = "0" * 8
        if settings.user is not None and settings.secret is not None:
            login = Command(dialect.login.command, ((dialect.login.user, settings.user),
                                                    (dialect.login.secret, settings.secret.get_secret_value())), dialogue="DLGLGN")
            answer = await self.ask(login)
            if answer.retcode not in dialect.results.success:
                raise LoginRefused(f"login refused: {answer.retcode} {answer.description}")
            self._number = answer.session or self._number
        self._logged_in = True

    async def log_in_again(self) -> None:
        """Log in once for all whose commands found the session lost. Raises NotSent when it does not work."""
        if self._logging_in is not None:
            turn: Deferred[None] = Deferred()
            self._logging_in.append(turn)
            await turn
        else:
            self._logging_in = []
            try:
                await self.log_in()
            except (LoginRefused, OutcomeUnknown) as error:
                self.drop(str(error) or "no answer to the login")
            waiting, self._logging_in = self._logging_in, None
            for turn in waiting:
                turn.callback(None)
        if not self.ready:
            raise NotSent("the session is lost")

    async def ask(self, command: Command) -> Report:
        """Send a command and wait for its answer. Raises LocalProtocolError, NotSent or OutcomeUnknown."""
        if self._gone:
            raise NotSent("not connected")
        answer: Deferred[Report] = Deferred()
        transport: Any = self.transport
        if self._framed:
            self._transaction = self._transaction % 0xFFFFFFFF + 1
            transaction = f"{self._transaction:08X}"
            data = self._codec.send(replace(command, session=self._number, transaction=transaction))
            self._by_transaction[transaction] = answer
        else:
            data = self._codec.send(command)
            self._in_order.append(answer)
        sent = self._client.reactor.seconds()
        transport.write(data)
        try:
            return await answer.addTimeout(self._client.timeout, self._client.reactor)
        except (DeferredTimeout, CancelledError) as error:
            if not self._framed or self._heard < sent:
                self.drop("no answer in time")
            raise OutcomeUnknown("no answer in time") from error
        finally:
            if self._framed:
                self._by_transaction.pop(transaction, None)

    def drop(self, reason: str) -> None:
        """Close the connection at once; whoever waits for an answer gets OutcomeUnknown."""
        if not self._gone:
            self._reason = self._reason or reason
            transport: Any = self.transport
            transport.abortConnection()
            self._end()

    # Twisted's side.

    def connectionMade(self) -> None:
        """Begin to listen for signs of life."""
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        self._heard = self._client.reactor.seconds()
        if self._framed:
            self._beat.start(self._client.settings.heartbeat, now=False).addErrback(
                lambda failure: self.drop(failure.getErrorMessage()))

    def dataReceived(self, data: bytes) -> None:
        """Take answers, alarms and heartbeats."""
        self._heard = self._client.reactor.seconds()
        for event in self._codec.receive_data(data):
            if self._gone:
                return
            if isinstance(event, Report):
                self._answered(event)
            elif isinstance(event, Malformed):
                self._not_understood(event)
            elif not isinstance(event, Heartbeat):
                self._client.alarm(str(event))

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        """The connection is gone."""
        self._reason = self._reason or reason.getErrorMessage()
        self._end()

    # Answers and their absence.

    def _answered(self, report: Report) -> None:
        if report.retcode in self._client.dialect.results.progress:
            return
        waiting = self._by_transaction.pop(report.transaction.upper(), None) if self._framed else (
            self._in_order.popleft() if self._in_order else None)
        if waiting is not None and not waiting.called:
            waiting.callback(report)
        else:
            self._client.alarm(f"an answer nobody waits for: {report.retcode} {report.description}")

    def _not_understood(self, event: Malformed) -> None:
        """An answer that cannot be read is an unknown outcome; in text nobody knows whose it was, so the connection ends."""
        waiting = self._by_transaction.pop(event.transaction.upper(), None) if self._framed else None
        self._client.log.warning("not understood", reason=str(event.error))
        if waiting is not None and not waiting.called:
            waiting.errback(OutcomeUnknown(str(event.error)))
        elif not self._framed or event.error.fatal:
            self.drop(str(event.error))

    def _sign_of_life(self) -> None:
        settings = self._client.settings
        if self._client.reactor.seconds() - self._heard >= settings.heartbeat * settings.misses:
            self.drop(f"no sign of life for {settings.heartbeat * settings.misses:g} seconds")
        else:
            transport: Any = self.transport
            transport.write(self._codec.send(Heartbeat()))

    def _end(self) -> None:
        if self._gone:
            return
        self._gone = True
        if self._beat.running:
            self._beat.stop()
        waiting = [*self._in_order, *self._by_transaction.values()]
        self._in_order.clear()
        self._by_transaction.clear()
        self._client.lost(self, self._reason)
        for answer in waiting:
            if not answer.called:
                answer.errback(OutcomeUnknown(self._reason))
