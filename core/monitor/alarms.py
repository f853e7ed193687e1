"""Alarms: raised, repeated, changed and cleared by what sources report, and read by operators.

Reports may come late, twice, or in another order than they were made. One that is older, by its source's own clock, than what is
known of its alarm changes nothing; only when it is older by more than `LATE` was the clock set, and it counts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from core.columns import utc
from core.messages.base import as_json
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.monitor.alarm_objects import (
    Alarm,
    AlarmAttributeValueChangeEvent,
    AlarmCreateEvent,
    Alarms,
    AlarmState,
    AlarmStateChangeEvent,
    ClearAlarm,
    ForgetAlarm,
    ListAlarms,
    PerceivedSeverity,
    ReportAlarm,
)
from core.monitor.tables import alarm
from core.unit_of_work import UnitOfWork

LATE = timedelta(minutes=15)
"""Overtaken reports are seconds late; a clock that was set, or left summer time, is further off."""
KEPT = timedelta(days=30)
"""How long a cleared alarm can still be read."""
MOST = 10_000
"""Alarms of one source that may stand at once: a source with more is broken itself, and its like must not fill the database."""

_known = select(alarm).where(alarm.c.source == bindparam("source"), alarm.c.which == bindparam("which")).with_for_update()
_stands = alarm.c.state.in_((AlarmState.RAISED.value, AlarmState.UPDATED.value))
_standing = select(func.count()).where(_stands, alarm.c.source == bindparam("source")).select_from(alarm)
_TOLD = ("alarmType", "probableCause", "specificProblem", "alarmedObject", "serviceAffecting")
"""What a later report may tell anew or leave out: what it leaves out stays as it was."""


def report(command: Envelope[ReportAlarm], uow: UnitOfWork) -> Alarm:
    """Take a report. Returns the alarm as it stands then. Raises Failure(INVALID, BUSY)."""
    said = command.body
    source = said.sourceSystemId or command.party
    if not source:
        raise Failure(Kind.INVALID, "whose alarm it is must be told", "sourceSystemId")
    which = said.which
    row = uow.first(_known, {"source": source, "which": which})
    clears = said.perceivedSeverity is PerceivedSeverity.CLEARED
    if row is None:
        return _first(uow, said, source, which, active=not clears)
    known = Alarm.model_validate_json(row.document)
    stands, overtaken = known.state is not AlarmState.CLEARED, _overtaken(said, row)
    if stands and not clears:
        return _repeated(uow, row, known, said, overtaken=overtaken)
    if overtaken or stands != clears:
        return known
    if clears:
        return _cleared(uow, row, known, said.alarmReportingTime or uow.now, said=said)
    uow.cancel_timer(_timer(known.id))
    raised = _made(uow, said, source, AlarmState.RAISED)
    _keep(uow, row, raised, said)
    uow.publish(AlarmCreateEvent(alarm=raised), key=which)
    return raised


def clear(command: Envelope[ClearAlarm], uow: UnitOfWork) -> Alarm:
    """Clear an alarm by hand; one that is cleared already stays as it is. Raises Failure(NOT_FOUND)."""
    row = uow.execute(select(alarm).where(alarm.c.id == command.body.id).with_for_update()).first()
    if row is None:
        raise Failure(Kind.NOT_FOUND, "no such alarm", "id")
    known = Alarm.model_validate_json(row.document)
    return known if known.state is AlarmState.CLEARED else _cleared(uow, row, known, uow.now, by=command.party or None)


def list_alarms(command: Envelope[ListAlarms], uow: UnitOfWork) -> Alarms:
    """Read alarms."""
    asked = command.body
    query = select(alarm.c.document).where(_stands if asked.state is None else alarm.c.state == asked.state.value)
    if asked.sourceSystemId is not None:
        query = query.where(alarm.c.source == asked.sourceSystemId)
    if asked.perceivedSeverity is not None:
        query = query.where(alarm.c.severity == asked.perceivedSeverity.value)
    found = uow.execute(query.order_by(alarm.c.raised.desc(), alarm.c.id.desc()).limit(asked.limit)).scalars()
    return Alarms(alarm=tuple(map(Alarm.model_validate_json, found)))


def forget(command: Envelope[ForgetAlarm], uow: UnitOfWork) -> None:
    """Remove an alarm that has stayed cleared."""
    uow.execute(delete(alarm).where(alarm.c.id == command.body.id, alarm.c.state == AlarmState.CLEARED.value))


def _first(uow: UnitOfWork, said: ReportAlarm, source: str, which: str, *, active: bool) -> Alarm:
    """An alarm never heard of. A clear is kept too: its raise may be on the way, and must not stand then."""
    if active and uow.execute(_standing, {"source": source}).scalar_one() >= MOST:
        raise Failure(Kind.BUSY, f"{MOST} alarms of {source} stand already")
    made = _made(uow, said, source, AlarmState.RAISED if active else AlarmState.CLEARED)
    uow.execute(insert(alarm).values(source=source, which=which, **_columns(made, said.alarmReportingTime)))
    if active:
        uow.publish(AlarmCreateEvent(alarm=made), key=which)
    else:
        _forget_later(uow, made.id)
    return made


def _repeated(uow: UnitOfWork, row: Row[Any], known: Alarm, said: ReportAlarm, *, overtaken: bool) -> Alarm:
    """The same again. What it says otherwise than before is taken over, unless it is older than that."""
    changes: dict[str, Any] = {"occurrences": known.occurrences + said.occurrences}
    news: dict[str, Any] = {}
    if not overtaken:
        told = {name: getattr(said, name) for name in _TOLD if getattr(said, name) is not None}
        told["perceivedSeverity"] = said.perceivedSeverity
        news = {name: value for name, value in told.items() if getattr(known, name) != value}
        changes |= {"alarmReportingTime": said.alarmReportingTime or uow.now, "alarmDetails": said.alarmDetails or known.alarmDetails}
    if news:
        changes |= {**news, "state": AlarmState.UPDATED, "alarmChangedTime": uow.now}
    made = known.model_copy(update=changes)
    _keep(uow, row, made, None if overtaken else said)
    if news:
        uow.publish(AlarmAttributeValueChangeEvent(alarm=made), key=row.which)
    return made


def _made(uow: UnitOfWork, said: ReportAlarm, source: str, state: AlarmState) -> Alarm:
    new_id = f"AL{uow.new_id()}"
    reported = said.alarmReportingTime or uow.now
    return Alarm(id=new_id, href=f"/alarm/{new_id}", state=state, sourceSystemId=source, externalAlarmId=said.externalAlarmId,
                 perceivedSeverity=said.perceivedSeverity, **{name: getattr(said, name) for name in _TOLD},
                 alarmRaisedTime=said.alarmRaisedTime or reported, alarmReportingTime=reported,
                 alarmClearedTime=reported if state is AlarmState.CLEARED else None, alarmDetails=said.alarmDetails,
                 occurrences=said.occurrences)


def _cleared(uow: UnitOfWork, row: Row[Any], known: Alarm, when: datetime, *, by: str | None = None,
             said: ReportAlarm | None = None) -> Alarm:
    made = known.model_copy(update={"state": AlarmState.CLEARED, "perceivedSeverity": PerceivedSeverity.CLEARED,
                                    "alarmClearedTime": when, "alarmChangedTime": uow.now, "clearUserId": by})
    _keep(uow, row, made, said)
    _forget_later(uow, made.id)
    uow.publish(AlarmStateChangeEvent(alarm=made), key=row.which)
    return made


def _keep(uow: UnitOfWork, row: Row[Any], made: Alarm, said: ReportAlarm | None = None) -> None:
    reported = row.reported if said is None or said.alarmReportingTime is None else said.alarmReportingTime
    uow.execute(update(alarm).where(alarm.c.source == row.source, alarm.c.which == row.which).values(**_columns(made, reported)))


def _columns(made: Alarm, reported: datetime | None) -> dict[str, Any]:
    """In UTC: SQLite keeps no zone."""
    return {"id": made.id, "state": made.state.value, "severity": made.perceivedSeverity.value,
            "raised": made.alarmRaisedTime.astimezone(UTC), "reported": None if reported is None else utc(reported).astimezone(UTC),
            "document": as_json(made)}


def _overtaken(said: ReportAlarm, row: Row[Any]) -> bool:
    if said.alarmReportingTime is None or row.reported is None:
        return False
    return timedelta() < utc(row.reported) - said.alarmReportingTime <= LATE


def _forget_later(uow: UnitOfWork, alarm_id: str) -> None:
    uow.at(uow.now + KEPT, _timer(alarm_id), "monitor", ForgetAlarm(id=alarm_id), key=alarm_id)


def _timer(alarm_id: str) -> str:
    return f"alarm {alarm_id}"
