"""The listeners and connectors there are at this moment, and what each of them rests on in the site's files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from config.loader import Section, Site
from core.bus import TryAgain
from core.messages.base import BusinessObject
from core.messages.envelope import Envelope
from plugins.api import Connector, Listener

Way = TypeVar("Way", Listener, Connector)


@dataclass(frozen=True, slots=True)
class Part(Generic[Way]):
    """A listener or connector. While `basis` is the same, a reload leaves it alone."""

    transport: str
    service: Way
    basis: Any


@dataclass(slots=True)
class Parts:
    """All of them by name; `retired` are listeners whose last peers have not left yet."""

    listeners: dict[str, Part[Listener]] = field(default_factory=dict)
    connectors: dict[str, Part[Connector]] = field(default_factory=dict)
    retired: list[Listener] = field(default_factory=list)

    def all_listeners(self) -> Iterator[Listener]:
        """Return every listener that may still have peers."""
        yield from (part.service for part in self.listeners.values())
        yield from self.retired

    async def perform(self, name: str, envelope: Envelope[Any]) -> BusinessObject:
        """Let the connector of that name carry out a command. Raises TryAgain when there is none at the moment."""
        part = self.connectors.get(name)
        if part is None:
            raise TryAgain(f"there is no connector {name}")
        return await part.service.perform(envelope)


def basis_of(site: Site, section: Section) -> Any:
    """Return everything in the site that a section rests on, to be compared."""
    settings = section.settings
    named = (getattr(settings, "protocol", None), *getattr(settings, "partners", {}).values())
    protocols = [site.protocols.get(name or "") for name in named]
    dialect = (protocols[0] or {}).get("dialect") or getattr(settings, "dialect", None)
    attachments = site.attachments if any(protocols) else ""
    return section, protocols, site.dialects.get(dialect or ""), attachments
