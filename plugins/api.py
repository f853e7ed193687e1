"""The plug-in interface: the one module third parties import. No interface has more than five methods.

An adapter package offers itself in the entry-point group `uip.adapters` (name -> an `Adapter`); the bundled ones enter
by the same door. In `uip.functions` stand functions for the `apply:` of protocol files: text in, value out, ValueError when
the text is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from core.bus import TryAgain
from core.messages.base import BusinessObject, Event
from core.messages.catalogue import Catalogue, Operation
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Fault, Kind
from core.monitor.alarm_objects import ReportAlarm
from plugins.checking import checked, checked_json


@dataclass(frozen=True, slots=True)
class Context:
    """What an asker may say about a request beside its body. `deadline` is an instant in UTC."""

    idempotency_key: str | None = None
    correlation_id: str | None = None
    deadline: datetime | None = None


@dataclass(slots=True)
class Session:
    """One peer's conversation, as the operator sees it. Adapters get one from `Gateway.open_session` and close it.

    `close` asks the adapter to end the conversation (idle, drain, operator); times are the reactor's seconds.
    """

    id: str
    protocol: str
    peer: str
    close: Callable[[str], None]
    opened: float
    last_activity: float
    party: str | None = None
    in_flight: int = 0
    state: str = "open"
    failed_logins: int = 0


class Gateway(Protocol):
    """What a listener may ask of the gateway."""

    @property
    def catalogue(self) -> Catalogue:
        """The operations offered here."""

    def open_session(self, protocol: str, peer: str, close: Callable[[str], None]) -> Session:
        """Begin a session. Raises Failure(BUSY) when there are too many."""

    def close_session(self, session: Session) -> None:
        """End a session; its accepted requests go on. Closing twice does no harm."""

    def log_in(self, session: Session, name: str, proves: Callable[[str], bool]) -> None:
        """Bind a party to the session when `proves(its secret)` is true. Raises Failure(AUTHENTICATION).

        `proves` is given the party's secret so that digests can be checked; it must compare in constant time.
        """

    async def dispatch(self, session: Session, request: BusinessObject, context: Context) -> BusinessObject:
        """Carry out a request and return its reply, durably stored when it changed anything.

        Raises Failure for every refusal: not logged in, not allowed, too many, deadline passed, what the core says.
        Cancelling the awaiting Deferred never aborts accepted work.
        """

    def refused(self, failure: Failure, protocol: str, session: Session | None = None, context: Context | None = None) -> None:
        """Note a refusal before it is answered: it is counted and logged, and gets its correlation id, the asker's where that is
        known. What `dispatch` has raised was noted there, and is not noted again; so this may be told of every failure.
        """


class Service(Protocol):
    """A running part: a listener or a connector."""

    name: str

    async def start(self) -> None:
        """Bind or begin to connect. Raises OSError (address in use, say)."""

    async def drain(self) -> None:
        """Take no new work; return when what was taken is answered. The caller bounds the time."""

    async def stop(self) -> None:
        """Close everything at once."""

    def status(self) -> Mapping[str, Any]:
        """Tell the operator how it is: at least `state`; a listener adds `address`, a connector `peer`."""


class Listener(Service, Protocol):
    """Lets parties in."""

    async def retire(self) -> None:
        """Let nobody new in, and go on with who is there until they end: a newer listener has taken over the address."""


class Connector(Service, Protocol):
    """Takes commands for a system outside."""

    async def perform(self, envelope: Envelope[Any]) -> BusinessObject:
        """Carry out one outbound command and return what the peer answered, as a business object.

        `envelope.attempt` > 0 means an earlier attempt may have reached the peer: query before sending again.
        Raises TryAgain when nothing was done and it may be tried later, Failure when the peer refuses for good.
        """


@dataclass(frozen=True, slots=True)
class Account:
    """A user's name at a peer (`host:port`). `slots` is how many sessions it may have at once, all processes together or, when
    `apiece`, each of them; after `attempts` refusals in a row nobody tries for `lockout` seconds.
    """

    peer: str
    user: str
    slots: int
    attempts: int
    lockout: float
    apiece: bool = False


class LoginBudget(Protocol):
    """Awaited before, and told after, each login."""

    async def take(self, account: Account, lost: Callable[[], None] | None = None) -> float:
        """Take a slot. Returns 0 when it was given, else how many seconds to wait before asking again.

        `lost` is told when the slot has gone to somebody else meanwhile: the session must end.
        """

    async def give_back(self, account: Account) -> None:
        """The session that held a slot is over."""

    async def refused(self, account: Account) -> None:
        """The peer has refused the account."""

    async def accepted(self, account: Account) -> None:
        """The peer has let the account in."""


def _unheard(_report: ReportAlarm) -> None:
    """Where there is no gateway round an adapter, nobody is told."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an adapter is given to build with. `reactor` is Twisted's; `site` is the site's folder, `dialects` and `protocols`
    are its files by name (the file's `dialect:` or `protocol:` value), already parsed; `log` is a structlog logger. `logins` is
    the budget that several processes share; where there is none, an adapter keeps its own. `report_alarm` hands what an element says
    unasked to the monitor core; it returns at once.
    """

    reactor: Any
    site: Path
    catalogue: Catalogue
    dialects: Mapping[str, Mapping[str, Any]]
    protocols: Mapping[str, Mapping[str, Any]]
    log: Any
    logins: LoginBudget | None = None
    report_alarm: Callable[[ReportAlarm], None] = _unheard


class Adapter(Protocol):
    """One transport, both directions. Either model may be None where the adapter has only the other direction."""

    listener_settings: type[BaseModel] | None
    connector_settings: type[BaseModel] | None

    def listener(self, name: str, settings: Any, gateway: Gateway, around: Surroundings) -> Listener:
        """Make a listener from its section of uip.yaml, checked against `listener_settings`."""

    def connector(self, name: str, settings: Any, around: Surroundings) -> Connector:
        """Make a connector from its section of uip.yaml, checked against `connector_settings`."""


__all__ = [
    "Account",
    "Adapter",
    "BusinessObject",
    "Catalogue",
    "Connector",
    "Context",
    "Envelope",
    "Event",
    "Failure",
    "Fault",
    "Gateway",
    "Kind",
    "Listener",
    "LoginBudget",
    "Operation",
    "ReportAlarm",
    "Service",
    "Session",
    "Surroundings",
    "TryAgain",
    "checked",
    "checked_json",
]
