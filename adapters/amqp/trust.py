"""Whose request a message is. The broker has checked its clients' passwords; what it vouches for needs no second secret."""

from __future__ import annotations

from plugins.api import Failure, Gateway, Kind, Session


class Parties:
    """One session a party, opened when its first message comes and again after the gateway has ended it (idle, say).

    RabbitMQ refuses a message whose `user_id` is not the name its sender has logged in with, so `user_id` can be believed.
    `default` is the party of messages without one, or with one that is no party's.
    """

    def __init__(self, listener: str, gateway: Gateway, default: str | None) -> None:
        self._listener = listener
        self._gateway = gateway
        self._default = default
        self._sessions: dict[str, Session] = {}

    def session(self, user: str | None) -> Session:
        """The session a message of `user` belongs to. Raises Failure(AUTHENTICATION), or BUSY when there are too many."""
        for name in (user, self._default):
            if name is None:
                continue
            known = self._sessions.get(name)
            if known is not None:
                return known
            try:
                return self._open(name)
            except Failure as failure:
                if failure.kind is not Kind.AUTHENTICATION:
                    raise
        raise Failure(Kind.AUTHENTICATION, "the broker vouches for no party of ours (property user_id), and none is set for it")

    def _open(self, name: str) -> Session:
        def ended(_reason: str) -> None:
            self._sessions.pop(name, None)
            self._gateway.close_session(session)

        session = self._gateway.open_session("amqp", self._listener, ended)
        try:
            self._gateway.log_in(session, name, lambda _secret: True)
        except Failure:
            self._gateway.close_session(session)
            raise
        self._sessions[name] = session
        return session

    def close(self) -> None:
        """End all sessions."""
        for session in self._sessions.values():
            self._gateway.close_session(session)
        self._sessions.clear()
