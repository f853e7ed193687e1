"""AMQP 0-9-1 on RabbitMQ: the native listener, connectors to foreign brokers, and the connection both stand on."""

from __future__ import annotations

from typing import Any

from adapters.amqp.listener import AmqpListener
from adapters.amqp.settings import ListenerSettings
from plugins.api import Connector, Gateway, Service, Surroundings


class AmqpAdapter:
    """See `plugins.api.Adapter`."""

    listener_settings = ListenerSettings
    connector_settings = None

    def listener(self, name: str, settings: Any, gateway: Gateway, around: Surroundings) -> Service:
        """Make the native listener."""
        return AmqpListener(name, settings, gateway, around)

    def connector(self, name: str, settings: Any, around: Surroundings) -> Connector:
        """There are none yet."""
        raise NotImplementedError


adapter = AmqpAdapter()
