"""What a core handler may do: read and write its own tables, and leave messages, answers and timers behind.

Everything a handler does through its unit of work becomes durable in one transaction, together with the inbox row of
the message it handles, or not at all. The store (`adapters.store`) opens it, runs the handler and carries out what was
left behind; handlers never wait for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import MetaData, Select, Table
from sqlalchemy.engine import CursorResult
from sqlalchemy.sql import Executable

from core.messages.base import BusinessObject, Event
from core.messages.envelope import Envelope
from core.messages.failures import Failure


class AnswerLater:
    """What a handler returns when the answer to its request will come from a later message (see `UnitOfWork.answer`)."""


ANSWER_LATER: Final = AnswerLater()


@dataclass(frozen=True, slots=True)
class Sent:
    """A message left in the outbox for one bus address, or for all subscribers of an event (`to` is None)."""

    to: str | None
    envelope: Envelope[Any]


@dataclass(frozen=True, slots=True)
class Timer:
    """A message to be sent to `to` at `due`. Setting a timer with the same id again replaces it."""

    id: str
    due: datetime
    to: str
    envelope: Envelope[Any]


class Writer(Protocol):
    """The store's side of a unit of work: runs statements in the handler's savepoint."""

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a statement now, in the handler's savepoint, after everything inserted so far."""

    def first(self, statement: Select[Any], parameters: Mapping[str, Any]) -> Any | None:
        """Read one row as `execute` would."""

    def insert(self, table: Table, row: Mapping[str, Any]) -> None:
        """Insert a row no later than the next `execute` or the commit; rows of many handlers go in together."""


@dataclass(slots=True)
class UnitOfWork:
    """One handler's transaction. `now` is one instant for the whole handler, in UTC, cut to milliseconds."""

    command: Envelope[Any]
    now: datetime
    writer: Writer
    new_id: Callable[[], str]
    heard: Callable[[str], bool] = lambda _event: True
    """Whether anybody subscribes to events of a type: what nobody hears is not even written down."""
    sent: list[Sent] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    cancelled_timers: list[str] = field(default_factory=list)
    answers: list[tuple[str, BusinessObject | Failure]] = field(default_factory=list)

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a SQLAlchemy Core statement on the core's own tables."""
        return self.writer.execute(statement, parameters)

    def first(self, statement: Select[Any], parameters: Mapping[str, Any]) -> Any | None:
        """Return the first row that a select finds, or None. Cheaper than `execute`: for statements that are made once and kept,
        with the values that change as their parameters.
        """
        return self.writer.first(statement, parameters)

    def insert(self, table: Table, **row: Any) -> None:
        """Insert one row. Cheaper than `execute(table.insert())`: the rows of a whole group commit are written together."""
        self.writer.insert(table, row)

    def send(self, to: str, body: BusinessObject, *, key: str, reply_to: str | None = None) -> str:
        """Leave a command for another core or a connector; returns its message id.

        The answer, if `reply_to` names the sender's own address, comes back as a new message whose `causation_id` is the
        returned id: the reply object, or a `Fault`.
        """
        envelope = self._follow(body, key, reply_to)
        self.sent.append(Sent(to, envelope))
        return envelope.message_id

    def publish(self, event: Event, *, key: str) -> None:
        """Leave an event for all that subscribe to it, now and in this order per key."""
        if self.heard(type(event).__name__):
            self.sent.append(Sent(None, self._follow(event, key, None)))

    def answer(self, request_id: str, reply: BusinessObject | Failure) -> None:
        """Answer a request whose handler returned ANSWER_LATER; `request_id` is its message id.

        A business object is stored as the request's answer for ever; a Failure only reaches who waits now.
        """
        self.answers.append((request_id, reply))

    def at(self, due: datetime, timer_id: str, to: str, body: BusinessObject, *, key: str) -> None:
        """Send `body` to `to` when it is `due`. The timer outlives the process."""
        self.timers.append(Timer(timer_id, due, to, self._follow(body, key, None)))

    def cancel_timer(self, timer_id: str) -> None:
        """Take a timer back; no error when it is gone already."""
        self.cancelled_timers.append(timer_id)

    def _follow(self, body: BusinessObject, key: str, reply_to: str | None) -> Envelope[Any]:
        return Envelope(body=body, message_id=self.new_id(), correlation_id=self.command.correlation_id,
                        causation_id=self.command.message_id, party=self.command.party, session=self.command.session,
                        occurred_at=self.now, reply_to=reply_to, key=key)


Handler = Callable[[Envelope[Any], UnitOfWork], BusinessObject | AnswerLater | None]
"""Returns the reply, ANSWER_LATER, or None for a message that wants no answer; raises Failure to refuse."""


def key_of(command: Envelope[Any]) -> tuple[str, ...]:
    """Return the key of a message, where it has one."""
    return (command.key,) if command.key else ()


@dataclass(frozen=True, slots=True)
class Core:
    """A core as the composition root sees it: its bus address, what it handles, what it hears, what it owns."""

    name: str
    handlers: Mapping[str, Handler]
    metadata: MetaData
    subscriptions: frozenset[str] = frozenset()
    on_start: Callable[[UnitOfWork], None] | None = None
    """Run once in a transaction before messages arrive: brings tables up to date with the catalogue (pools, say)."""
    works_on: Callable[[Envelope[Any]], Iterable[str]] = key_of
    """Names what a message will read to change, or make (an order, a pool): no two processes handle messages with a name in common
    at once. Named before anything is read, so that no two wait for each other; what goes unnamed costs a repetition, no more."""


__all__ = ["ANSWER_LATER", "AnswerLater", "Core", "Handler", "Sent", "Timer", "UnitOfWork", "Writer"]
