"""A simulated system behind a broker: it makes the queues that a protocol file's messages go to, takes them, and answers."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred

from adapters.amqp.connection import Broker
from adapters.amqp.consumer import Consumer
from adapters.amqp.delivery import Delivery
from adapters.amqp.link import Link
from adapters.amqp.settings import BrokerSettings
from gateway.simulators.amqp_partner import Partner
from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mapping import GARBAGE, Act, Definition, Outcome, Record, Reply, Simulation

URL = "UIP_AMQP_URL"
"""The environment variable that names the broker."""
_PREFETCH = 100
_REMEMBERED = 10_000
"""Message ids that are known to have been taken: what the broker delivers again is not carried out again."""
_LONGEST_QUEUE = 10_000
"""Answers that may wait for their time; beyond it there is none."""


class PlayedOverAmqp:
    """One simulated system. To who stops it it looks like a listening port of Twisted's."""

    def __init__(self, reactor: Any, settings: BrokerSettings, partner: Partner, simulation: Simulation, record: Record,
                 folder: Path) -> None:
        self._reactor = reactor
        self._settings = settings
        self._partner = partner
        self._record = record
        self._talk = simulation.connect()
        for user, secret in simulation.simulator.users.items():
            self._talk.log_in(user, secret.get_secret_value())  # the broker has asked who it is
            break
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._waiting = 0
        self._broker = Broker(f"sim {simulation.simulator.name}", settings, reactor=reactor, site=folder, log=_Log(), set_up=self._set_up)

    def start(self) -> None:
        """Begin to connect."""
        self._broker.start()

    def ready(self) -> Deferred[None]:
        """Fire when the queues are there and served."""
        return self._broker.ready()

    def getHost(self) -> Any:
        """Where the broker is."""
        url = self._settings.urls[0]
        return SimpleNamespace(host=url.host, port=url.port)

    def stopListening(self) -> Deferred[None]:
        """Leave the broker. The queues stay, with what waits in them."""
        return Deferred.fromCoroutine(self._broker.stop())

    async def _set_up(self, link: Link) -> None:
        for queue in self._partner.queues:
            if queue.exchange:
                await link.declare_exchange(queue.exchange)
            await link.declare_queue(queue.name)
            for key in queue.keys:
                await link.bind(queue.name, queue.exchange, key)
            await Consumer(self._reactor, link, queue.name, self._take, prefetch=_PREFETCH, watch=self._settings.watch,
                           proof=self._settings.proof).begin()

    def _take(self, delivery: Delivery) -> None:
        command, outcome = self._outcome(delivery)
        if outcome.applied is not None:
            self._record(outcome.applied)
        delivery.ack()
        for act in outcome.acts:
            if self._waiting < _LONGEST_QUEUE:
                self._waiting += 1
                self._reactor.callLater(act.after, self._do, act, command, delivery)

    def _outcome(self, delivery: Delivery) -> tuple[str, Outcome]:
        properties = delivery.properties
        exchange, key = (name if isinstance(name, str) else "" for name in (delivery.exchange, delivery.routing_key))
        own = str(properties.message_id or "")
        if own and own in self._taken:
            return "", Outcome(())
        self._taken[own] = None
        if len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)
        command = self._partner.command(exchange, key, properties, delivery.headers)
        try:
            seen = self._partner.foreign.read(properties, delivery.body)
        except RemoteProtocolError as error:
            return command, Outcome((Act(0.0, "send", self._talk.malformed(error.message)),))
        return command, self._talk.receive(command, seen["fields"])

    def _do(self, act: Act, command: str, delivery: Delivery) -> None:
        self._waiting -= 1
        if act.do == "disconnect":
            delivery.link.drop(ConnectionError("as the fault says"))
            return
        kind, body = (command, GARBAGE) if act.reply is None else self._said(command, act.reply)
        message = self._partner.message(delivery.properties, kind, body[:len(body) // 2] if act.do == "half" else body)
        if message is not None:
            # Who asked may be gone, and its queue with it.
            self._broker.publish(message, mandatory=False).addErrback(lambda _: None)

    def _said(self, command: str, reply: Reply) -> tuple[str, bytes]:
        try:
            return self._partner.answer(command, reply)
        except LocalProtocolError as error:
            return self._partner.answer(command, self._talk.malformed(f"the answer cannot be said: {error.message}"))


class _Log:
    """Tells what is wrong with the broker."""

    def info(self, event: str, **more: Any) -> None:
        """Nothing: all is well."""

    def warning(self, event: str, **more: Any) -> None:
        """A line."""
        sys.stderr.write(f"{event}: {more.get('broker', '')}: {more.get('reason', '')}\n")

    def error(self, event: str, **more: Any) -> None:
        """A line."""
        sys.stderr.write(f"{event}: {more.get('exc_info', '')}\n")


def simulate(reactor: Any, host: str, port: int, definition: Definition, simulation: Simulation, record: Record, *,  # noqa: ARG001
             dialects: Mapping[str, Mapping[str, Any]], folder: Path) -> Any:  # noqa: ARG001 (see gateway.simulators: there is no port here)
    """Play `simulation` on the broker that UIP_AMQP_URL names. Raises ValueError when it names none, or the file no queues."""
    url = os.environ.get(URL)
    if not url:
        raise ValueError(f"{definition.protocol}: {URL} must name the broker: amqp://user:password@host:port/vhost")
    played = PlayedOverAmqp(reactor, BrokerSettings.model_validate({"url": url}), Partner(definition), simulation, record, folder)
    played.start()
    reactor.addSystemEventTrigger("before", "shutdown", played.stopListening)
    return played
