"""A place at a peer: one connection, kept. Connects, logs in within the budget, notices its death and begins again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory

from adapters.drivers import NotSent, OutcomeUnknown
from adapters.endpoints import client_endpoint
from adapters.mml import login
from adapters.mml.budget import Account
from adapters.mml.link import Link
from adapters.mml.login import LoginRefused

if TYPE_CHECKING:
    from adapters.mml.connector import MmlClient


class Seat:
    """One of a client's connections. `link` is there while the connection is; it may be used when it is `ready`.

    `soon` says that the next may be expected: the last was good, and no try has failed since.
    """

    def __init__(self, client: MmlClient, spread: random.Random) -> None:
        self._client = client
        self._spread = spread
        self._failures = 0
        self._life: Deferred[None] | None = None
        self._running = False
        self.link: Link | None = None
        self.soon = False
        self.state = "stopped"
        self.last_error: str | None = None

    def start(self) -> None:
        """Begin to connect."""
        self._running = True
        self._life = Deferred.fromCoroutine(self._live())
        self._life.addErrback(self._ended)

    def stop(self) -> None:
        """Close the connection and open no other."""
        self._running = self.soon = False
        if self.link is not None:
            self.link.leave("stopped")
        if self._life is not None:
            self._life.cancel()
        self.state = "stopped"

    def _ended(self, failure: Any) -> None:
        self.state = "stopped"
        if failure.check(CancelledError) is None:
            self._client.log.error("a connection cannot be kept", exc_info=failure.value)

    async def _live(self) -> None:
        while self._running:
            self.state = "connecting"
            account = self._account()
            wait = await self._client.budget.take(account, self._slot_lost) if account is not None else 0.0
            if wait:
                self.soon = False
                self.last_error = "waits for a login slot, or for the end of a lock-out"
            else:
                try:
                    self.last_error = await self._once(account)
                finally:
                    self.link = None
                    if account is not None:
                        await self._client.budget.give_back(account)
                if not self._running:
                    return
                wait = self.pause()
                self._failures += 1
            self.state = "waiting"
            self._client.wake()
            self._client.log.warning("not connected", peer=self._client.peer, reason=self.last_error, again_in=round(wait, 2))
            await self._sleep(wait)

    def _slot_lost(self) -> None:
        if self.link is not None:
            self.link.leave("the login slot has gone to another process")

    def _account(self) -> Account | None:
        client, dialect = self._client, self._client.dialect
        user = client.settings.user
        if user is None or not login.needed(dialect):
            return None
        slots = client.settings.login_slots or max(dialect.session.max_sessions, client.settings.sessions)
        return Account(client.peer, user, slots, dialect.session.login.attempts, dialect.session.login.lockout,
                       apiece=client.settings.login_slots is None)

    async def _once(self, account: Account | None) -> str:
        """Have a connection from its beginning to its end. Returns why it ended."""
        client, settings = self._client, self._client.settings
        endpoint = client_endpoint(client.reactor, client.site, settings.host, settings.port, settings.tls,
                                   timeout=settings.connect_timeout or client.dialect.session.connect_timeout)
        try:
            link: Link = await endpoint.connect(Factory.forProtocol(lambda: Link(client)))
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever keeps us from connecting is a reason to try again)
            self.soon = False
            return str(error)[:255] or type(error).__name__
        self.link = link
        greeting = Deferred.fromCoroutine(login.log_in(link, client.dialect, settings.user, settings.secret))
        try:
            await greeting.addTimeout(client.dialect.session.login_timeout, client.reactor, lambda result, _: result)
        except LoginRefused as error:
            self.soon = False
            link.drop(str(error))
            if account is not None:
                await client.budget.refused(account)
        except (NotSent, OutcomeUnknown, CancelledError) as error:
            self.soon = False
            link.drop(str(error) or "no end to the login")
        else:
            self._failures, self.last_error, self.state, self.soon = 0, None, "up", True
            client.log.info("connected", peer=client.peer)
            if account is not None:
                await client.budget.accepted(account)
            client.wake()
        return await link.ended

    def pause(self) -> float:
        """Seconds until the next try: twice as long each time up to a bound, spread by half so that not all come at once."""
        settings = self._client.settings
        longest: float = min(settings.reconnect_to, settings.reconnect_from * 2 ** min(self._failures, 30))
        return longest * self._spread.uniform(0.5, 1)

    def _sleep(self, seconds: float) -> Deferred[None]:
        waking: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._client.reactor.callLater(seconds, waking.callback, None)
        return waking
