"""Between the connectors and the monitor core: what elements report is handed over durably, and no element waits for that."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred

from adapters.pauses import Pauses
from adapters.store.jobs import HandlerFailed
from core.bus import Bus
from core.messages.envelope import Envelope
from core.messages.failures import Failure
from core.monitor.alarm_objects import ReportAlarm

MOST = 1_000
"""Reports of one source that may wait: about a second of a storm, and minutes of a database that is away and an element that is not
well."""
BATCH = 100
PAUSE = 0.05
"""Seconds between two batches: what storms come to is at most so many commits and 2,000 alarms a second, and orders keep their share."""
RETRY = 1.0
"""Seconds until what could not be handed over is tried again."""

_Which = tuple[str, str]


class AlarmDesk:
    """Takes reports and hands them to the monitor core over the bus, those of one alarm in their order.

    While they wait, the same report again only adds to the first one's `occurrences`. When a source has `MOST` waiting, of an alarm
    that waits already the newest state takes the place of the one before, and what is new is dropped: counted, and said in the log.
    `counted` is told the source, what became of reports (`kept`, `refused`, `dropped`), and how many.
    """

    def __init__(self, *, reactor: Any, bus: Bus, log: Any, counted: Callable[[str, str, int], None], utcnow: Callable[[], datetime],
                 new_id: Callable[[], str]) -> None:
        self._bus = bus
        self._log = log
        self._counted = counted
        self._utcnow = utcnow
        self._new_id = new_id
        self._pauses = Pauses(reactor)
        self._waiting: OrderedDict[str, Envelope[ReportAlarm]] = OrderedDict()
        self._last: dict[_Which, str] = {}
        """The newest report that waits, of each alarm: its message id."""
        self._again: set[_Which] = set()
        """Alarms whose report waits for another try. It may have arrived, so nothing takes its place: what is newer waits behind it,
        however many wait."""
        self._of: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._busy = False
        self._closing = False
        self._stopped = False
        self._idle: list[Deferred[None]] = []

    def report(self, said: ReportAlarm) -> None:
        """Take a report; returns at once."""
        source = said.sourceSystemId or ""
        which = source, said.which
        waits = self._waiting.get(self._last.get(which, ""))
        full = self._of[source] >= MOST
        if waits is not None and (full or _same(waits.body, said)):
            merged = said.model_copy(update={"occurrences": waits.body.occurrences + said.occurrences})
            self._waiting[waits.message_id] = self._envelope(merged, waits.message_id)
        elif (full and which not in self._again) or self._closing:
            if not self._dropped[source]:
                self._log.warning("alarms are dropped", source=source, reason="the gateway stops" if self._closing else
                                  "they come faster than they can be kept, or cannot be kept at the moment")
            self._dropped[source] += said.occurrences
            self._counted(source, "dropped", said.occurrences)
        else:
            envelope = self._envelope(said, self._new_id())
            self._waiting[envelope.message_id] = envelope
            self._last[which] = envelope.message_id
            self._of[source] += 1
        if not self._busy and not self._stopped:
            self._busy = True
            Deferred.fromCoroutine(self._deliver()).addErrback(
                lambda failure: self._log.error("alarms are not handed over any more", exc_info=failure.value))

    async def drain(self) -> None:
        """Take no more; return when everything taken is handed over. Who asks bounds the time."""
        self._closing = True
        if self._busy:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle

    async def stop(self) -> None:
        """Hand nothing more over."""
        self._closing = self._stopped = True
        if self._waiting:
            self._log.warning("alarms were not handed over before the end", reports=len(self._waiting))
        self._pauses.end()

    def _envelope(self, said: ReportAlarm, message_id: str) -> Envelope[ReportAlarm]:
        return Envelope(body=said, message_id=message_id, correlation_id=message_id, occurred_at=self._utcnow(),
                        key=said.which)

    async def _deliver(self) -> None:
        while self._waiting and not self._stopped:
            batch = self._batch()
            sent = [Deferred.fromCoroutine(self._send(envelope)) for envelope in batch]
            again = [envelope for envelope, done in zip(batch, sent, strict=True) if not await done]
            if again:
                self._log.warning("alarms cannot be handed over at the moment; they wait", reports=len(again))
                self._put_back(again)
            await self._pauses.wait(RETRY if again else PAUSE)
        self._busy = False
        idle, self._idle = self._idle, []
        for waiting in idle:
            waiting.callback(None)

    def _batch(self) -> list[Envelope[ReportAlarm]]:
        """Take the next reports, up to the first of an alarm that is among them already: it has to come after that one's."""
        batch: list[Envelope[ReportAlarm]] = []
        alarms: set[_Which] = set()
        for message_id, envelope in self._waiting.items():
            which = envelope.body.sourceSystemId or "", envelope.body.which
            if which in alarms or len(batch) == BATCH:
                break
            alarms.add(which)
            self._again.discard(which)
            batch.append(envelope)
            if self._last.get(which) == message_id:
                del self._last[which]
        for envelope in batch:
            del self._waiting[envelope.message_id]
            self._left(envelope.body.sourceSystemId or "")
        return batch

    def _put_back(self, envelopes: list[Envelope[ReportAlarm]]) -> None:
        for envelope in reversed(envelopes):
            self._waiting[envelope.message_id] = envelope
            self._waiting.move_to_end(envelope.message_id, last=False)
            self._again.add((envelope.body.sourceSystemId or "", envelope.body.which))
            self._of[envelope.body.sourceSystemId or ""] += 1

    def _left(self, source: str) -> None:
        self._of[source] -= 1
        if not self._of[source] and (dropped := self._dropped.pop(source, 0)):
            self._log.warning("alarms are taken again", source=source, dropped=dropped)

    async def _send(self, envelope: Envelope[ReportAlarm]) -> bool:
        """Hand one over. Whether it has come to an end."""
        source, number = envelope.body.sourceSystemId or "", envelope.body.occurrences
        try:
            await self._bus.send("monitor", envelope)
        except (Failure, HandlerFailed) as error:
            self._log.warning("an alarm was refused", source=source, reason=str(error))
            self._counted(source, "refused", number)
        except Exception:  # noqa: BLE001  # whatever it is, the report is kept until it can be handed over
            return False
        else:
            self._counted(source, "kept", number)
        return True


def _same(one: ReportAlarm, other: ReportAlarm) -> bool:
    """Whether two reports say the same but for their times, their text and their number."""
    apart = {"alarmReportingTime", "alarmRaisedTime", "alarmDetails", "occurrences"}
    return one.model_dump(exclude=apart) == other.model_dump(exclude=apart)
