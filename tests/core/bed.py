"""A bench for cores: runs them synchronously on SQLite in memory, delivers what they send, and shows what goes outside.

It stands in for the store, the relay and the bus in tests of business rules only; the real ones have contract tests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Select, Table, create_engine, insert
from sqlalchemy.engine import CursorResult
from sqlalchemy.sql import Executable

from core.messages.base import BusinessObject
from core.messages.envelope import Envelope
from core.messages.failures import Failure
from core.unit_of_work import ANSWER_LATER, Core, Timer, UnitOfWork


class _Writer:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return self.connection.execute(statement, parameters)

    def first(self, statement: Select[Any], parameters: Mapping[str, Any]) -> Any | None:
        return self.connection.execute(statement, parameters).first()

    def insert(self, table: Table, row: Mapping[str, Any]) -> None:
        self.connection.execute(insert(table), row)


class Bed:
    """`outside` answers what is sent to addresses that are no core; returning None leaves it unanswered in `unanswered`."""

    def __init__(self, *cores: Core, outside: Callable[[str, Envelope[Any]], BusinessObject | None] | None = None,
                 now: datetime = datetime(2026, 3, 15, 12, tzinfo=UTC)) -> None:
        self.cores = {c.name: c for c in cores}
        self.outside = outside or (lambda to, envelope: None)
        self.now = now
        self.engine = create_engine("sqlite://")
        self.connection = self.engine.connect()
        self.queue: deque[tuple[str, Envelope[Any]]] = deque()
        self.unanswered: list[tuple[str, Envelope[Any]]] = []
        self.sent: list[tuple[str, BusinessObject]] = []
        self.events: list[BusinessObject] = []
        self.answers: dict[str, BusinessObject | Failure] = {}
        self.timers: dict[str, Timer] = {}
        self._requests: dict[str, Envelope[Any]] = {}
        self._ids = count(1)
        for core in cores:
            core.metadata.create_all(self.connection)
        self.connection.commit()
        for core in cores:
            if core.on_start:
                self._transaction(core, core.on_start, self._envelope(BusinessObject()))

    def ask(self, to: str, body: BusinessObject, *, run: bool = True, party: str = "crm") -> BusinessObject | None:
        """Send a request as a party would; returns the reply, raises the Failure, or returns None when there is none yet."""
        envelope = self._envelope(body, party=party)
        self._deliver(to, envelope)
        if run:
            self.run()
        answer = self.answers.get(envelope.message_id)
        if isinstance(answer, Failure):
            raise answer
        return answer

    def run(self) -> None:
        """Deliver until nothing is left to deliver."""
        while self.queue:
            self._deliver(*self.queue.popleft())

    def reply(self, request: Envelope[Any], body: BusinessObject) -> None:
        """Answer an unanswered outside command, and run."""
        assert request.reply_to
        self.queue.append((request.reply_to, self._envelope(body, causation=request)))
        self.run()

    def pass_time(self, by: timedelta) -> None:
        """Move the clock and fire what falls due, in order."""
        end = self.now + by
        while due := min((t for t in self.timers.values() if t.due <= end), key=lambda t: t.due, default=None):
            self.now = max(self.now, due.due)
            del self.timers[due.id]
            self.queue.append((due.to, due.envelope))
            self.run()
        self.now = end

    def _envelope(self, body: BusinessObject, *, party: str = "crm", causation: Envelope[Any] | None = None) -> Envelope[Any]:
        number = f"M{next(self._ids)}"
        return Envelope(body=body, message_id=number, correlation_id=causation.correlation_id if causation else number,
                        causation_id=causation.message_id if causation else None, occurred_at=self.now, party=party,
                        key=causation.key if causation else "")

    def _deliver(self, to: str, envelope: Envelope[Any]) -> None:
        self._requests[envelope.message_id] = envelope
        core = self.cores.get(to)
        if core is None:
            answer = self.outside(to, envelope)
            if answer is None:
                self.unanswered.append((to, envelope))
            elif envelope.reply_to:
                self.queue.append((envelope.reply_to, self._envelope(answer, causation=envelope)))
            return
        handler = core.handlers[envelope.type]
        try:
            result = self._transaction(core, lambda uow: handler(envelope, uow), envelope)
        except Failure as failure:
            self._answer(envelope.message_id, failure)
        else:
            if result is not None and result is not ANSWER_LATER:
                self._answer(envelope.message_id, result)

    def _transaction(self, core: Core, action: Callable[[UnitOfWork], Any], envelope: Envelope[Any]) -> Any:
        uow = UnitOfWork(envelope, self.now, _Writer(self.connection), lambda: f"N{next(self._ids):05d}")
        try:
            result = action(uow)
        except Failure:
            self.connection.rollback()
            raise
        self.connection.commit()
        for timer in uow.cancelled_timers:
            self.timers.pop(timer, None)
        for timer in uow.timers:
            self.timers[timer.id] = timer
        for request_id, answer in uow.answers:
            self._answer(request_id, answer)
        for sent in uow.sent:
            if sent.to is not None:
                self.sent.append((sent.to, sent.envelope.body))
                self.queue.append((sent.to, sent.envelope))
            else:
                self.events.append(sent.envelope.body)
                self.queue.extend((c.name, sent.envelope) for c in self.cores.values() if sent.envelope.type in c.subscriptions)
        return result

    def _answer(self, request_id: str, answer: BusinessObject | Failure) -> None:
        self.answers[request_id] = answer
        request = self._requests[request_id]
        if request.reply_to:
            body = answer.fault(request.correlation_id) if isinstance(answer, Failure) else answer
            self.queue.append((request.reply_to, self._envelope(body, causation=request)))
