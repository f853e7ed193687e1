"""The composition root: makes every part from the site's files and joins them. Nothing else knows all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

import core.billing.core
import core.credit.core
import core.orders.core
import core.provisioning.core
from adapters.store import open_store
from config.loader import Site
from core.bus import InProcessBus
from core.ids import new_id
from core.messages.base import Event
from core.messages.catalogue import INTERNAL, OPERATIONS, Catalogue
from core.monitor.objects import GetSystemStatus
from core.unit_of_work import Core
from gateway.admission import Admission
from gateway.console.listener import ConsoleListener
from gateway.console.site import console_site
from gateway.dispatcher import Dispatcher
from gateway.observability import Observer
from gateway.outbound import address_of, receiver_for
from gateway.services import Services
from gateway.sessions import Sessions
from gateway.status import Status
from plugins.api import Adapter, Connector, Service, Surroundings

EVENTS = frozenset(m.__name__ for m in INTERNAL if issubclass(m, Event))


def utcnow() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


class Doorway:
    """What listeners see of the gateway (`plugins.api.Gateway`)."""

    def __init__(self, catalogue: Catalogue, sessions: Sessions, dispatcher: Dispatcher) -> None:
        self.catalogue = catalogue
        self.open_session = sessions.open
        self.close_session = sessions.close
        self.log_in = sessions.log_in
        self.dispatch = dispatcher.dispatch


@dataclass(frozen=True, slots=True)
class Application:
    """A gateway made of a site, ready to start."""

    services: Services
    listeners: tuple[Service, ...]
    status: Status

    def addresses(self) -> dict[str, str]:
        """Tell where each listener listens, by name."""
        return {listener.name: str(listener.status().get("address", "")) for listener in self.listeners}


def database_url(site: Site) -> str:
    """Return the site's database as SQLAlchemy takes it; a SQLite file's path is relative to the site's folder."""
    kind, slashes, path = site.settings.database.url.partition(":///")
    if kind.startswith("sqlite") and slashes and not Path(path).is_absolute():
        return f"{kind}:///{site.folder.absolute() / path}"
    return site.settings.database.url


def cores_of(site: Site) -> list[Core]:
    """Make the four cores from the site's catalogue and policies."""
    return [
        core.orders.core.build(site.offerings),
        core.credit.core.build(site.credit),
        core.provisioning.core.build(site.recipes, site.pools),
        core.billing.core.build(site.tariffs),
    ]


def build(site: Site, adapters: Mapping[str, Adapter], reactor: Any, log: Any) -> Application:
    """Join all parts of a checked site. Binds and opens nothing yet."""
    settings = site.settings
    limits = settings.limits
    cores = cores_of(site)
    handled = {GetSystemStatus.__name__}.union(*(c.handlers for c in cores))
    catalogue = Catalogue(o.name for o in OPERATIONS if o.name in handled)
    bus = InProcessBus(Deferred)
    store = open_store(database_url(site), reactor=reactor, cores=cores, model_of=catalogue.model, utcnow=utcnow)
    observer = Observer(log, reactor)

    sessions = Sessions(reactor, {p.name: p.secret.get_secret_value() for p in settings.parties}, new_id=new_id,
                        max_sessions=limits.max_sessions, login_timeout=limits.login_timeout,
                        idle_timeout=limits.idle_timeout, max_login_tries=limits.max_login_tries)
    admission = Admission(reactor, max_in_flight=limits.max_in_flight,
                          rates={p.name: p.rate for p in settings.parties if p.rate is not None})
    dispatcher = Dispatcher(reactor=reactor, bus=bus, catalogue=catalogue, admission=admission, observer=observer,
                            allowed={p.name: frozenset(p.operations) for p in settings.parties},
                            default_deadline=limits.request_deadline, utcnow=utcnow, new_id=new_id)
    doorway = Doorway(catalogue, sessions, dispatcher)

    around = Surroundings(reactor=reactor, site=site.folder, catalogue=catalogue, dialects=site.dialects, protocols=site.protocols, log=log)
    listeners = [(section.transport, adapters[section.transport].listener(name, section.settings, doorway, around))
                 for name, section in site.listeners.items()]
    connectors: list[tuple[str, Connector]] = [
        (section.transport, adapters[section.transport].connector(name, section.settings, around))
        for name, section in site.connectors.items()]
    for _, connector in connectors:
        bus.receive(address_of(connector.name), receiver_for(connector, bus, utcnow))
    for _, listener in listeners:
        publish = getattr(listener, "publish", None)
        if publish is not None:
            bus.receive(f"events.{listener.name}", publish, EVENTS)

    status = Status(sessions=sessions, listeners=listeners, connectors=connectors, queues=store, utcnow=utcnow,
                    seconds=reactor.seconds)
    bus.receive("monitor", status.receive)
    observer.gauge("uip_sessions", "Open sessions", lambda: len(sessions))
    observer.gauge("uip_in_flight", "Requests waiting for their answer", lambda: admission.in_flight)
    observer.gauge("uip_queue_depth", "Messages waiting in the outbox", lambda: sum(depth for _, depth, _ in store.queues()))
    console = ConsoleListener(
        reactor, console_site(reactor, status, observer.registry,
                              {o.name: o.secret.get_secret_value() for o in settings.operators}),
        settings.console.host, settings.console.port)
    bound: tuple[Service, ...] = (*(listener for _, listener in listeners), console)
    services = Services(reactor=reactor, log=log, store=store, bus=bus, listeners=bound,
                        connectors=[c for _, c in connectors], sessions=sessions, admission=admission, status=status,
                        drain_timeout=limits.drain_timeout)
    return Application(services, bound, status)
