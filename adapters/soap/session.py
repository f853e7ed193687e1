"""A session that a partner wants to see in the headers of every request: begun when it is first needed, and again when it is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from adapters.drivers import NotSent, OutcomeUnknown
from plugins.api import Failure
from protocols.mapping import MappingError
from protocols.mapping.soap import SoapSession

HOLD_FIRST, HOLD_LONGEST = 5.0, 300.0
"""Seconds without a further try after a refused login, doubled each time: tries in a row lock accounts."""

Ask = Callable[[str, Mapping[str, Any], Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Asks an operation with fields and headers, and returns the reply as the driver sees it."""


class HeaderSession:
    """One session at a time, shared by all requests. `succeeded` tells whether a reply means success; `timeout` (seconds, by
    Twisted's `clock`) is how long a login may take.
    """

    def __init__(self, declared: SoapSession, user: str, secret: str, ask: Ask, succeeded: Callable[[Mapping[str, Any]], bool],
                 clock: Any, timeout: float) -> None:
        self._declared = declared
        self._user = user
        self._secret = secret
        self._ask = ask
        self._succeeded = succeeded
        self._clock = clock
        self._timeout = timeout
        self._kept: dict[str, Any] | None = None
        self._number = 0
        self._which = 0
        self._refused = 0
        self._not_before = 0.0
        self._waiting: list[Deferred[None]] | None = None

    @property
    def state(self) -> str:
        """`loggedIn`, `loggedOut`, or `refused` while a refused login is not tried again."""
        if self._kept is not None:
            return "loggedIn"
        return "refused" if self._clock.seconds() < self._not_before else "loggedOut"

    async def headers(self) -> tuple[int, dict[str, Any]]:
        """The headers of the next request, and which session they show. Raises NotSent when there is no session to be had."""
        if self._kept is None:
            try:
                await self._begun()
            except CancelledError as error:
                raise NotSent("the login took too long") from error
        assert self._kept is not None
        number = self._number
        self._number += 1
        return self._which, self._declared.shown(self._kept, number)

    def lost(self, which: int) -> None:
        """The peer no longer knows this session."""
        if which == self._which:
            self._kept = None

    async def end(self) -> None:
        """Say goodbye, where the partner has a word for it."""
        kept, self._kept = self._kept, None
        if kept is None or self._declared.logout is None:
            return
        logout = self._declared.logout
        try:
            await self._ask(logout.command, logout.pack({"session": kept}), self._declared.shown(kept, self._number))
        except (NotSent, OutcomeUnknown, MappingError, Failure):
            return  # the peer forgets the session by itself

    def _begun(self) -> Deferred[None]:
        """Fires when there is a session. However many wait, one login is under way; who stops waiting does not stop it."""
        mine: Deferred[None] = Deferred()
        if self._waiting is not None:
            self._waiting.append(mine)
            return mine
        self._waiting = [mine]

        def told(failure: Any) -> None:
            waiting, self._waiting = self._waiting or [], None
            for each in waiting:
                if not each.called:
                    each.callback(failure)  # a twisted Failure goes down the errback side

        Deferred.fromCoroutine(self._begin()).addTimeout(self._timeout, self._clock).addErrback(_unsent).addBoth(told)
        return mine

    async def _begin(self) -> None:
        wait = self._not_before - self._clock.seconds()
        if wait > 0:
            raise NotSent(f"the login was refused; it is tried again in {wait:.0f} seconds")
        login = self._declared.login
        try:
            reply = await self._ask(login.command, login.pack({"user": self._user, "secret": self._secret}), {})
        except OutcomeUnknown as error:
            raise NotSent(f"the login was not answered: {error}") from error
        except MappingError as error:
            raise NotSent(f"the login cannot be said: {error}") from error
        kept = self._declared.begun(reply) if self._succeeded(reply) else None
        if kept is None:
            hold = min(HOLD_LONGEST, HOLD_FIRST * 2.0 ** min(self._refused, 10))
            self._refused += 1
            self._not_before = self._clock.seconds() + hold
            raise NotSent(f"the login was refused: {reply.get('retcode')} {reply.get('description')}")
        self._kept, self._number, self._refused = kept, self._declared.first_number(reply), 0
        self._which += 1


def _unsent(failure: Any) -> Any:
    failure.trap(DeferredTimeout)
    raise NotSent("the login was not answered in time")
