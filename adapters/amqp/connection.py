"""Staying connected: one link after the other, to whichever broker answers, each set up and proven before it is used."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pika
from twisted.internet.defer import Deferred

from adapters.amqp.errors import NotConnected, reason_of
from adapters.amqp.link import Link, open_link
from adapters.amqp.settings import BrokerSettings, Url
from adapters.endpoints import client_endpoint
from config.settings import Tls
from protocols.amqp import Message

SetUp = Callable[[Link], Awaitable[None]]
"""Declares and begins to consume on a new link, and returns when that is proven to work. Anything it raises ends the link."""


class Broker:
    """A connection that comes back. `set_up` is run on every new link; only then is the link used for publishing. `lost` is
    called when such a link has ended.

    Waits between attempts grow from `retry_first` to `retry_longest` seconds, each with jitter, and start anew after a
    link that worked.
    """

    def __init__(self, name: str, settings: BrokerSettings, *, reactor: Any, site: Path, log: Any, set_up: SetUp,
                 lost: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.link: Link | None = None
        self.reason = "not started"
        self.connections = 0
        self._settings = settings
        self._urls = settings.urls
        self._turn = 0
        self._reactor = reactor
        self._site = site
        self._log = log
        self._set_up = set_up
        self._lost = lost
        self._connecting: Deferred[Link] | None = None
        self._opening: Link | None = None
        self._stopping = False
        self._pausing: Any = None
        self._waiting: list[Deferred[None]] = []
        self._running: Deferred[None] | None = None

    @property
    def url(self) -> Url:
        """The broker in use, or the one to be tried next."""
        return self._urls[self._turn % len(self._urls)]

    @property
    def state(self) -> str:
        """`connected`, `blocked` (the broker takes no messages), `connecting` or `stopped`."""
        if self.link is not None:
            return "blocked" if self.link.blocked else "connected"
        return "stopped" if self._stopping or self._running is None else "connecting"

    def start(self) -> None:
        """Begin to connect. Starting again does nothing."""
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._run())
            self._running.addErrback(lambda failure: self._log.error("the connection to the broker is given up",
                                                                     connection=self.name, exc_info=failure.value))

    def ready(self) -> Deferred[None]:
        """Fire when there is a link that works (at once, if there is). The caller bounds the wait."""
        waiting: Deferred[None] = Deferred()
        if self.link is not None:
            waiting.callback(None)
        else:
            self._waiting.append(waiting)
        return waiting

    def publish(self, message: Message, *, mandatory: bool = True) -> Deferred[None]:
        """See `Link.publish`; fails with NotConnected while there is no link."""
        if self.link is not None:
            return self.link.publish(message, mandatory=mandatory)
        failed: Deferred[None] = Deferred()
        failed.errback(NotConnected(f"no connection to the broker: {self.reason}"))
        return failed

    async def stop(self, *, abruptly: bool = False) -> None:
        """End the link, in good order where the broker answers in time, and stay away. `abruptly` leaves without a goodbye."""
        self._stopping = True
        if self._pausing is not None and self._pausing.active():
            self._pausing.reset(0)
        if self._connecting is not None:
            self._connecting.cancel()
        link = self.link or self._opening
        if link is not None and abruptly:
            link.drop(ConnectionError("stopped"))
        elif link is not None:
            late = self._reactor.callLater(self._settings.proof, link.drop, ConnectionError("stopped"))
            await link.close()
            if late.active():
                late.cancel()
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            try:
                lost = await self._live()
                failures = 0
            except Exception as error:  # noqa: BLE001  # whatever keeps us from connecting, we try again
                lost = error
                failures += 1
            if self._stopping:
                break
            self.reason = reason_of(lost)
            self._log.warning("broker connection lost" if not failures else "broker not reached", connection=self.name,
                              broker=str(self.url), reason=self.reason)
            self._turn += 1
            await self._pause(failures)
        self.reason = "stopped"

    async def _live(self) -> Exception:
        """Open a link, set it up, and return why it ended. Raises what kept it from working."""
        settings, url = self._settings, self.url
        endpoint = client_endpoint(self._reactor, self._site, url.host, url.port,
                                   (settings.tls or Tls()) if url.secure else None, timeout=settings.connect_timeout)
        self._connecting = Deferred.fromCoroutine(open_link(
            self._reactor, endpoint, self._parameters(url), window=settings.window, confirm_timeout=settings.confirm_timeout,
            timeout=settings.connect_timeout))
        try:
            link = self._opening = await self._connecting
        finally:
            self._connecting = None
        ended: Deferred[Exception] = Deferred()
        link.on_lost = ended.callback
        try:
            late = self._reactor.callLater(settings.connect_timeout + settings.proof, link.drop,
                                           TimeoutError("the connection could not be set up in time"))
            try:
                await self._set_up(link)
            finally:
                if late.active():
                    late.cancel()
        except BaseException:
            link.drop(ConnectionError("set-up failed"))
            raise
        finally:
            self._opening = None
        if link.lost is not None:
            raise link.lost
        self.link = link
        self.connections += 1
        self.reason = ""
        self._log.info("broker connected", connection=self.name, broker=str(url))
        waiting, self._waiting = self._waiting, []
        for ready in waiting:
            if not ready.called:
                ready.callback(None)
        try:
            return await ended
        finally:
            self.link = None
            self._lost()

    def _parameters(self, url: Url) -> Any:
        return pika.ConnectionParameters(
            host=url.host, port=url.port, virtual_host=url.vhost, heartbeat=self._settings.heartbeat,
            credentials=pika.PlainCredentials(url.user, url.password, erase_on_connect=True),
            client_properties={"connection_name": f"uip {self.name}"})

    def _pause(self, failures: int) -> Deferred[None]:
        ceiling = min(self._settings.retry_longest, self._settings.retry_first * 2.0 ** min(failures, 30))
        done: Deferred[None] = Deferred()
        self._pausing = self._reactor.callLater(random.uniform(ceiling / 2, ceiling), done.callback, None)  # noqa: S311  # spreads load
        return done
