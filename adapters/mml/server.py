"""One peer of the listener: its commands in, one answer each, in order; its session from login to logout."""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure as TwistedFailure
from zope.interface import implementer  # type: ignore[import-untyped]  # ships no types

from adapters.mml.dialogue import Dialogue
from adapters.mml.telnet import Telnet
from adapters.sending import send
from plugins.api import Failure, Kind, Session
from protocols.base import CodecError, LocalProtocolError
from protocols.dialects import server_codec
from protocols.mml import Command, Heartbeat, Malformed, Prompt, Report, parted

if TYPE_CHECKING:
    from adapters.mml.listener import MmlListener

_NOBODY = {"", "0", "00000000"}
"""What stands in a frame's session field before the login has given it one."""
_LINGER = 1.0
"""Seconds between our last byte and the close: closing over bytes that are still coming in would destroy the last answer."""


@dataclass(slots=True)
class _Taken:
    """A command that was taken, and its answer as soon as there is one."""

    command: Command | Malformed
    answer: bytes | None = None


@implementer(IPushProducer, IHalfCloseableProtocol)
class Connection(Protocol):
    """A connection. Where the dialect tells answers apart by an id, commands are carried out side by side, as many as the window
    allows; elsewhere one after the other.

    Answers leave in the order of the commands. When the window is full, or the peer does not read its answers, it is not
    read either; when it goes on not reading, it is cut off. A connection that breaks ends nothing that was accepted.
    """

    def __init__(self, listener: MmlListener, peer: str) -> None:
        self._listener = listener
        self._peer = peer
        dialect = listener.dialect
        self._codec = server_codec(dialect)
        self._telnet = Telnet() if dialect.session.telnet else None
        self._dialogue = Dialogue(dialect.session.login.dialogue, dialect.charset) if dialect.session.login.dialogue else None
        self._numbered = dialect.numbers_sessions
        self._names_only = dialect.report.form == "inline"
        self._side_by_side = listener.settings.window if dialect.session.window > 1 else 1
        self._session: Session | None = None
        self._number = ""
        self._waiting: deque[_Taken] = deque()
        self._taken: deque[_Taken] = deque()
        self._working = 0
        self._pumping = False
        self._ending = False
        self._closing = False
        self._full = False
        self._reading = True
        self._heard_all = False
        self._heard = listener.reactor.seconds()
        self._idle: Any = None
        self._cut: Any = None
        self._linger: Any = None

    # Twisted's side: bytes, pauses, the end.

    def connectionMade(self) -> None:
        """Begin a session, or say that there are too many."""
        self._listener.connections[self] = None
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        transport.registerProducer(self, streaming=True)
        try:
            self._open_session()
        except Failure as failure:
            self._write(self._encoded(self._refusal(failure, Command(""))))
            self.end("too many sessions")
            return
        self._watch()
        self._greet()

    def _greet(self) -> None:
        session = self._listener.dialect.session
        if session.greeting:
            self._show(session.greeting + self._listener.dialect.stream.line_end)
        if self._dialogue is not None:
            self._show(self._dialogue.prompt)
        elif session.prompts and session.prompt_written:
            self._show(session.prompts[0])

    def dataReceived(self, data: bytes) -> None:
        """Take commands from the peer."""
        if self._ending:
            return
        self._heard = self._listener.reactor.seconds()
        if self._telnet is not None:
            data, answer = self._telnet.receive(data)
            if answer:
                transport: Any = self.transport
                transport.write(answer)
        if self._dialogue is not None:
            data = self._ask_who(self._dialogue, data)
        self._take(data)
        self._pump()

    def _take(self, data: bytes) -> None:
        if self._dialogue is not None:
            return
        for event in self._codec.receive_data(data):
            if isinstance(event, Heartbeat):
                if event.kind != "answer":
                    self._write(self._codec.send(Heartbeat("answer")))
            else:
                self._waiting.append(_Taken(event))

    def readConnectionLost(self) -> None:
        """The peer has said all it had to say; it still gets its answers."""
        if not self._ending:
            self._take(b"")
        self._heard_all = True
        self.end("the peer closed its side")

    def writeConnectionLost(self) -> None:
        """Our side is closed; the peer's close follows."""

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:  # noqa: ARG002 (Twisted tells why)
        """Forget the peer. What it asked and was accepted goes on; nobody is told."""
        self._ending = self._closing = True
        self._waiting.clear()
        for timer in (self._cut, self._linger, self._idle):
            if timer is not None and timer.active():
                timer.cancel()
        if self._session is not None:
            self._listener.gateway.close_session(self._session)
        self._listener.gone(self)

    def pauseProducing(self) -> None:
        """The peer does not read its answers: make no more, and wait for it only so long."""
        self._full = True
        self._hold()
        self._limit_time()

    def resumeProducing(self) -> None:
        """The peer has read."""
        self._full = False
        if self._cut is not None and not self._closing:
            self._cut.cancel()
            self._cut = None
        self._pump()

    def stopProducing(self) -> None:
        """The connection is gone; `connectionLost` follows."""

    def _watch(self) -> None:
        """Look again when the peer could have been silent for the dialect's idle time; end the session when it has."""
        limit = self._listener.dialect.session.idle_timeout
        left = limit - (self._listener.reactor.seconds() - self._heard)
        if left <= 0 and not self._taken and not self._waiting:
            self.dismiss("idle")
        elif not self._ending:
            self._idle = self._listener.reactor.callLater(left if left > 0 else limit, self._watch)

    def _limit_time(self) -> None:
        if self._cut is None:
            self._cut = self._listener.reactor.callLater(self._listener.settings.write_timeout, self._too_slow)

    def _too_slow(self) -> None:
        self._listener.log.info("cut off: does not read its answers", listener=self._listener.name, peer=self._peer)
        self.abort()

    # The end, from our side.

    @property
    def party(self) -> str | None:
        """Who is logged in, if anybody is and stays."""
        return self._session.party if self._session is not None and not self._ending else None

    def end(self, reason: str) -> None:
        """Take no more from the peer; close when what was taken is answered."""
        if not self._ending:
            self._listener.log.info("ending a connection", listener=self._listener.name, peer=self._peer, reason=reason)
            self._ending = True
        self._pump()

    def dismiss(self, reason: str) -> None:
        """End the session for what it did or did not do (idle, too many failed logins): commands not begun are dropped."""
        self._waiting.clear()
        self.end(reason)

    def abort(self) -> None:
        """Close at once."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def _close(self) -> None:
        if self._closing:
            return
        self._closing = True
        transport: Any = self.transport
        transport.unregisterProducer()
        self._limit_time()
        if self._heard_all or self._listener.settings.tls is not None:
            transport.loseConnection()
        else:
            transport.loseWriteConnection()
            transport.resumeProducing()
            self._linger = self._listener.reactor.callLater(_LINGER, transport.loseConnection)

    # Commands in, answers out.

    def _pump(self) -> None:
        """Start what may start, then read on or not."""
        if self._pumping:
            return
        self._pumping = True
        while self._waiting and not self._full and self._working < self._side_by_side and not self._closing:
            taken = self._waiting.popleft()
            self._taken.append(taken)
            self._start(taken)
        self._pumping = False
        if self._ending and not self._waiting and not self._taken:
            self._close()
        self._hold()

    def _hold(self) -> None:
        """Read from the peer only while there is room for what it may say."""
        wanted = not (self._ending or self._full or len(self._waiting) + len(self._taken) >= self._listener.settings.window)
        if wanted != self._reading and not self._closing:
            self._reading = wanted
            transport: Any = self.transport
            (transport.resumeProducing if wanted else transport.pauseProducing)()

    def _start(self, taken: _Taken) -> None:
        self._working += 1
        command = taken.command
        if isinstance(command, Malformed):
            failure = Failure(Kind.MALFORMED, str(command.error))
            if command.error.fatal:
                self.end(str(command.error))
            asked = Command("", (), command.raw, command.session, command.transaction)
            self._finish(taken, self._refusal(failure, asked))
            return
        if self._names_only:
            command = replace(command, raw=command.name)  # such an answer names the command; a report in lines repeats it
        answering = Deferred.fromCoroutine(self._answer(command))
        answering.addErrback(self._broken, command)
        answering.addCallback(lambda report: self._finish(taken, report))

    def _broken(self, failure: TwistedFailure, command: Command) -> Report:
        self._listener.log.error("answering failed", listener=self._listener.name, command=command.name, exc_info=failure.value)
        return self._refusal(Failure(Kind.INTERNAL, "the request failed inside"), command)

    def _refusal(self, failure: Failure, command: Command) -> Report:
        self._listener.gateway.refused(failure, self._listener.name, self._session)
        return self._listener.language.refusal(failure, command)

    def _finish(self, taken: _Taken, report: Report) -> None:
        taken.answer = self._encoded(report)
        self._working -= 1
        ready: list[bytes] = []
        while self._taken and (answer := self._taken[0].answer) is not None:
            self._taken.popleft()
            ready.append(answer)
        if ready:
            self._write(b"".join(ready))
        self._pump()

    def _write(self, data: bytes) -> None:
        if not self._closing:
            send(self.transport, data if self._telnet is None else Telnet.escaped(data))

    def _show(self, text: str) -> None:
        self._write(self._codec.send(Prompt(text)))

    def _encoded(self, report: Report) -> bytes:
        report.time, report.serial = self._listener.clock_text(), self._listener.next_serial()
        report.session = self._number or report.session
        most = self._listener.dialect.session.part_rows
        try:
            return self._codec.send(report) if not most else b"".join(map(self._codec.send, parted(report, most)))
        except LocalProtocolError as error:
            failure = Failure(Kind.INTERNAL, f"the answer cannot be said here: {error.message}")
            return self._codec.send(replace(report, retcode="2999", description=failure.message, fields={}, tables=()))

    # What commands mean.

    async def _answer(self, command: Command) -> Report:
        try:
            dialect = self._listener.dialect
            if dialect.login.command and command.name == dialect.login.command:
                return self._log_in(command)
            session = self._logged_in(command)
            if dialect.logout and command.name == dialect.logout:
                return self._log_out(command)
            request, context = self._listener.language.request(command)
            return self._listener.language.report(await self._listener.gateway.dispatch(session, request, context), command)
        except Failure as failure:
            return self._refusal(failure, command)

    def _logged_in(self, command: Command) -> Session:
        """Return the session a command belongs to. Raises Failure(AUTHENTICATION)."""
        if self._session is None or self._session.party is None:
            raise Failure(Kind.AUTHENTICATION, "log in first")
        if self._numbered and command.session not in _NOBODY and command.session.upper() != self._number:
            raise Failure(Kind.AUTHENTICATION, "no such session; log in")
        return self._session

    def _log_in(self, command: Command) -> Report:
        login, given = self._listener.dialect.login, dict(command.parameters)
        if login.access == "user":
            given[login.user] = command.aid
        for parameter in (login.user, login.secret):
            if parameter not in given:
                raise Failure(Kind.INVALID, f"{parameter}: is required", parameter)
        self._number = ""
        self._let_in(given[login.user], given[login.secret])
        if self._numbered:
            self._number = f"{secrets.randbelow(0xFFFFFFFE) + 1:08X}"
        return self._done(command)

    def _let_in(self, name: str, secret: str) -> None:
        """Bind a party to the session, if there is room for one more of its. Raises Failure."""
        session, proof = self._session or self._open_session(), secret.encode()
        self._listener.gateway.log_in(session, name, lambda expected: hmac.compare_digest(expected.encode(), proof))
        try:
            self._listener.make_room(self, name)
        except Failure:
            self._forget()
            raise

    def _ask_who(self, dialogue: Dialogue, data: bytes) -> bytes:
        """Go on with the login by prompts. Returns what came behind it."""
        try:
            while (said := dialogue.receive(data)) and not self._ending:
                data = b""
                if isinstance(said, tuple) and self._try(*said):
                    self._dialogue = None
                    session = self._listener.dialect.session
                    if session.prompts:
                        self._show(session.prompts[0])
                    return dialogue.rest()
                if not self._ending:
                    self._show(dialogue.prompt)
        except CodecError as error:
            self.end(str(error))
        return b""

    def _try(self, name: str, secret: str) -> bool:
        try:
            self._let_in(name, secret)
        except Failure as failure:
            self._listener.gateway.refused(failure, self._listener.name, self._session)
            failed = self._listener.dialect.login.failed
            text = failed[0] if failed and failure.kind is Kind.AUTHENTICATION else failure.message
            self._show(text + self._listener.dialect.stream.line_end)
            return False
        return True

    def _log_out(self, command: Command) -> Report:
        """End the session. The connection stays, nameless, as long as a fresh one may; where prompts ask who is there, it ends."""
        number, self._number = self._number, ""
        self._forget()
        if self._listener.dialect.login.dialogue:
            self._listener.reactor.callLater(0, self.dismiss, "logged out")
        return replace(self._done(command), dialogue="DLGEND", session=number)

    def _forget(self) -> None:
        """Go on as if the peer had just come."""
        if self._session is not None:
            self._listener.gateway.close_session(self._session)
            self._session = None
        self._open_session()

    def _open_session(self) -> Session:
        self._session = self._listener.gateway.open_session(self._listener.name, self._peer, self.dismiss)
        return self._session

    def _done(self, command: Command) -> Report:
        return self._listener.language.done(command)
