"""MML, both directions: a listener that offers the native commands, and connectors that drive network elements."""

from __future__ import annotations

from typing import Any

from adapters.drivers import make_connector
from adapters.mml.budget import LocalBudget, LoginBudget
from adapters.mml.connector import client_for
from adapters.mml.listener import MmlListener
from adapters.mml.settings import ConnectorSettings, ListenerSettings
from plugins.api import Connector, Gateway, Service, Surroundings


class MmlAdapter:
    """See `plugins.api.Adapter`."""

    listener_settings = ListenerSettings
    connector_settings = ConnectorSettings

    def __init__(self) -> None:
        self._budgets: dict[Any, LoginBudget] = {}

    def listener(self, name: str, settings: ListenerSettings, gateway: Gateway, around: Surroundings) -> Service:
        """Make a listener. Raises KeyError or DialectError when its dialect is missing or wrong."""
        return MmlListener(name, settings, gateway, around)

    def connector(self, name: str, settings: ConnectorSettings, around: Surroundings) -> Connector:
        """Make a connector. Raises KeyError, DefinitionError or DialectError when a file it needs is missing or wrong."""
        # One for all connectors: an account may be theirs together.
        budget = around.logins or self._budgets.setdefault(around.reactor, LocalBudget(around.reactor))
        client: Any = client_for(name, settings, around, budget)
        return make_connector(name, settings, around, client)


adapter = MmlAdapter()

__all__ = ["ConnectorSettings", "ListenerSettings", "MmlAdapter", "adapter"]
