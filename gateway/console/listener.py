"""The console's port as a running part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.web.server import Site

from adapters.endpoints import listen


class ConsoleListener:
    """Binds the console's site (`plugins.api.Service`)."""

    name = "console"

    def __init__(self, reactor: Any, site: Site, host: str, port: int) -> None:
        self._reactor = reactor
        self._site = site
        self._host = host
        self._port_number = port
        self._port: Any = None  # IListeningPort; zope's interfaces mean nothing to mypy

    async def start(self) -> None:
        """Bind. Raises OSError when the address cannot be had."""
        self._port = listen(self._reactor, Path(), self._host, self._port_number, self._site)

    async def drain(self) -> None:
        """Go on: whoever watches a drain wants to see it."""

    async def stop(self) -> None:
        """Close the port."""
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
            self._port = None

    def status(self) -> Mapping[str, Any]:
        """Tell the address."""
        if self._port is None:
            return {"state": "stopped", "address": ""}
        bound = self._port.getHost()
        return {"state": "listening", "address": f"http://{bound.host}:{bound.port}"}
