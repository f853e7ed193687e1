"""SOAP 1.1 and 1.2 over HTTP, both directions: the native service for partners, and partners' own services called by files."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from adapters.soap.settings import SoapListenerSettings
from plugins.api import Connector, Gateway, Service, Surroundings


class SoapAdapter:
    """Both directions of SOAP (`plugins.api.Adapter`). Each is imported when it is first needed: zeep is slow to load."""

    listener_settings: type[BaseModel] | None = SoapListenerSettings

    @property
    def connector_settings(self) -> type[BaseModel] | None:
        """Settings of a way out to a partner's service."""
        from adapters.soap.connector import SoapConnectorSettings
        return SoapConnectorSettings

    def listener(self, name: str, settings: Any, gateway: Gateway, around: Surroundings) -> Service:
        """See `plugins.api.Adapter.listener`."""
        from adapters.soap.listener import SoapListener
        return SoapListener(name, settings, gateway, around)

    def connector(self, name: str, settings: Any, around: Surroundings) -> Connector:
        """See `plugins.api.Adapter.connector`."""
        from adapters.soap.connector import make_soap_connector
        return make_soap_connector(name, settings, around)


adapter = SoapAdapter()
