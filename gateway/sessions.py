"""Who is connected: the sessions of all listeners, their parties, and the time-outs that end the idle and the nameless."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from core.messages.failures import Failure, Kind
from plugins.api import Session


class Clock(Protocol):
    """The part of Twisted's IReactorTime that tells the time."""

    def seconds(self) -> float:
        """Return seconds that only go forward while the process runs."""


class Sessions:
    """All open sessions, bounded in number.

    `login_timeout` (seconds) bounds the time until a peer has said who it is, `idle_timeout` the time without a request;
    a session with a request in flight is never idle. `secrets` maps a party's name to its secret.
    """

    def __init__(self, clock: Clock, secrets: Mapping[str, str], *, new_id: Callable[[], str], max_sessions: int,
                 login_timeout: float, idle_timeout: float, max_login_tries: int) -> None:
        self._clock = clock
        self._secrets = secrets
        self._new_id = new_id
        self._max_sessions = max_sessions
        self._login_timeout = login_timeout
        self._idle_timeout = idle_timeout
        self._max_login_tries = max_login_tries
        self._open: dict[str, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        """Go over a copy, so that closing while looking is safe."""
        return iter(tuple(self._open.values()))

    def __len__(self) -> int:
        return len(self._open)

    def open(self, protocol: str, peer: str, close: Callable[[str], None]) -> Session:
        """Begin a session. Raises Failure(BUSY) when all places are taken."""
        if len(self._open) >= self._max_sessions:
            raise Failure(Kind.BUSY, f"all {self._max_sessions} sessions are in use; try again later")
        now = self._clock.seconds()
        session = Session(id=self._new_id(), protocol=protocol, peer=peer, close=close, opened=now, last_activity=now)
        self._open[session.id] = session
        return session

    def close(self, session: Session) -> None:
        """Forget a session; harmless when it is gone."""
        session.state = "closed"
        self._open.pop(session.id, None)

    def log_in(self, session: Session, name: str, proves: Callable[[str], bool]) -> None:
        """Bind the party `name` to the session. Raises Failure(AUTHENTICATION); after too many tries the session is closed.

        An unknown name costs the same as a wrong secret, so that names cannot be probed.
        """
        session.last_activity = self._clock.seconds()
        secret = self._secrets.get(name)
        proved = proves(secret if secret is not None else "\0 no party has this secret")
        if proved and secret is not None:
            session.party = name
            session.state = "loggedIn"
            session.failed_logins = 0
            return
        session.party = None
        session.failed_logins += 1
        if session.failed_logins >= self._max_login_tries:
            session.state = "closing"
            session.close(f"{session.failed_logins} failed logins")
        raise Failure(Kind.AUTHENTICATION, "wrong name or password")

    def sweep(self) -> None:
        """Close what has been nameless or idle for too long. Called about once a second."""
        now = self._clock.seconds()
        for session in self:
            if session.in_flight or session.state == "closing":
                continue
            if session.party is None and now - session.opened > self._login_timeout:
                self._end(session, "not logged in in time")
            elif now - session.last_activity > self._idle_timeout:
                self._end(session, "idle")

    def _end(self, session: Session, reason: str) -> None:
        session.state = "closing"
        session.close(reason)
