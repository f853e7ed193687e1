"""Alarms in the monitor core: raised once, repeated, changed, cleared, and reports that come in another order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from core.messages.failures import Failure, Kind
from core.monitor import alarms
from core.monitor.alarm_objects import (
    Alarm,
    AlarmAttributeValueChangeEvent,
    AlarmCreateEvent,
    AlarmedObject,
    Alarms,
    AlarmState,
    AlarmStateChangeEvent,
    ClearAlarm,
    ListAlarms,
    PerceivedSeverity,
    ReportAlarm,
)
from core.monitor.core import build
from tests.core.bed import Bed

MINUTE = timedelta(minutes=1)


@pytest.fixture
def bed() -> Bed:
    return Bed(build())


def report(bed: Bed, severity: str = "major", at: datetime | None = None, **more: Any) -> Alarm:
    said = {"sourceSystemId": "hlr", "externalAlarmId": "17", "specificProblem": "Link failure", "alarmReportingTime": at, **more}
    answer = bed.ask("monitor", ReportAlarm.model_validate({**said, "perceivedSeverity": severity}))
    assert isinstance(answer, Alarm)
    return answer


def listed(bed: Bed, **asked: Any) -> tuple[Alarm, ...]:
    answer = bed.ask("monitor", ListAlarms.model_validate(asked))
    assert isinstance(answer, Alarms)
    return answer.alarm


def kinds(bed: Bed) -> list[type]:
    return [type(event) for event in bed.events]


def test_raised_repeated_and_cleared_it_is_one_alarm_and_two_events(bed: Bed) -> None:
    raised = report(bed, at=bed.now)
    assert (raised.state, raised.perceivedSeverity, raised.alarmRaisedTime) == (AlarmState.RAISED, PerceivedSeverity.MAJOR, bed.now)
    again = report(bed, at=bed.now + MINUTE, occurrences=2)
    assert (again.id, again.state, again.occurrences, again.alarmRaisedTime) == (raised.id, AlarmState.RAISED, 3, raised.alarmRaisedTime)
    assert listed(bed) == (again,)
    cleared = report(bed, "cleared", at=bed.now + 2 * MINUTE)
    assert (cleared.id, cleared.state, cleared.alarmClearedTime) == (raised.id, AlarmState.CLEARED, bed.now + 2 * MINUTE)
    assert cleared.perceivedSeverity is PerceivedSeverity.CLEARED
    assert report(bed, "cleared", at=bed.now + 3 * MINUTE) == cleared
    assert listed(bed) == ()
    assert listed(bed, state="cleared") == (cleared,)
    assert kinds(bed) == [AlarmCreateEvent, AlarmStateChangeEvent]


def test_a_change_updates_the_alarm_and_what_is_not_told_again_stays(bed: Bed) -> None:
    first = report(bed, "minor", at=bed.now, alarmedObject={"id": "rack 1"})
    worse = report(bed, "critical", at=bed.now + MINUTE)
    assert (worse.id, worse.state, worse.perceivedSeverity) == (first.id, AlarmState.UPDATED, PerceivedSeverity.CRITICAL)
    assert worse.alarmedObject == AlarmedObject(id="rack 1")
    assert kinds(bed) == [AlarmCreateEvent, AlarmAttributeValueChangeEvent]
    assert listed(bed, state="raised") == ()
    assert listed(bed, state="updated") == listed(bed, perceivedSeverity="critical") == (worse,)


def test_raised_anew_it_is_another_alarm(bed: Bed) -> None:
    first = report(bed, at=bed.now)
    report(bed, "cleared", at=bed.now + MINUTE)
    second = report(bed, at=bed.now + 2 * MINUTE)
    assert second.id != first.id
    assert (second.state, second.occurrences) == (AlarmState.RAISED, 1)
    assert kinds(bed) == [AlarmCreateEvent, AlarmStateChangeEvent, AlarmCreateEvent]
    assert bed.timers == {}, "a flapping alarm leaves no timers behind"
    bed.pass_time(alarms.KEPT + MINUTE)  # the first one's row is the second one's now, and must stay
    assert [a.id for a in listed(bed)] == [second.id]


def test_an_end_that_overtook_its_beginning_leaves_nothing_standing(bed: Bed) -> None:
    report(bed, "cleared", at=bed.now)
    late = report(bed, at=bed.now - MINUTE)
    assert (late.state, listed(bed), kinds(bed)) == (AlarmState.CLEARED, (), [])


def test_an_old_end_does_not_clear_a_newer_alarm_and_old_news_change_nothing(bed: Bed) -> None:
    report(bed, "minor", at=bed.now)
    assert report(bed, "cleared", at=bed.now - MINUTE).state is AlarmState.RAISED
    old = report(bed, "critical", at=bed.now - MINUTE)
    assert (old.perceivedSeverity, old.occurrences) == (PerceivedSeverity.MINOR, 2)


def test_a_clock_that_was_set_back_does_not_make_the_source_deaf(bed: Bed) -> None:
    report(bed, at=bed.now)
    assert report(bed, "cleared", at=bed.now - alarms.LATE - MINUTE).state is AlarmState.CLEARED


def test_without_a_time_of_its_own_reports_count_in_the_order_they_come(bed: Bed) -> None:
    report(bed)
    assert report(bed, "cleared").alarmClearedTime == bed.now
    assert report(bed).state is AlarmState.RAISED


def test_without_a_name_the_object_and_the_problem_tell_which_alarm_it_is(bed: Bed) -> None:
    one = report(bed, externalAlarmId=None, alarmedObject={"id": "1"})
    other = report(bed, externalAlarmId=None, alarmedObject={"id": "2"})
    elsewhere = report(bed, externalAlarmId=None, alarmedObject={"id": "1"}, sourceSystemId="msc")
    assert len({one.id, other.id, elsewhere.id}) == 3
    assert report(bed, externalAlarmId=None, alarmedObject={"id": "1"}).id == one.id
    assert [a.sourceSystemId for a in listed(bed, sourceSystemId="msc")] == ["msc"]
    with pytest.raises(ValidationError, match="which alarm"):
        ReportAlarm(perceivedSeverity=PerceivedSeverity.MAJOR)


def test_a_party_reports_in_its_own_name_and_an_unknown_source_is_refused(bed: Bed) -> None:
    assert report(bed, sourceSystemId=None).sourceSystemId == "crm"
    with pytest.raises(Failure) as refused:
        bed.ask("monitor", ReportAlarm(externalAlarmId="1", perceivedSeverity=PerceivedSeverity.MAJOR), party="")
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, "sourceSystemId")


def test_cleared_by_hand_it_says_who_did_it(bed: Bed) -> None:
    raised = report(bed)
    cleared = bed.ask("monitor", ClearAlarm(id=raised.id))
    assert isinstance(cleared, Alarm)
    assert (cleared.state, cleared.clearUserId) == (AlarmState.CLEARED, "crm")
    assert bed.ask("monitor", ClearAlarm(id=raised.id), party="other") == cleared
    with pytest.raises(Failure) as unknown:
        bed.ask("monitor", ClearAlarm(id="AL0"))
    assert unknown.value.kind is Kind.NOT_FOUND


def test_what_was_cleared_long_ago_is_forgotten(bed: Bed) -> None:
    report(bed)
    report(bed, "cleared")
    bed.pass_time(alarms.KEPT - MINUTE)
    assert len(listed(bed, state="cleared")) == 1
    bed.pass_time(2 * MINUTE)
    assert listed(bed, state="cleared") == ()


def test_one_source_cannot_fill_the_database(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "MOST", 2)
    report(bed, externalAlarmId="1")
    report(bed, externalAlarmId="2")
    with pytest.raises(Failure) as refused:
        report(bed, externalAlarmId="3")
    assert refused.value.kind is Kind.BUSY
    assert report(bed, externalAlarmId="1").occurrences == 2
    report(bed, externalAlarmId="3", sourceSystemId="msc")
    report(bed, "cleared", externalAlarmId="1")
    assert report(bed, externalAlarmId="3").state is AlarmState.RAISED
