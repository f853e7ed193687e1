"""The store as the composition root sees it: it hosts the cores, commits their work in groups and relays what they leave."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from adapters.store import batch, migrations
from adapters.store.answers import look_for_answers
from adapters.store.claims import Claims
from adapters.store.engine import file_of, open_engine
from adapters.store.jobs import HandlerFailed, Job, Means, Outcome, Outgoing, Result, Upkeep, Waiting
from adapters.store.lockfile import LockFile
from adapters.store.nodes import USUAL as USUAL_LEASE
from adapters.store.nodes import Alone, Lease, Membership, Nodes
from adapters.store.relay import USUAL, Relay, Retrying
from adapters.store.tables import Row, instant, milliseconds, outbox
from adapters.store.timers import Timers
from adapters.store.troubles import in_words
from core.bus import Bus, Receiver, TryAgain
from core.ids import TimeOrderedIds
from core.ids import new_id as process_ids
from core.messages.base import BusinessObject
from core.messages.catalogue import OPERATIONS
from core.messages.envelope import Envelope, ModelOf
from core.messages.failures import Failure, Kind
from core.unit_of_work import Core, UnitOfWork

_log = logging.getLogger(__name__)

_BATCH = 256
_UPKEEP_SECONDS = 0.02
"""How long the relay's notes may wait for a commit to go in with. Losing them only means delivering again."""
_GATHER_SECONDS = 0.003
"""How long a commit waits, where it takes a thread and a server, until there is as much for it as for the one before: those who have
just been answered are about to ask again, and two small commits cost nearly twice what one does.
"""
_WAITERS = 100_000
"""How many may wait for answers that come later; beyond it the longest waiting is told to look for itself."""

_LOOK_SECONDS = 0.2
"""How often a node with others beside it looks for what they have handed over, and for answers that came to them."""

QUERIES = frozenset(o.name for o in OPERATIONS if o.query)


def utcnow() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


def open_store(url: str, *, reactor: Any, cores: Sequence[Core], model_of: ModelOf,
               utcnow: Callable[[], datetime] = utcnow, new_id: Callable[[], str] = process_ids,
               queries: frozenset[str] = QUERIES, retrying: Retrying = USUAL, lease: Lease = USUAL_LEASE) -> Store:
    """Open the database and make the store. `url` is SQLAlchemy's: `sqlite:///path` or `postgresql://...`.

    `queries` are the types of messages that change nothing. Raises ValueError for another database.
    """
    return Store(open_engine(url), reactor=reactor, cores=cores, model_of=model_of, utcnow=utcnow, new_id=new_id,
                 queries=queries, retrying=retrying, lease=lease)


class Store:
    """See `open_store`. Start: `start(bus)`, then the bus, then `resume`. Stop: `drain`, then the bus, then `stop`.

    On SQLite a commit is made at the end of a reactor turn, on the reactor's thread; on PostgreSQL in a thread, while the
    next one gathers. Either way there is one at a time, so whatever is done through the store is done in order. A SQLite file
    has one store; on PostgreSQL any number share a database, each a node (see nodes.py).
    """

    def __init__(self, engine: Engine, *, reactor: Any, cores: Sequence[Core], model_of: ModelOf,
                 utcnow: Callable[[], datetime], new_id: Callable[[], str], queries: frozenset[str],
                 retrying: Retrying, lease: Lease) -> None:
        self.engine = engine
        self._reactor = reactor
        self._cores = {core.name: core for core in cores}
        self._utcnow = utcnow
        self._new_id = new_id
        self._queries = queries
        self._outbox_ids = TimeOrderedIds(lambda: milliseconds(utcnow()))
        file = file_of(engine)
        self._lock_file = LockFile(file) if file is not None else None
        self.node: Membership = Alone(engine) if file is not None else Nodes(
            engine, reactor=reactor, new_id=new_id, looked=self._looked, lost=self._lost, lease=lease)
        self._means = Means(engine, model_of, lambda _: frozenset(), utcnow, new_id, self._outbox_ids, lambda: self.node.id,
                            self.node.shared)
        self._relay = Relay(reactor=reactor, model_of=model_of, utcnow=utcnow, read=self.run, upkeep=self._note,
                            retrying=retrying, node=self.node, ids=lambda: self._outbox_ids, kept=self._kept)
        self._claims = Claims(reactor=reactor, utcnow=utcnow, node=self.node, cores=self._cores, run=self.run, again=self._relay.look)
        self._timers = Timers(reactor=reactor, means=lambda: self._means, utcnow=utcnow, run=self.run, fired=self._relay.add)
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._bus: Bus | None = None
        self._jobs: deque[tuple[Job, Deferred[Any]]] = deque()
        self._tasks: list[tuple[Callable[[Connection], Any], Deferred[Any]]] = []
        self._upkeep = Upkeep()
        self._waiting: OrderedDict[tuple[str, str], list[Deferred[Any]]] = OrderedDict()
        self._call: Any = None
        self._call_after = 0.0
        self._expected = 0
        self._busy = False
        self._no_node = False
        self._idle: list[Deferred[None]] = []
        self.when_lost: list[Callable[[], object]] = []
        """Told when others have taken this process for dead and with that what was its own."""
        self._stopped = False
        self._threads = ThreadPool(1, 1, "store") if file is None else None

    async def start(self, bus: Bus) -> None:
        """Bring the tables up to date, let each core start, and let the bus bring the cores their messages.

        Raises Unusable when another process has the SQLite file, or the database cannot be used otherwise.
        """
        self._bus = bus
        if self._threads is not None:
            self._threads.start()
        self._means = replace(self._means, subscribers=bus.subscribers)
        with in_words(self.engine):
            if self._lock_file is not None:
                self._lock_file.take()
            migrations.upgrade(self.engine)
            await self.node.join()
        last = await self.run(lambda c: c.execute(select(func.max(outbox.c.id))).scalar())
        self._outbox_ids.pass_by(last or "0")
        for core in self._cores.values():
            bus.receive(core.name, self._receiver(core.name), core.subscriptions)
        await self._let_start(self._cores.values())

    async def replace(self, cores: Sequence[Core]) -> None:
        """Let other cores of the same names take the messages from now on: the operator has changed what they go by."""
        await self._let_start(cores)
        self._cores = {core.name: core for core in cores}

    async def _let_start(self, cores: Iterable[Core]) -> None:
        for core in cores:
            if core.on_start is not None:
                await self._add(Job(core, self._start_message(), action=core.on_start))

    async def resume(self) -> None:
        """Deliver what an earlier run left in the outbox, and fire timers."""
        assert self._bus is not None
        self._relay.resume(self._bus)
        self._timers.resume()
        if self._bus.hands_over:
            self._claims.start()
        await self.node.look()  # and take over from who has ended, perhaps this very process before it was started again
        if self.node.shared:
            self._looking.start(_LOOK_SECONDS, now=False).addErrback(
                lambda failure: _log.error("what others hand over is not looked for any more", exc_info=failure.value))

    def handle(self, core: Core, envelope: Envelope[Any]) -> Deferred[BusinessObject | None]:
        """Let a core handle a message; fires after the commit, with the reply where somebody waits for one.

        Fails with Failure when the core refuses, HandlerFailed when it is broken, TryAgain when the database is.
        """
        query = envelope.type in self._queries and envelope.reply_to is None and envelope.causation_id is None
        return self._add(Job(core, envelope, query))

    def run(self, work: Callable[[Connection], Any]) -> Deferred[Any]:
        """Run `work` in a transaction of its own between two group commits; for the console and the like. Keep it short."""
        done: Deferred[Any] = Deferred()
        self._tasks.append((work, done))
        self._schedule(soon=True)
        return done

    def timer_set(self, due: int) -> None:
        """Say that somebody else has set a timer that is due then (Unix milliseconds)."""
        self._timers.set(due)

    def queues(self) -> list[tuple[str, int, float | None]]:
        """Return for each address with waiting messages: address, how many, and the age of the oldest in seconds.

        Counts what is in memory, which is all but a backlog beyond the relay's capacity.
        """
        now = milliseconds(self._utcnow())
        return [(to, depth, max(0.0, (now - oldest) / 1000)) for to, depth, oldest in self._relay.queues()]

    def dead(self, limit: int = 100) -> Deferred[list[dict[str, Any]]]:
        """Read the messages that were given up, newest first: id, address, type, created, attempts, last_error."""
        columns = (outbox.c.id, outbox.c.address, outbox.c.type, outbox.c.created, outbox.c.attempts, outbox.c.last_error)
        query = select(*columns).where(outbox.c.state == "dead").order_by(outbox.c.id.desc()).limit(limit)
        return self.run(lambda c: [{**row, "created": instant(row["created"])} for row in c.execute(query).mappings()])

    async def drain(self) -> None:
        """Deliver and fire nothing more; return when everything begun is committed and answered."""
        self._timers.stop()
        self._claims.stop()
        await self._relay.drain()
        while self._jobs or self._tasks or self._upkeep or self._busy:
            done: Deferred[None] = Deferred()
            self._idle.append(done)
            self._schedule(soon=True)
            await done
        # Nothing is delivered any more, so no answer can come before the next start: nobody shall wait for it here.
        while self._waiting:
            self._release_oldest()

    async def stop(self) -> None:
        """Close the database. What has not been committed is refused; who still waits is told that the answer comes later."""
        self._stopped = True
        if self._looking.running:
            self._looking.stop()
        self._timers.stop()
        self._claims.stop()
        await self._relay.drain()
        while self._busy:
            done: Deferred[None] = Deferred()
            self._idle.append(done)
            await done
        if self._call is not None:
            self._call.cancel()
            self._call = None
        for _, refused in self._jobs:
            refused.errback(TryAgain("the store is stopped"))
        self._jobs.clear()
        while self._waiting:
            self._release_oldest()
        if self._threads is not None:
            self._threads.stop()
        await self.node.leave()
        self.engine.dispose()
        if self._lock_file is not None:
            self._lock_file.give_back()

    def _looked(self, taken: bool) -> None:
        """We live, and may have taken something over."""
        self._go_on()
        if taken:
            self._relay.look()
            self._timers.look()

    def _lost(self) -> None:
        """Others have taken us for dead: what was in our name is theirs, and we are a new node."""
        self._relay.forget()
        self._go_on()
        for told in self.when_lost:
            told()

    def _go_on(self) -> None:
        if self._no_node:
            self._no_node = False
            self._schedule(soon=True)

    def _kept(self, sent: Outgoing) -> Row | None:
        return self._claims.kept(sent) if self._bus is not None and self._bus.hands_over else None

    def _look(self) -> None:
        if not self.node.others:
            return
        self._relay.look()
        if self._waiting:
            asked = list(self._waiting)
            self.run(lambda c: look_for_answers(c, self._means.model_of, asked)).addCallbacks(
                self._answered, lambda failure: _log.error("answers could not be looked for: %s", type(failure.value).__name__))

    def _answered(self, answers: Mapping[tuple[str, str], Outcome]) -> None:
        for name, answer in answers.items():
            for done in self._waiting.pop(name, ()):
                self._settle(done, answer)

    def _receiver(self, name: str) -> Receiver:
        return lambda envelope: self.handle(self._cores[name], envelope)

    def _start_message(self) -> Envelope[Any]:
        message_id = self._new_id()
        return Envelope(body=BusinessObject(), message_id=message_id, correlation_id=message_id, occurred_at=self._utcnow())

    def _add(self, job: Job) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        if self._stopped:
            done.errback(TryAgain("the store is stopped"))
            return done
        self._jobs.append((job, done))
        self._schedule(soon=True)
        return done

    def _note(self) -> Upkeep:
        self._schedule(soon=False)
        return self._upkeep

    def _schedule(self, *, soon: bool) -> None:
        """See to it that a commit is made: at the end of this turn, when enough has been gathered for it, or shortly."""
        if self._busy or self._stopped or self._no_node:
            return
        after = _UPKEEP_SECONDS if not soon else _GATHER_SECONDS if len(self._jobs) < self._expected and not self._tasks else 0.0
        if self._call is not None:
            if self._call_after <= after:
                return
            self._call.cancel()
        self._call_after = after
        self._call = self._reactor.callLater(after, self._commit)

    def _commit(self) -> None:
        self._call = None
        tasks, self._tasks = self._tasks, []
        upkeep, self._upkeep = self._upkeep, Upkeep()
        jobs = self._take()
        work = [job for job, _ in jobs]
        self._expected = len(jobs) if self._threads is not None else 0
        self._busy = True  # until everybody has been told: who is told may go on to add, drain or stop at once
        if self._threads is None:
            self._committed(tasks, upkeep, jobs, self._execute(tasks, upkeep, work))
            return
        deferToThreadPool(self._reactor, self._threads, self._execute, tasks, upkeep, work).addCallback(
            lambda results: self._committed(tasks, upkeep, jobs, results))

    def _take(self) -> list[tuple[Job, Deferred[Any]]]:
        """Take the next jobs, without any that repeats another: it has to find the first one's row."""
        taken: list[tuple[Job, Deferred[Any]]] = []
        names: set[tuple[str, str]] = set()
        while self._jobs and len(taken) < _BATCH:
            own = self._jobs[0][0].names()
            if any(name in names for name in own):
                break
            names.update(own)
            taken.append(self._jobs.popleft())
        return taken

    def _execute(self, tasks: Sequence[tuple[Callable[[Connection], Any], Any]], upkeep: Upkeep,
                 jobs: Sequence[Job]) -> tuple[list[tuple[bool, Any]], Result]:
        done: list[tuple[bool, Any]] = []
        for work, _ in tasks:
            try:
                with self.engine.begin() as connection:
                    value = work(connection)
                done.append((True, value))
            except Exception as error:  # noqa: BLE001  # goes to who asked for the work
                done.append((False, error))
        try:
            return done, batch.commit(self._means, jobs, upkeep) if jobs or upkeep else Result()
        except Exception as error:  # noqa: BLE001  # nobody else would go on with the next commit
            _log.error("a group commit has failed as a whole: %s", type(error).__name__)  # its text may quote a message's body
            return done, Result([TryAgain("the store is not available")] * len(jobs), upkeep_done=not upkeep)

    def _committed(self, tasks: Sequence[tuple[Any, Deferred[Any]]], upkeep: Upkeep, jobs: list[tuple[Job, Deferred[Any]]],
                   results: tuple[list[tuple[bool, Any]], Result]) -> None:
        task_results, result = results
        if not result.upkeep_done:
            self._upkeep.put_back(upkeep)
        left = jobs[len(result.outcomes):]
        self._jobs.extendleft(reversed(left))
        for (_, done), (well, value) in zip(tasks, task_results, strict=True):
            done.callback(value) if well else done.errback(value)
        for (_, done), outcome in zip(jobs, result.outcomes, strict=False):
            self._settle(done, outcome)
        self._answered(result.answers)
        if result.upkeep_done:
            for then in upkeep.after:
                then()
        self._relay.add(result.outgoing)
        self._timers.set(result.next_due)
        self._busy = False
        if result.lost:
            self._no_node = True
            Deferred.fromCoroutine(self.node.look())
        if self._jobs or self._tasks:
            self._schedule(soon=True)
        elif self._upkeep:
            self._schedule(soon=False)
        idle, self._idle = self._idle, []
        for waiting in idle:
            waiting.callback(None)

    def _settle(self, done: Deferred[Any], outcome: Outcome) -> None:
        if isinstance(outcome, Waiting):
            self._waiting.setdefault((outcome.address, outcome.message_id), []).append(done)
            if len(self._waiting) > _WAITERS:
                self._release_oldest()
        elif isinstance(outcome, Failure | HandlerFailed | TryAgain):
            done.errback(outcome)
        else:
            done.callback(outcome)

    def _release_oldest(self) -> None:
        (_, message_id), waiting = self._waiting.popitem(last=False)
        for done in waiting:
            done.errback(Failure(Kind.TIMEOUT, f"no answer yet; it can be read later (message {message_id})"))


__all__ = ["QUERIES", "HandlerFailed", "Outgoing", "Store", "UnitOfWork", "open_store"]
