"""What a reload does to listeners and connectors: keeps what is unchanged, replaces the rest without turning anybody away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from config.loader import Section, Site
from gateway.parts import Part, Parts, basis_of
from plugins.api import Connector, Listener


class Maker(Protocol):
    """Who makes parts: the composition root."""

    def listener(self, site: Site, name: str, section: Section) -> Part[Listener]:
        """Make a listener, not started."""

    def connector(self, site: Site, name: str, section: Section) -> Part[Connector]:
        """Make a connector, not started."""

    def connect(self, name: str) -> None:
        """Let the bus bring commands to the connector of a new name."""


async def reload_parts(parts: Parts, site: Site, maker: Maker, log: Any) -> None:
    """Bring `parts` to what the site says. A listener that cannot start leaves its old one running; its error is raised at the end."""
    for listener in [r for r in parts.retired if not r.status().get("connections")]:
        await listener.stop()
        parts.retired.remove(listener)
    failed: list[Exception] = []
    for name, section in site.listeners.items():
        old = parts.listeners.get(name)
        basis = basis_of(site, section)
        if old is not None and old.basis == basis:
            continue
        new = replace(maker.listener(site, name, _at(section, old)), basis=basis)
        try:
            with site.main.blamed("listeners", name):
                await new.service.start()  # beside the old one, on the same socket
        except Exception as error:  # noqa: BLE001  # whatever it is, the others go on
            log.error("a listener could not be replaced", listener=name, reason=str(error))  # noqa: TRY400  # raised at the end
            failed.append(error)
            continue
        parts.listeners[name] = new
        if old is not None:
            await _retire(parts, old.service)
        log.info("listener reloaded", listener=name)
    for name in set(parts.listeners) - set(site.listeners):
        await _retire(parts, parts.listeners.pop(name).service)
        log.info("listener removed", listener=name)
    for name, section in site.connectors.items():
        await _replace_connector(parts, site, name, section, maker, log)
    for name in set(parts.connectors) - set(site.connectors):
        await _end(parts.connectors.pop(name).service)
        log.info("connector removed", connector=name)
    if failed:
        raise failed[0]


def _at(section: Section, old: Part[Listener] | None) -> Section:
    """A section that asks for any free port keeps the one it has."""
    settings = section.settings
    if old is None or getattr(settings, "port", None) != 0:
        return section
    port = str(old.service.status().get("address", "")).rpartition(":")[2]
    return Section(section.transport, settings.model_copy(update={"port": int(port)})) if port else section


async def _retire(parts: Parts, listener: Listener) -> None:
    parts.retired.append(listener)
    await listener.retire()


async def _replace_connector(parts: Parts, site: Site, name: str, section: Section, maker: Maker, log: Any) -> None:
    old = parts.connectors.get(name)
    if old is not None and old.basis == basis_of(site, section):
        return
    new = maker.connector(site, name, section)
    parts.connectors[name] = new
    if old is None:
        maker.connect(name)
    else:
        await _end(old.service)  # before the new one logs in: the peer may know us only once
    with site.main.blamed("connectors", name):
        await new.service.start()
    log.info("connector reloaded", connector=name)


async def _end(connector: Connector) -> None:
    await connector.drain()
    await connector.stop()
