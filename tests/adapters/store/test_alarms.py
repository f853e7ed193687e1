"""The monitor core on both databases, as the alarm desk and a party meet it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from adapters.store import open_store
from core.bus import InProcessBus
from core.ids import new_id
from core.messages.catalogue import Catalogue
from core.messages.envelope import Envelope
from core.monitor.alarm_objects import Alarm, AlarmedObject, AlarmState, ClearAlarm, ListAlarms, PerceivedSeverity, ReportAlarm
from core.monitor.core import build

THERE = timezone(timedelta(hours=3))
AT = datetime(2026, 3, 15, 12, tzinfo=THERE)


def envelope(body: Any, key: str = "") -> Envelope[Any]:
    message_id = new_id()
    return Envelope(body=body, message_id=message_id, correlation_id=message_id, occurred_at=datetime.now(UTC), key=key, party="crm")


def report(number: int, severity: PerceivedSeverity = PerceivedSeverity.MAJOR, after: int = 0) -> Envelope[ReportAlarm]:
    said = ReportAlarm(sourceSystemId="hlr", externalAlarmId=str(number), perceivedSeverity=severity, alarmedObject=AlarmedObject(id="r"),
                       alarmReportingTime=AT + timedelta(seconds=after))
    return envelope(said, said.which)


@pytest_twisted.ensureDeferred
async def test_an_alarm_is_raised_repeated_cleared_and_raised_again(url: str) -> None:
    bus = InProcessBus(Deferred)
    store = open_store(url, reactor=reactor, cores=[build()], model_of=Catalogue([]).model)
    await store.start(bus)
    await bus.start()
    try:
        await gatherResults([Deferred.fromCoroutine(bus.send("monitor", report(n % 3, after=n))) for n in range(30)])
        standing = (await bus.call("monitor", envelope(ListAlarms(sourceSystemId="hlr")))).alarm  # type: ignore[attr-defined]
        assert {(a.externalAlarmId, a.occurrences) for a in standing} == {("0", 10), ("1", 10), ("2", 10)}
        late = await bus.call("monitor", report(0, PerceivedSeverity.CLEARED, after=1))
        assert isinstance(late, Alarm)
        assert late.state is AlarmState.RAISED, "times are compared whatever their zone"
        await bus.send("monitor", report(0, PerceivedSeverity.CLEARED, after=60))
        again = await bus.call("monitor", report(0, after=61))
        assert isinstance(again, Alarm)
        assert (again.state, again.occurrences, again.alarmRaisedTime) == (AlarmState.RAISED, 1, AT + timedelta(seconds=61))
        cleared = await bus.call("monitor", envelope(ClearAlarm(id=again.id)))
        assert isinstance(cleared, Alarm)
        assert cleared.clearUserId == "crm"
    finally:
        await store.drain()
        await bus.stop()
        await store.stop()
