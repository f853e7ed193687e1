"""One group commit: handlers one after the other in one transaction, each in a savepoint of its own, and what they leave.

Everything here is synchronous: it runs on the reactor's thread (SQLite) or on the store's own (PostgreSQL).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Delete, Select, Table, bindparam, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.sql import Executable

from adapters.store.answers import by_key, by_message, stored
from adapters.store.engine import READ_ONLY
from adapters.store.inserting import insert_rows, without_waiting
from adapters.store.jobs import HandlerFailed, Job, Means, Outcome, Outgoing, Result, Upkeep, Waiting
from adapters.store.nodes import NotANode
from adapters.store.reading import among, as_any_statement_s, first_row, listed
from adapters.store.sharing import lock, place
from adapters.store.tables import Row, inbox, milliseconds, outbox, timer
from core.bus import TryAgain
from core.messages.base import BusinessObject, as_json
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.unit_of_work import Core, Timer, UnitOfWork

_log = logging.getLogger(__name__)


class _Spoiled(Exception):
    """The transaction cannot be committed as a whole; its messages must each have one of their own."""


def commit(means: Means, jobs: Sequence[Job], upkeep: Upkeep) -> Result:
    """Handle the jobs in one transaction; where that cannot be, in one each. Never raises."""
    try:
        return _together(means, jobs, upkeep, suspicious=False)
    except NotANode:
        return Result(upkeep_done=False, lost=True)
    except (_Spoiled, DBAPIError) as error:
        _log.info("a group commit of %d messages is taken apart: %s", len(jobs), _reason(error))
    result = Result(upkeep_done=not upkeep)
    if upkeep:
        try:
            _together(means, (), upkeep, suspicious=False)
            result.upkeep_done = True
        except DBAPIError as error:
            _log.error("the outbox cannot be kept: %s", _reason(error))  # without the traceback: the statement would show bodies
    for job in jobs:
        try:
            result.add(_alone(means, job))
        except NotANode:
            result.lost = True
            break
    return result


def _alone(means: Means, job: Job) -> Result:
    """Handle one job in a transaction of its own; again when it met another process's, whose rows it can see then."""
    for attempt in range(1, _MEETINGS + 1):
        try:
            # The commit that failed may have reached the disk: this time every message id is looked up.
            return _together(means, (job,), Upkeep(), suspicious=True, last=attempt == _MEETINGS)
        except (_Spoiled, DBAPIError) as error:
            cause = error.__cause__ or error if isinstance(error, _Spoiled) else error
            # Who meets the same unique value again and again has met a row that stays, not another's transaction.
            most = _MEETINGS if not isinstance(cause, IntegrityError) else _SAME_VALUE
            if attempt >= most or not _met_another(cause):
                failed = _database_failed(job, cause) if isinstance(cause, DBAPIError) else _failed(job, cause)
                return Result(outcomes=[failed])
    raise AssertionError("the last round returns")


_MEETINGS = 6
_SAME_VALUE = 3
"""How often one message is tried that meets another process's transaction, or another's unique value."""
_STATES_OF_MEETING = frozenset({"40001", "40P01", "55P03"})
"""SQLSTATE: serialization failure, deadlock, lock not available in time."""


def _met_another(error: BaseException) -> bool:
    """Whether two transactions stood in each other's way: one unique value, a deadlock, a serialization failure."""
    return isinstance(error, IntegrityError) or (
        isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _STATES_OF_MEETING)


def _database_failed(job: Job, error: DBAPIError) -> Outcome:
    if type(error).__name__ == "OperationalError":  # locked, full, gone: the database's trouble, not the message's
        _log.error("the database refuses %s: %s", job.envelope.message_id, _reason(error))
        return TryAgain("the store is not available")
    return _failed(job, error)


def _failed(job: Job, error: BaseException) -> HandlerFailed:
    # Database errors are named without their parameters, which are bodies.
    told = error if not isinstance(error, DBAPIError) else None
    _log.error("the handler of %s at %s failed on message %s: %s", job.envelope.type, job.core.name, job.envelope.message_id,
               _reason(error), exc_info=told and (type(told), _Unsaid(type(told).__name__), told.__traceback__))
    return HandlerFailed(f"{job.envelope.type}: {type(error).__name__}")


class _Unsaid(Exception):
    """Stands in the log for an error whose text may quote a message's body."""


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__} ({type(error.orig).__name__})" if isinstance(error, DBAPIError) else type(error).__name__


def _together(means: Means, jobs: Sequence[Job], upkeep: Upkeep, *, suspicious: bool, last: bool = False) -> Result:
    only_reading = not upkeep and all(job.query for job in jobs)
    with means.engine.connect() as opened:
        connection = opened.execution_options(**{READ_ONLY: True}) if only_reading else opened
        batch = _Batch(means, connection, last)
        with ExitStack() as sending, connection.begin() as transaction:
            if means.shared:
                lock(connection, (name for job in jobs for name in job.works_on()))
            batch.keep(upkeep)
            batch.look_up(jobs, suspicious=suspicious)
            until = time.monotonic() + means.seconds
            for job in jobs:
                batch.result.outcomes.append(batch.handle(job))
                if time.monotonic() > until:
                    break
            if only_reading:
                transaction.rollback()
            else:
                batch.settle()
                if not suspicious:  # else which statement fails, and of what, has to show
                    sending.enter_context(without_waiting(connection))
                batch.write()
    return batch.result


class _Writer:
    """One handler's statements. The savepoint is opened at its first write: most handlers only insert, and need none."""

    def __init__(self, batch: _Batch, job: Job) -> None:
        self._batch = batch
        self._job = job
        self.rows: list[tuple[Table, Mapping[str, Any]]] = []
        self.savepoint = False

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        self._make_ready(reading=getattr(statement, "is_select", False))
        return self._batch.connection.execute(statement, parameters)

    def first(self, statement: Select[Any], parameters: Mapping[str, Any]) -> Any | None:
        self._make_ready(reading=True)
        return first_row(self._batch.connection, statement, parameters)

    def _make_ready(self, *, reading: bool) -> None:
        # Neighbours' rows go in first, outside this savepoint: they must be seen, and must outlive this handler.
        # Only those of the same core: no core can see another's tables.
        self._batch.flush(self._job.core)
        if self._job.query and not reading:
            raise TypeError("a query may not write")
        if not self.savepoint and (self.rows or not reading):
            self._raw("SAVEPOINT handler")
            self.savepoint = True
        for table, row in self.rows:
            insert_rows(self._batch.connection, table, [row])
        self.rows.clear()

    def insert(self, table: Table, row: Mapping[str, Any]) -> None:
        if self._job.query:
            raise TypeError("a query may not write")
        self.rows.append((table, row))

    def keep(self) -> None:
        if self.savepoint:
            self._raw("RELEASE SAVEPOINT handler")
        self._batch.merge(self._job.core, self.rows)

    def undo(self) -> None:
        if self.savepoint:
            self._raw("ROLLBACK TO SAVEPOINT handler")
            self._raw("RELEASE SAVEPOINT handler")

    def _raw(self, statement: str) -> None:
        # Straight to the driver: a savepoint through SQLAlchemy costs as much as the handler's own work.
        try:
            self._batch.driver.execute(statement)
        except self._batch.connection.dialect.loaded_dbapi.Error as error:
            raise as_any_statement_s(self._batch.connection, statement, error) from error


_Key = tuple[Table, tuple[str, ...]]

_answer = update(inbox).where(inbox.c.message_id == bindparam("of"), inbox.c.address == bindparam("at")).values(
    pending=False, reply_type=bindparam("kind"), reply=bindparam("text"))
_withdraw = update(inbox).where(inbox.c.message_id == bindparam("of"), inbox.c.address == bindparam("at")).values(
    pending=False, idempotency_key=None, reply_type=bindparam("kind"), reply=bindparam("text"))
_update_outbox = update(outbox).where(outbox.c.id == bindparam("row"), outbox.c.node == bindparam("of")).values(
    {name: bindparam("new_" + name) for name in ("attempts", "not_before", "last_error", "state")})
_keep_outbox = update(outbox).where(outbox.c.id == bindparam("row"), outbox.c.node == bindparam("of")).values(
    state="sent", not_before=bindparam("new_not_before"), last_error=None)
_delete_timer = timer.delete().where(timer.c.owner == bindparam("by"), timer.c.id == bindparam("named"))


@cache
def _delete_outbox(dialect: str) -> Delete:
    return outbox.delete().where(among(outbox.c.id, "rows", dialect), outbox.c.node == bindparam("of"))


class _Batch:
    """One transaction. In the `last` there will be, what meets another process's work fails; else it is tried again."""

    def __init__(self, means: Means, connection: Connection, last: bool) -> None:
        self.means = means
        self.last = last
        self.connection = connection
        self.driver: Any = connection.connection.driver_connection
        self._node = means.node()
        self.result = Result()
        self._rows: dict[str, dict[_Key, list[Mapping[str, Any]]]] = {}
        self._inbox: list[Row] = []
        self._outbox: list[tuple[Row, Envelope[Any]]] = []
        self._timers: dict[tuple[str, str], Timer | None] = {}
        self._answers: dict[tuple[str, str], tuple[BusinessObject | Failure, datetime]] = {}
        self._taken: dict[tuple[str, str], Any] = {}
        self._keys: dict[tuple[str, str], Any] = {}

    def keep(self, upkeep: Upkeep) -> None:
        if upkeep.taken:
            self.connection.execute(_delete_outbox(self.connection.dialect.name), {"rows": listed(upkeep.taken), "of": self._node})
        if upkeep.sent:
            self.connection.execute(_keep_outbox, [{**sent, "of": self._node} for sent in upkeep.sent])
        if upkeep.retries:
            self.connection.execute(_update_outbox, [{**retry, "of": self._node} for retry in upkeep.retries])

    def look_up(self, jobs: Sequence[Job], *, suspicious: bool) -> None:
        """Find which messages have been taken before: one look-up for all, none for ids made for this very request."""
        seen = [j.envelope for j in jobs if not j.query]
        if ids := [e.message_id for e in seen if suspicious or e.causation_id is not None or e.attempt]:
            for row in by_message(self.connection, ids):
                self._taken[row.address, row.message_id] = row
        if keys := [e.idempotency_key for e in seen if e.idempotency_key is not None]:
            for row in by_key(self.connection, keys):
                self._keys[row.party, row.idempotency_key] = row

    def handle(self, job: Job) -> Outcome:
        envelope = job.envelope
        if row := self._taken.get((job.core.name, envelope.message_id)):
            return None if job.answered_later else stored(self.means.model_of, row)
        key = envelope.idempotency_key
        if key is not None and (row := self._keys.get((envelope.party, key))):
            return self._repeated(job, row)
        writer = _Writer(self, job)
        now = self.means.utcnow()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        uow = UnitOfWork(envelope, now, writer, self.means.new_id, self._heard)
        try:
            reply = self._run(job, uow)
        except Failure as failure:
            writer.undo()
            return self._refused(job, failure, now)
        except _Spoiled:
            raise
        except DBAPIError as error:
            # PostgreSQL takes nothing more in a transaction that failed outside a savepoint.
            if not writer.savepoint or (_met_another(error) and not self.last):
                raise _Spoiled from error
            writer.undo()
            return _database_failed(job, error)
        except Exception as error:  # noqa: BLE001  # whatever a handler does wrong, its neighbours must not notice
            writer.undo()
            return _failed(job, error)
        writer.keep()
        return self._succeeded(job, uow, reply)

    def _heard(self, event: str) -> bool:
        return bool(self.means.subscribers(event))

    def _run(self, job: Job, uow: UnitOfWork) -> Any:
        if job.action is not None:
            return job.action(uow)
        handler = job.core.handlers.get(job.envelope.type)
        if handler is None:
            raise Failure(Kind.UNKNOWN_OPERATION, f"{job.core.name} does not take {job.envelope.type}")
        reply = handler(job.envelope, uow)
        if job.query and (uow.sent or uow.timers or uow.answers or uow.cancelled_timers):
            raise TypeError("a query may not leave anything behind")
        return reply

    def _repeated(self, job: Job, row: Any) -> Outcome:
        """The same key again: the stored answer for the same request, a conflict for another one."""
        envelope = job.envelope
        same = row.address == job.core.name and row.type == envelope.type
        if not same or json.loads(row.envelope)["body"] != json.loads(envelope.to_json())["body"]:
            return self._refused(job, Failure(Kind.CONFLICT, "the idempotency key was used for another request"),
                                 self.means.utcnow())
        outcome = stored(self.means.model_of, row)
        if envelope.reply_to is not None and isinstance(outcome, BusinessObject):
            self._reply(_head(envelope), outcome, self.means.utcnow())
            return None
        return outcome

    def _refused(self, job: Job, failure: Failure, now: datetime) -> Outcome:
        if job.envelope.reply_to is None:
            return failure
        # The asker hears of it by message, so the request counts as taken; without its key, so that it may be repeated.
        self._journal(job, now, idempotency_key=None)
        self._reply(_head(job.envelope), failure.fault(job.envelope.correlation_id), now)
        return None

    def _succeeded(self, job: Job, uow: UnitOfWork, reply: Any) -> Outcome:
        envelope = job.envelope
        answered = isinstance(reply, BusinessObject)
        pending = reply is not None and not answered
        if job.action is None and not job.query:
            stored = as_json(reply) if answered else None
            self._journal(job, uow.now, pending=pending, reply_type=type(reply).__name__ if answered else None, reply=stored,
                          idempotency_key=envelope.idempotency_key)
        name = job.core.name
        for sent in uow.sent:
            self._send(sent.to, sent.envelope, uow.now)
        for timer_id in uow.cancelled_timers:
            self._timers[name, timer_id] = None
        for set_timer in uow.timers:
            self._timers[name, set_timer.id] = set_timer
        for request_id, answer in uow.answers:
            self._answers.setdefault((name, request_id), (answer, uow.now))
        if answered and envelope.reply_to is not None:
            self._reply(_head(envelope), reply, uow.now)
            return None
        if pending:
            return None if job.answered_later else Waiting(name, envelope.message_id)
        return reply  # type: ignore[no-any-return]  # a business object or None by now

    def _journal(self, job: Job, now: datetime, *, idempotency_key: str | None, pending: bool = False,
                 reply_type: str | None = None, reply: str | None = None) -> None:
        e = job.envelope
        self._inbox.append({
            "address": job.core.name, "message_id": e.message_id, "correlation_id": e.correlation_id, "party": e.party,
            "idempotency_key": idempotency_key, "session": e.session, "type": e.type, "envelope": e.to_json().decode(),
            "received": milliseconds(now), "pending": pending, "reply_type": reply_type, "reply": reply,
        })

    def _reply(self, head: Mapping[str, Any], body: BusinessObject, now: datetime) -> None:
        self._send(head["replyTo"], Envelope(
            body=body, message_id=self.means.new_id(), correlation_id=head["correlationId"], causation_id=head["messageId"],
            party=head["party"], session=head["session"], occurred_at=now, key=head["key"]), now)

    def _send(self, to: str | None, envelope: Envelope[Any], now: datetime) -> None:
        addresses = [to] if to is not None else sorted(self.means.subscribers(envelope.type))
        text, created = envelope.to_json().decode(), milliseconds(now)
        for address in addresses:
            self._outbox.append(({"id": self.means.outbox_ids(), "address": address, "key": envelope.key, "type": envelope.type,
                                  "envelope": text, "created": created, "attempts": 1, "not_before": 0, "last_error": None,
                                  "state": "pending", "node": self._node, "handed": False}, envelope))

    def merge(self, core: Core, rows: Sequence[tuple[Table, Mapping[str, Any]]]) -> None:
        groups = self._rows.setdefault(core.name, {}) if rows else {}
        for table, row in rows:
            groups.setdefault((table, tuple(row)), []).append(row)

    def flush(self, core: Core) -> None:
        """Write the rows gathered for one core, one statement a table, tables before those that refer to them."""
        if not (groups := self._rows.pop(core.name, None)):
            return
        keys = list(groups)
        if len(keys) > 1:
            order = {table: number for number, table in enumerate(core.metadata.sorted_tables)}
            keys.sort(key=lambda key: order.get(key[0], 0))
        self._flush(groups, keys)

    def _flush(self, groups: Mapping[_Key, list[Mapping[str, Any]]], keys: Sequence[_Key]) -> None:
        try:
            for key in keys:
                insert_rows(self.connection, key[0], groups[key])
        except DBAPIError as error:
            raise _Spoiled from error  # which of the messages it was shows when each has a transaction of its own

    def settle(self) -> None:
        """Do what has to look into the database, before `write`."""
        if self._answers:
            self._write_inbox()  # one may be an answer to a request of this very batch
            self._write_answers()
        if self._outbox and self.means.shared:
            place(self.connection, self._node, self.means.outbox_ids, [row for row, _ in self._outbox])
        if gone := [{"by": owner, "named": name} for (owner, name), t in self._timers.items() if t is None]:
            self.connection.execute(_delete_timer, gone)

    def write(self) -> None:
        """Insert everything that was gathered; the caller commits. On PostgreSQL an error may come with the commit only."""
        for groups in self._rows.values():
            tables = {table for table, _ in groups}
            order = {t: n for n, t in enumerate(next(iter(tables)).metadata.sorted_tables)} if len(tables) > 1 else {}
            self._flush(groups, sorted(groups, key=lambda key: order.get(key[0], 0)))
        self._rows.clear()
        self._write_inbox()
        if self._outbox:
            insert_rows(self.connection, outbox, [row for row, _ in self._outbox])
            self.result.outgoing = [Outgoing(row["id"], row["address"], envelope, row["created"])
                                    for row, envelope in self._outbox if not row["handed"]]
        self._write_timers()

    def _write_inbox(self) -> None:
        if self._inbox:
            insert_rows(self.connection, inbox, self._inbox)
            self._inbox.clear()

    def _write_answers(self) -> None:
        ids = [message_id for _, message_id in self._answers]
        given: list[Row] = []
        withdrawn: list[Row] = []
        for row in by_message(self.connection, ids):
            name = (row.address, row.message_id)
            if name not in self._answers or not row.pending:
                continue
            answer, now = self._answers[name]
            self.result.answers[name] = answer
            head = json.loads(row.envelope)["head"]
            body = answer.fault(head["correlationId"]) if isinstance(answer, Failure) else answer
            (withdrawn if isinstance(answer, Failure) else given).append(
                {"of": row.message_id, "at": row.address, "kind": type(body).__name__, "text": as_json(body)})
            if head["replyTo"] is not None:
                self._reply(head, body, now)
        if given:
            self.connection.execute(_answer, given)
        if withdrawn:
            self.connection.execute(_withdraw, withdrawn)

    def _write_timers(self) -> None:
        rows: list[Row] = [
            {"owner": owner, "id": name, "due": milliseconds(t.due), "address": t.to, "envelope": t.envelope.to_json().decode()}
            for (owner, name), t in self._timers.items() if t is not None]
        if rows:
            insert_rows(self.connection, timer, rows, replace=True)
            self.result.next_due = min(row["due"] for row in rows)


def _head(envelope: Envelope[Any]) -> Mapping[str, Any]:
    return {"replyTo": envelope.reply_to, "correlationId": envelope.correlation_id, "messageId": envelope.message_id,
            "party": envelope.party, "session": envelope.session, "key": envelope.key}
