"""What goes into a group commit and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from adapters.store.tables import Row
from core.bus import TryAgain
from core.ids import TimeOrderedIds
from core.messages.base import BusinessObject
from core.messages.envelope import Envelope, ModelOf
from core.messages.failures import Failure
from core.unit_of_work import Core, UnitOfWork


class HandlerFailed(Exception):
    """A handler raised what it should not have; nothing of it was stored. The cause is in the log, not in the text."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The outcome of a request that will be answered by a later message."""

    address: str
    message_id: str


Outcome = BusinessObject | Failure | HandlerFailed | TryAgain | Waiting | None


@dataclass(slots=True, eq=False)
class Job:
    """A message to be handled by a core. `action` replaces the handler for work that is no message (a core's start)."""

    core: Core
    envelope: Envelope[Any]
    query: bool = False
    action: Callable[[UnitOfWork], None] | None = None

    @property
    def answered_later(self) -> bool:
        """Whether the reply goes to an address by the outbox, not to somebody waiting."""
        return self.envelope.reply_to is not None or self.envelope.causation_id is not None

    def names(self) -> list[tuple[str, str]]:
        """What no two messages of one transaction may share, or the second could not see that it is a second one."""
        names = [("message " + self.core.name, self.envelope.message_id)]
        if self.envelope.idempotency_key is not None:
            names.append(("key " + self.envelope.party, self.envelope.idempotency_key))
        return names

    def works_on(self) -> list[str]:
        """What no two transactions may work on at once: what the core says, and the request that an idempotency key names."""
        if self.query:
            return []
        names = [f"{self.core.name} {name}" for name in self.core.works_on(self.envelope)]
        if self.envelope.idempotency_key is not None:
            names.append(f"key {self.envelope.party} {self.envelope.idempotency_key}")
        return names


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An outbox row. `attempt` is how many tries may already have been made; times are Unix milliseconds."""

    id: str
    to: str
    envelope: Envelope[Any]
    created: int
    attempt: int = 0
    not_before: int = 0


@dataclass(slots=True)
class Upkeep:
    """What the relay wants recorded in the next commit, and what it does once that is on the disk."""

    taken: list[str] = field(default_factory=list)
    sent: list[Row] = field(default_factory=list)
    retries: list[Row] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.taken or self.sent or self.retries)

    def put_back(self, earlier: Upkeep) -> None:
        """Take over what could not be committed, in front."""
        self.taken[:0] = earlier.taken
        self.sent[:0] = earlier.sent
        self.retries[:0] = earlier.retries
        self.after[:0] = earlier.after


@dataclass(slots=True)
class Result:
    """What a group commit came to: outcomes in the order of the jobs (fewer when time ran out), and what to do now.

    `lost` says that others take this node for dead, so that nothing can be written in its name.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    outgoing: list[Outgoing] = field(default_factory=list)
    next_due: int | None = None
    answers: dict[tuple[str, str], BusinessObject | Failure] = field(default_factory=dict)
    upkeep_done: bool = True
    lost: bool = False

    def add(self, other: Result) -> None:
        """Join what a further transaction came to."""
        self.outcomes += other.outcomes
        self.outgoing += other.outgoing
        self.answers.update(other.answers)
        self.next_due = min((d for d in (self.next_due, other.next_due) if d is not None), default=None)


@dataclass(frozen=True, slots=True)
class Means:
    """What every batch needs from outside. `seconds` bounds how long one transaction takes new handlers in; `node` tells in
    whose name it writes, and `shared` whether other processes use the database.
    """

    engine: Engine
    model_of: ModelOf
    subscribers: Callable[[str], frozenset[str]]
    utcnow: Callable[[], datetime]
    new_id: Callable[[], str]
    outbox_ids: TimeOrderedIds
    node: Callable[[], str] = lambda: ""
    shared: bool = False
    seconds: float = 0.05
