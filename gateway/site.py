"""A site together with the adapters that are installed: which transports there are decides what its sections may say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from adapters.bus.settings import BusSettings
from config.documents import SiteError
from config.loader import Site, load
from plugins import registry
from plugins.api import Adapter


def adapters_for() -> Mapping[str, Adapter]:
    """Return the installed adapters by transport, and let in what else plug-ins offer. Raises plugins.registry.PluginError."""
    registry.load_functions()
    return registry.load()


def load_site(folder: Path, adapters: Mapping[str, Adapter]) -> Site:
    """Read and check a site. Raises SiteError with every mistake."""
    return load(folder, {name: a.listener_settings for name, a in adapters.items()},
                {name: a.connector_settings for name, a in adapters.items()}, bus=BusSettings)


__all__ = ["SiteError", "adapters_for", "load_site"]
