"""AMQP 0-9-1 on RabbitMQ: the native listener, foreign systems served and called by files, and the connection under both."""

from __future__ import annotations

from typing import Any

from adapters.amqp.connector import make_amqp_connector
from adapters.amqp.listener import AmqpListener
from adapters.amqp.settings import ConnectorSettings, ListenerSettings
from plugins.api import Connector, Gateway, Service, Surroundings


class AmqpAdapter:
    """See `plugins.api.Adapter`."""

    listener_settings = ListenerSettings
    connector_settings = ConnectorSettings

    def listener(self, name: str, settings: Any, gateway: Gateway, around: Surroundings) -> Service:
        """Make a listener. Raises KeyError, DefinitionError or ValueError when its protocol file is missing or wrong."""
        return AmqpListener(name, settings, gateway, around)

    def connector(self, name: str, settings: Any, around: Surroundings) -> Connector:
        """Make a connector. Raises KeyError or DefinitionError when its protocol file is missing or wrong."""
        return make_amqp_connector(name, settings, around)


adapter = AmqpAdapter()
