"""A foreign system reached over a broker: commands published as its protocol file says, replies matched to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from adapters.amqp.connection import Broker
from adapters.amqp.consumer import Consumer
from adapters.amqp.delivery import Delivery
from adapters.amqp.errors import PublishError, Unconfirmed
from adapters.amqp.foreign import Foreign
from adapters.amqp.link import Link
from adapters.amqp.settings import ConnectorSettings
from adapters.drivers import TOLD, Driver, NotSent, OutcomeUnknown, make_connector
from core.ids import new_id
from plugins.api import Failure, Kind, Surroundings
from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mapping import Definition
from protocols.mapping.amqp import Sends

_PREFETCH = 1_000


class AmqpClient:
    """One foreign system (`adapters.drivers.Client`). A message's `command` is its name in the file.

    A reply is seen as `retcode` ("0"; the code of a reply of type `Fault`), `description`, `type`, `headers` and `fields`.
    Commands that nobody answers end when the broker has them for good.
    """

    def __init__(self, name: str, settings: ConnectorSettings, definition: Definition, around: Surroundings) -> None:
        self._name = name
        self._settings = settings
        self._reactor = around.reactor
        self._foreign = Foreign(definition)
        self._timeout = definition.timeout
        self._log = around.log
        self._broker = Broker(name, settings, reactor=around.reactor, site=around.site, log=around.log, set_up=self._set_up,
                              lost=self._lost)
        self._replies = ""
        self._waiting: dict[str, Deferred[Mapping[str, Any]]] = {}

    async def start(self) -> None:
        """Begin to connect."""
        self._broker.start()

    async def stop(self) -> None:
        """Close the connection; what waits for a reply is told that its outcome is unknown."""
        await self._broker.stop()

    def status(self) -> Mapping[str, Any]:
        """`peer`, `state` (connected, blocked, connecting, stopped), why, and how many commands wait for their replies."""
        return {"peer": str(self._broker.url), "state": self._broker.state, "reason": self._broker.reason,
                "waiting": len(self._waiting)}

    async def request(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask once. Raises NotSent, OutcomeUnknown, and Failure for what the file makes and AMQP cannot carry."""
        command = str(message["command"])
        answered = self._foreign.answered(command)
        link = self._broker.link
        if link is None:
            raise NotSent(f"no connection to the broker: {self._broker.reason}")
        own = new_id()
        try:
            # What nobody has taken when we stop waiting shall not be done afterwards.
            outgoing = self._foreign.write(
                command, message["fields"], self._foreign.amqp.commands.get(command, Sends()), message_id=own,
                reply_to=self._replies if answered else None,
                expiration=str(max(1, round(self._timeout * 1000))) if answered else None)
        except LocalProtocolError as error:
            raise Failure(Kind.INVALID, f"{command}: {error.message}") from None
        reply: Deferred[Mapping[str, Any]] = Deferred()
        if answered:
            self._waiting[own] = reply
        try:
            await link.publish(outgoing)
            return await reply if answered else TOLD
        except Unconfirmed as error:
            raise OutcomeUnknown(str(error)) from None
        except PublishError as error:
            raise NotSent(str(error)) from None
        finally:
            self._waiting.pop(own, None)

    async def _set_up(self, link: Link) -> None:
        """A queue for replies that lives as long as the connection: with it goes what we could still be told."""
        self._replies, _, _ = await link.declare_queue("", durable=False, exclusive=True)
        consumer = Consumer(self._reactor, link, self._replies, self._on_reply, prefetch=_PREFETCH,
                            watch=self._settings.watch, proof=self._settings.proof)
        await consumer.begin()

    def _lost(self) -> None:
        for waiting in tuple(self._waiting.values()):
            if not waiting.called:
                waiting.errback(OutcomeUnknown("the connection was lost before the reply"))

    def _on_reply(self, delivery: Delivery) -> None:
        delivery.ack()
        waiting = self._waiting.get(delivery.properties.correlation_id)
        if waiting is None or waiting.called:
            self._log.info("a reply came too late", connector=self._name, correlation_id=str(delivery.properties.correlation_id))
            return
        try:
            seen = self._foreign.read_reply(delivery.properties, delivery.body)
        except RemoteProtocolError as error:
            waiting.errback(OutcomeUnknown(f"the reply cannot be read: {error.message}"))
            return
        waiting.callback(seen)


def make_amqp_connector(name: str, settings: ConnectorSettings, around: Surroundings) -> Driver:
    """Make the connector of the protocol file that `settings.protocol` names. Raises KeyError and DefinitionError."""
    definition = Definition.load(around.protocols[settings.protocol])
    return make_connector(name, settings, around, AmqpClient(name, settings, definition, around))
