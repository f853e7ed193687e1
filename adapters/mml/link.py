"""One connection to a peer: commands out, each answer to who waits for it, and the signs of life."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredQueue, QueueOverflow
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure as TwistedFailure

from adapters.drivers import NotSent, OutcomeUnknown
from adapters.mml.telnet import Telnet
from protocols.base import LocalProtocolError
from protocols.dialects import client_codec, server_codec
from protocols.mml import (
    Acknowledgement,
    Alarm,
    Command,
    Dialect,
    Heartbeat,
    Joiner,
    Malformed,
    Prompt,
    Report,
)

NOBODY = "00000000"
"""What stands in a frame's session field until the login has given it one."""
_UNREAD = 1_000
"""What a peer may say before it has let us in; one that says more is dropped."""
_LINGER = 2.0
"""Seconds in which a peer may take our logout before the connection is cut."""
_TAKEN = frozenset({"IP", "PF"})
"""Acknowledgements (Telcordia GR-831) after which the answer still comes; OK, NA, NG and RL are all the answer there is."""


class Owner(Protocol):
    """Whom a connection belongs to."""

    reactor: Any
    log: Any
    dialect: Dialect
    timeout: float
    interval: float
    misses: int

    def alarm(self, said: Alarm) -> None:
        """The peer has said something unasked."""

    def freed(self) -> None:
        """A command has its answer: there may be room for another."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A command that waits for its answer."""

    command: Command
    sent: float
    answer: Deferred[Report] = field(default_factory=Deferred)
    parts: Joiner = field(default_factory=Joiner)
    timer: Any = None


class Link(TwistedProtocol):
    """Correlates answers with commands as the dialect says: by their order, by the echo too, by transaction id or by ctag.

    Where order decides, a command that is not answered in time costs the connection, for its answer, coming late, could be
    taken for that of the next command's. Where an id decides, it does so only when the peer has been silent since.
    `ended` fires with the reason when the connection is over, before those who wait for answers are told.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._session = owner.dialect.session
        self._codec = client_codec(owner.dialect)
        self._telnet = Telnet() if self._session.telnet else None
        self._by_id = self._session.correlation in {"transaction", "ctag"}
        self._waiting: dict[str, _Asked] = {}
        self._count = 0
        self._unread: DeferredQueue[Prompt | Alarm] | None = None
        self._heard = 0.0
        self._beats = 0
        self._unanswered = 0
        self._gone = False
        self._reason = ""
        self._life = LoopingCall(self._sign_of_life)
        self._life.clock = owner.reactor
        self._linger: Any = None
        self.number = NOBODY
        self.logged_in = False
        self.ready = False
        self.busy = 0
        self.ended: Deferred[str] = Deferred()

    # Asking.

    async def ask(self, command: Command) -> Report:
        """Send a command and wait for its whole answer. Raises LocalProtocolError, NotSent or OutcomeUnknown.

        The first part may take the owner's `timeout`, each further one the dialect's `part_timeout`.
        """
        if self._gone:
            raise NotSent("not connected")
        self._count += 1
        key, message = self._named(command)
        data = self._codec.send(message)
        asked = self._waiting[key] = _Asked(command, self._owner.reactor.seconds())
        asked.timer = self._owner.reactor.callLater(self._owner.timeout, self._late, key)
        self._write(data)
        try:
            return await asked.answer
        except CancelledError as error:
            self._late(key)
            raise OutcomeUnknown("no answer in time") from error
        finally:
            if asked.timer.active():
                asked.timer.cancel()

    def _named(self, command: Command) -> tuple[str, Command]:
        if self._session.correlation == "ctag":
            key = str(self._count % 1_000_000 or 1)
        elif self._by_id:
            key = f"{self._count % 0xFFFFFFFF or 1:08X}"
        else:
            return str(self._count), replace(command, session=self.number) if self._owner.dialect.numbers_sessions else command
        if key in self._waiting:
            raise NotSent("every transaction number is in use")
        return key, replace(command, session=self.number, transaction=key)

    def command(self, text: str) -> Command:
        """Read a whole command that an operator wrote. Raises LocalProtocolError."""
        (read,) = server_codec(self._owner.dialect).receive_data(self._codec.whole(text))
        assert isinstance(read, Command)
        return replace(read, transaction="", session="")

    # Talking before there are commands (a login by prompts).

    def begin_talk(self) -> None:
        """From now on prompts and texts are for `hear`."""
        self._unread = self._unread or DeferredQueue(_UNREAD)

    def end_talk(self) -> None:
        """From now on texts are alarms again."""
        self._unread = None

    async def hear(self) -> Prompt | Alarm:
        """Wait for the next prompt or text. Raises NotSent when the connection ends first."""
        if self._gone or self._unread is None:
            raise NotSent(self._reason or "not connected")
        return await self._unread.get()

    def say(self, text: str) -> None:
        """Send a line that is no command. Raises LocalProtocolError."""
        self._write(self._codec.line(text))

    def leave(self, reason: str) -> None:
        """Log out, where we are logged in and the dialect has a word for it, so that the peer frees our session; then close."""
        if self._gone or not self.ready or not self._session.logout or not self.logged_in:
            self.drop(reason)
            return
        try:
            _, message = self._named(Command(self._session.logout))
            data = self._codec.send(message)
        except (LocalProtocolError, NotSent):
            self.drop(reason)
            return
        transport: Any = self.transport
        self._write(data)
        transport.loseConnection()
        self._linger = self._owner.reactor.callLater(_LINGER, transport.abortConnection)
        self._end(reason)

    def drop(self, reason: str) -> None:
        """Close the connection at once; whoever waits for an answer gets OutcomeUnknown."""
        if not self._gone:
            transport: Any = self.transport
            transport.abortConnection()
            self._end(reason)

    # Twisted's side.

    def connectionMade(self) -> None:
        """Begin to listen for signs of life."""
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        if self._session.login.dialogue:
            self.begin_talk()
        self._heard = self._owner.reactor.seconds()
        if self._session.keepalive.send != "none":
            self._life.start(self._owner.interval, now=False).addErrback(lambda failure: self.drop(failure.getErrorMessage()))

    def dataReceived(self, data: bytes) -> None:
        """Take answers, alarms, prompts and heartbeats."""
        self._heard = self._owner.reactor.seconds()
        self._unanswered = 0
        if self._telnet is not None:
            data, answer = self._telnet.receive(data)
            if answer:
                transport: Any = self.transport
                transport.write(answer)
        self._events(data)

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        """The connection is gone; its last words may still be an answer."""
        if not self._gone:
            self._events(b"")
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        self._end(reason.getErrorMessage())

    def _events(self, data: bytes) -> None:
        for event in self._codec.receive_data(data):
            if self._gone:
                return
            if isinstance(event, Report):
                self._answered(event)
            elif isinstance(event, Acknowledgement):
                self._acknowledged(event)
            elif isinstance(event, Malformed):
                self._not_understood(event)
            elif isinstance(event, Heartbeat):
                self._heartbeat(event)
            elif self._unread is not None:
                self._overheard(event)
            elif isinstance(event, Alarm):
                self._owner.alarm(event)

    def _overheard(self, event: Prompt | Alarm) -> None:
        try:
            assert self._unread is not None
            self._unread.put(event)
        except QueueOverflow:
            self.drop("talks and talks instead of letting us in")

    def _write(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(data if self._telnet is None else Telnet.escaped(data))

    # Answers and their absence.

    def _key_of(self, report: Report) -> str | None:
        """Whose answer it is; None when nobody waits for it."""
        if self._by_id:
            key = report.transaction.upper()
            if key in self._waiting:
                return key
            # Some peers answer with a constant instead of the ctag they were given (`CTAG`, 0): then there is no doubt only with one.
            constant = self._session.correlation == "ctag" and not (key.isdecimal() and int(key))
            return next(iter(self._waiting)) if constant and len(self._waiting) == 1 else None
        first = next(iter(self._waiting), None)
        if first is None or self._session.correlation != "echo" or not report.command:
            return first
        return first if self._waiting[first].command.name in " ".join(report.command.upper().split()) else None

    def _answered(self, report: Report) -> None:
        key = self._key_of(report)
        if key is None:
            self._owner.alarm(Alarm.of(f"an answer nobody waits for: {report.retcode} {report.description}"))
            return
        asked = self._waiting[key]
        if not report.more and self._owner.dialect.results.means(report.retcode) == "progress":
            report = replace(report, more=True)
        whole = asked.parts.add(report)
        if whole is None:
            asked.timer.reset(self._session.part_timeout)
        else:
            self._waiting.pop(key)
            self._fire(asked, whole)

    def _acknowledged(self, event: Acknowledgement) -> None:
        asked = self._waiting.get(event.transaction.upper())
        if asked is None:
            return
        if event.code in _TAKEN:
            asked.timer.reset(self._session.part_timeout)
        else:
            self._waiting.pop(event.transaction.upper())
            self._fire(asked, Report(event.code, transaction=event.transaction))

    def _not_understood(self, event: Malformed) -> None:
        """An answer that cannot be read is an unknown outcome; where order decides nobody knows whose it was, so the connection ends."""
        self._owner.log.warning("not understood", reason=str(event.error))
        asked = self._waiting.pop(event.transaction.upper(), None) if self._by_id else None
        if asked is not None:
            self._fire(asked, OutcomeUnknown(str(event.error)))
        elif not self._by_id or event.error.fatal:
            self.drop(str(event.error))

    def _late(self, key: str) -> None:
        asked = self._waiting.pop(key, None)
        if asked is None:
            return
        reason = "the rest of the answer did not come in time" if asked.parts.waiting else "no answer in time"
        if not self._by_id or self._heard < asked.sent:
            self.drop(reason)
        self._fire(asked, OutcomeUnknown(reason))

    @staticmethod
    def _fire(asked: _Asked, outcome: Report | OutcomeUnknown) -> None:
        if asked.timer.active():
            asked.timer.cancel()
        if asked.answer.called:
            return
        if isinstance(outcome, Report):
            asked.answer.callback(outcome)
        else:
            asked.answer.errback(outcome)

    # Signs of life.

    def _heartbeat(self, beat: Heartbeat) -> None:
        """The answer to ours; or the peer's own, which is answered."""
        if beat.kind == "question" or (beat.kind == "either" and not self._beats):
            self._write(self._codec.send(Heartbeat("answer")))
        else:
            self._beats = max(self._beats - 1, 0)

    def _sign_of_life(self) -> None:
        """After an interval of silence ask for a sign; after too many in vain give the peer up."""
        keepalive = self._session.keepalive
        if self._owner.reactor.seconds() - self._heard < self._owner.interval:
            return
        if self._unanswered >= self._owner.misses:
            self.drop(f"no sign of life for {self._owner.reactor.seconds() - self._heard:g} seconds")
        elif keepalive.send == "heartbeat" and not (keepalive.skip_while_busy and self._waiting):
            self._unanswered += 1
            self._beats = min(self._beats + 1, self._owner.misses)
            self._write(self._codec.send(Heartbeat()))
        elif keepalive.send == "command" and self.ready and not self.busy and not self._waiting:
            self._unanswered += 1
            self.busy += 1
            Deferred.fromCoroutine(self._ask_for_life(keepalive.command)).addErrback(lambda failure: self.drop(failure.getErrorMessage()))

    async def _ask_for_life(self, text: str) -> None:
        try:
            answer = await self.ask(self.command(text))
        except (NotSent, OutcomeUnknown):
            return
        finally:
            self.busy -= 1
            self._owner.freed()
        if self._owner.dialect.results.means(answer.retcode) == "session_lost":
            self.drop("the session is lost")

    def _end(self, reason: str) -> None:
        if self._gone:
            return
        self._gone, self.ready, self._reason = True, False, reason
        if self._life.running:
            self._life.stop()
        waiting, self._waiting = list(self._waiting.values()), {}
        unread, self._unread = self._unread, None
        self.ended.callback(reason)
        for asked in waiting:
            self._fire(asked, OutcomeUnknown(reason))
        for hearer in list(unread.waiting) if unread is not None else ():
            hearer.errback(NotSent(reason))
