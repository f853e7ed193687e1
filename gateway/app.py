"""The composition root: makes every part from the site's files and joins them. Nothing else knows all of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from twisted.internet.defer import Deferred, ensureDeferred

import core.billing.core
import core.credit.core
import core.monitor.core
import core.orders.core
import core.provisioning.core
from adapters.background import Background
from adapters.bus.rabbitmq import RabbitBus
from adapters.store import Store, open_store
from adapters.store.logins import SharedLogins
from adapters.store.replay import Watch
from adapters.store.retention import Sweeper
from config.documents import SiteError
from config.loader import Section, Site
from core.bus import Bus, InProcessBus
from core.ids import new_id
from core.messages.base import Event
from core.messages.catalogue import INTERNAL, OPERATIONS, Catalogue
from core.messages.envelope import Envelope
from core.monitor.alarm_objects import Alarms, ListAlarms, ReportAlarm
from core.monitor.objects import GetSystemStatus
from core.unit_of_work import Core
from gateway.admission import Admission
from gateway.alarms import AlarmDesk
from gateway.console.listener import ConsoleListener
from gateway.console.site import console_site
from gateway.dispatcher import AtHand, Dispatcher
from gateway.observability import Observer
from gateway.outbound import address_of, receiver_for
from gateway.parties import Parties
from gateway.parts import Part, Parts, basis_of
from gateway.reloading import reload_parts
from gateway.services import Services
from gateway.sessions import Sessions
from gateway.status import Status
from gateway.workmates import Workmates
from plugins.api import Adapter, Connector, Listener, Surroundings

EVENTS = frozenset(m.__name__ for m in INTERNAL if issubclass(m, Event))


def utcnow() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


class Role(StrEnum):
    """What a process does: lets parties in, carries out what they ask, or talks to systems outside."""

    GATEWAY = "gateway"
    CORE = "core"
    CONNECTOR = "connector"


ROLES = frozenset(Role)
_NO_REQUESTS = frozenset({ReportAlarm.__name__})
"""Elements send far more of them than parties: they are kept as long as what goes on among the cores."""
_AT_START = ("operators", "limits", "database", "console", "log", "bus")
"""What of uip.yaml is taken when a process starts, and by no reload."""
ALONE = Workmates(Path(), 1, 1)


class Storeless:
    """Stands where a process without cores has no store."""

    async def start(self, bus: Bus) -> None:
        """There is nothing to open."""

    async def resume(self) -> None:
        """There is nothing to deliver."""

    async def replace(self, cores: Sequence[Core]) -> None:
        """There are no cores here."""

    async def drain(self) -> None:
        """There is nothing under way."""

    async def stop(self) -> None:
        """There is nothing to close."""

    def queues(self) -> list[tuple[str, int, float | None]]:
        """Nothing waits here."""
        return []


class Doorway:
    """What listeners see of the gateway (`plugins.api.Gateway`)."""

    def __init__(self, catalogue: Catalogue, sessions: Sessions, dispatcher: Dispatcher) -> None:
        self.catalogue = catalogue
        self.open_session = sessions.open
        self.close_session = sessions.close
        self.log_in = sessions.log_in
        self.dispatch = dispatcher.dispatch
        self.refused = dispatcher.refused


def cores_of(site: Site) -> list[Core]:
    """Make the cores from the site's catalogue and policies."""
    return [
        core.orders.core.build(site.offerings),
        core.credit.core.build(site.credit),
        core.provisioning.core.build(site.recipes, site.pools),
        core.billing.core.build(site.tariffs),
        core.monitor.core.build(),
    ]


def database_url(site: Site) -> str:
    """Return the site's database as SQLAlchemy takes it; a SQLite file's path is relative to the site's folder."""
    kind, slashes, path = site.settings.database.url.partition(":///")
    if kind.startswith("sqlite") and slashes and not Path(path).is_absolute():
        return f"{kind}:///{site.folder.absolute() / path}"
    return site.settings.database.url


def check_shared(site: Site, roles: Collection[str], workers: int) -> None:
    """Raise SiteError where so many processes of these roles cannot share what the site has: a database for one process, an
    account with fewer sessions than they would need.
    """
    problems = []
    url = site.settings.database.url
    if Role.CORE in roles and url.startswith("sqlite"):
        problems.append(site.main.problem(("database", "url"), "several processes with cores need a database that they can share, and "
                                          f"{url} is for one; use postgresql://user@host/name"))
    for name, section in site.connectors.items() if Role.CONNECTOR in roles else ():
        slots, sessions = getattr(section.settings, "login_slots", None), getattr(section.settings, "sessions", 1)
        if slots is not None and slots < workers * sessions:
            problems.append(site.main.problem(("connectors", name, "login_slots"), f"must be {workers * sessions} or more for {workers} "
                                              "workers, for each has sessions of its own; or have connectors in a process of their own "
                                              "(--role)"))
    if problems:
        raise SiteError(problems)


class Application:
    """A gateway made of a checked site, ready to start: binds and opens nothing before `services.start`.

    `roles` says which parts this process has; the others are in processes elsewhere, which the site's `bus` connects.
    `workmates` are the workers it shares its listeners with.
    """

    def __init__(self, site: Site, adapters: Mapping[str, Adapter], reactor: Any, log: Any, roles: Collection[Role] = ROLES,
                 workmates: Workmates = ALONE) -> None:
        settings, limits = site.settings, site.settings.limits
        cores = cores_of(site)
        handled = {GetSystemStatus.__name__}.union(*(c.handlers for c in cores))
        self._roles = frozenset(roles)
        self._main = site.main
        self._settings = settings
        self._adapters = adapters
        self._reactor = reactor
        self._log = log
        self._catalogue = Catalogue(o.name for o in OPERATIONS if o.name in handled)
        self._bus = self._bus_of(site)
        self._store: Store | Storeless = Storeless()
        self._logins: SharedLogins | None = None
        observer = Observer(log, reactor)
        self._alarms = AlarmDesk(reactor=reactor, bus=self._bus, log=log, counted=observer.alarms, utcnow=utcnow, new_id=new_id)
        background: list[Background] = []
        if Role.CORE in self._roles:
            self._store = store = open_store(database_url(site), reactor=reactor, cores=cores, model_of=self._catalogue.model,
                                                   utcnow=utcnow)
            if store.node.shared:
                logins = SharedLogins(run=store.run, node=store.node, new_id=new_id)
                store.when_lost.append(lambda: Deferred.fromCoroutine(logins.lost()))
                self._logins = logins
            background.append(Sweeper(reactor=reactor, run=store.run, utcnow=utcnow, policy=settings.database.retention,
                                      requests=self._catalogue.operations.keys() - _NO_REQUESTS, log=log, counted=observer.pruned))
            background.append(Watch(reactor=reactor, run=store.run, fire=store.timer_set, log=log))
        else:
            for elsewhere in cores:
                self._know(elsewhere.name, elsewhere.subscriptions)
        self._parties = Parties(settings.parties, workmates.share)
        self._parts = Parts()

        sessions = Sessions(reactor, self._parties.secrets, new_id=new_id, max_sessions=limits.max_sessions,
                            login_timeout=limits.login_timeout, idle_timeout=limits.idle_timeout,
                            max_login_tries=limits.max_login_tries)
        admission = Admission(reactor, max_in_flight=limits.max_in_flight, rates=self._parties.rates)
        at_hand: dict[str, AtHand] = {}
        dispatcher = Dispatcher(reactor=reactor, bus=self._bus, at_hand=at_hand, catalogue=self._catalogue, admission=admission,
                                observer=observer, allowed=self._parties.allowed, default_deadline=limits.request_deadline,
                                utcnow=utcnow, new_id=new_id)
        self._doorway = Doorway(self._catalogue, sessions, dispatcher)
        status = Status(sessions=sessions, parts=self._parts, queues=self._store, utcnow=utcnow, seconds=reactor.seconds,
                        workmates=workmates)
        at_hand[GetSystemStatus.__name__] = status.receive
        self._carries_events = False
        self._connected: set[str] = set()

        observer.gauge("uip_sessions", "Open sessions", lambda: len(sessions))
        observer.gauge("uip_in_flight", "Requests waiting for their answer", lambda: admission.in_flight)
        observer.gauge("uip_queue_depth", "Messages waiting in the outbox", lambda: sum(depth for _, depth, _ in self._store.queues()))
        self._console = ConsoleListener(
            reactor, console_site(reactor, status, lambda: workmates.metrics(generate_latest(observer.registry), time.time()),
                                  {o.name: o.secret.get_secret_value() for o in settings.operators}, self._standing_alarms),
            settings.console.host, settings.console.port)

        def leave_figures() -> None:
            workmates.leave(generate_latest(observer.registry), status.read())

        for name, section in site.listeners.items():
            self._parts.listeners[name] = self.listener(site, name, section)
        if Role.GATEWAY not in self._roles:
            self._parts.listeners.clear()
        for name, section in site.connectors.items():
            if Role.CONNECTOR in self._roles:
                self._parts.connectors[name] = self.connector(site, name, section)
                self.connect(name)
            else:
                self._know(address_of(name))
        self.services = Services(reactor=reactor, log=log, store=self._store, bus=self._bus, parts=self._parts,
                                 console=self._console, sessions=sessions, admission=admission, status=status, alarms=self._alarms,
                                 drain_timeout=limits.drain_timeout, main=site.main,
                                 every_second=() if workmates.alone else (leave_figures,), background=background)

    def addresses(self) -> dict[str, str]:
        """Tell where each listener listens, by name."""
        listening = (*((name, part.service) for name, part in self._parts.listeners.items()), ("console", self._console))
        return {name: str(service.status().get("address", "")) for name, service in listening}

    async def reload(self, site: Site) -> None:
        """Go on with another site: what is unchanged stays as it is, open sessions end as they began.

        Parties, catalogue, policies, dialects, protocols, listeners and connectors are taken; _AT_START is not before the next
        start, which the log says. Raises what a listener that cannot start raises; then its old one goes on.
        """
        later = [name for name in _AT_START if getattr(site.settings, name) != getattr(self._settings, name)]
        if later:
            self._log.warning("what has changed there is taken at the next start", sections=later)
        await self._store.replace(cores_of(site))
        self._parties.replace(site.settings.parties)
        await reload_parts(self._parts, self._own(site), self, self._log)

    def listener(self, site: Site, name: str, section: Section) -> Part[Listener]:
        """Make a listener from its section."""
        made = self._adapters[section.transport].listener(name, section.settings, self._doorway, self._around(site))
        if hasattr(made, "publish") and not self._carries_events:
            self._carries_events = True  # before that, nobody hears them, and they are not even written
            if Role.GATEWAY in self._roles:
                self._bus.receive("events", self._publish, EVENTS)
            else:
                self._know("events", EVENTS)
        return Part(section.transport, made, basis_of(site, section))

    def connector(self, site: Site, name: str, section: Section) -> Part[Connector]:
        """Make a connector from its section."""
        made = self._adapters[section.transport].connector(name, section.settings, self._around(site))
        return Part(section.transport, made, basis_of(site, section))

    def connect(self, name: str) -> None:
        """Let the bus bring a connector's commands to whichever connector has that name when they come; once for each name."""
        if name in self._connected:
            return
        self._connected.add(name)
        self._bus.receive(address_of(name), receiver_for(lambda envelope: self._parts.perform(name, envelope), self._bus, utcnow))

    def _own(self, site: Site) -> Site:
        """The site with those sections only that this process's roles are for."""
        return replace(site, listeners=site.listeners if Role.GATEWAY in self._roles else {},
                       connectors=site.connectors if Role.CONNECTOR in self._roles else {})

    def _bus_of(self, site: Site) -> InProcessBus | RabbitBus:
        if site.bus is None:
            return InProcessBus(Deferred)
        return RabbitBus(site.bus, reactor=self._reactor, site=site.folder, log=self._log, model_of=self._catalogue.model)

    def _know(self, address: str, events: frozenset[str] = frozenset()) -> None:
        """Say that an address is served by a process elsewhere. Raises SiteError where nothing connects it with this one."""
        if not isinstance(self._bus, RabbitBus):
            raise SiteError([self._main.problem(("bus",), f"is missing: {address} would be in another process than the --role "
                                                "of this one, and `bus: {url: amqp://USER:PASSWORD@HOST/VHOST}` joins them")])
        self._bus.know(address, events)

    def _around(self, site: Site) -> Surroundings:
        return Surroundings(reactor=self._reactor, site=site.folder, catalogue=self._catalogue, dialects=site.dialects,
                            protocols=site.protocols, log=self._log, logins=self._logins,
                            report_alarm=self._alarms.report)

    def _standing_alarms(self) -> Deferred[Alarms]:
        """Ask the monitor core, wherever it is, for the newest alarms that stand."""
        message_id = new_id()
        answer: Any = self._bus.call("monitor", Envelope(body=ListAlarms(), message_id=message_id, correlation_id=message_id,
                                                         occurred_at=utcnow()))
        return ensureDeferred(answer)

    async def _publish(self, envelope: Envelope[Any]) -> None:
        """Bring an event to every listener that carries events."""
        for part in self._parts.listeners.values():
            publish = getattr(part.service, "publish", None)
            if publish is not None:
                await publish(envelope)
