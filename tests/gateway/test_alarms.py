"""The alarm desk: nothing that was taken is lost, a storm is bounded and counted, and nobody waits for it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from adapters.store.jobs import HandlerFailed
from core.bus import TryAgain
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.monitor.alarm_objects import PerceivedSeverity, ReportAlarm
from gateway import alarms
from gateway.alarms import AlarmDesk


class World:
    """A bus that takes what comes, or holds it while `held` is a list; `away` is what it raises instead."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.taken: list[Envelope[ReportAlarm]] = []
        self.held: list[Deferred[None]] | None = None
        self.away: Exception | None = None
        self.counted: Counter[tuple[str, str]] = Counter()
        self.said = CapturingLogger()
        numbers = count(1)
        self.desk = AlarmDesk(reactor=self.clock, bus=self, log=structlog.wrap_logger(self.said, processors=[]),  # type: ignore[arg-type]
                              counted=self.count, utcnow=lambda: datetime(2026, 3, 15, tzinfo=UTC), new_id=lambda: f"M{next(numbers)}")

    def count(self, source: str, outcome: str, reports: int) -> None:
        self.counted[source, outcome] += reports

    async def send(self, to: str, envelope: Envelope[Any]) -> None:
        assert to == "monitor"
        if self.away is not None:
            raise self.away
        self.taken.append(envelope)
        if self.held is not None:
            done: Deferred[None] = Deferred()
            self.held.append(done)
            await done

    def report(self, number: int | str, severity: str = "major", source: str = "hlr", **more: Any) -> None:
        self.desk.report(ReportAlarm.model_validate(
            {"sourceSystemId": source, "externalAlarmId": str(number), "perceivedSeverity": severity, **more}))

    def go_on(self) -> None:
        self.clock.pump([alarms.PAUSE] * 200)

    @property
    def told(self) -> list[tuple[str | None, str, int]]:
        return [(e.body.externalAlarmId, e.body.perceivedSeverity.value, e.body.occurrences) for e in self.taken]


@pytest.fixture
def world() -> World:
    return World()


def test_a_report_is_handed_over_at_once(world: World) -> None:
    world.report(1)
    assert world.told == [("1", "major", 1)]
    assert world.counted == {("hlr", "kept"): 1}
    assert (world.taken[0].party, world.taken[0].key) == ("", world.taken[0].body.which)


def test_while_it_waits_the_same_again_is_counted_and_each_change_comes_in_its_order(world: World) -> None:
    world.held = []
    world.report("first")
    for severity in ("major", "major", "cleared", "major"):
        world.report(1, severity)
    held, world.held = world.held, None
    held[0].callback(None)
    world.go_on()
    assert world.told == [("first", "major", 1), ("1", "major", 2), ("1", "cleared", 1), ("1", "major", 1)]
    assert world.counted == {("hlr", "kept"): 5}


def test_one_alarms_reports_are_never_under_way_together(world: World) -> None:
    world.held = []
    world.report("first")
    world.report(1)
    world.report(1, "cleared")
    world.held.pop().callback(None)
    world.go_on()
    assert world.told == [("first", "major", 1), ("1", "major", 1)]
    world.held.pop().callback(None)
    world.go_on()
    assert world.told[-1] == ("1", "cleared", 1)


@pytest.mark.parametrize("error", [TryAgain("no database"), OSError("no broker")])
def test_what_cannot_be_handed_over_waits_with_its_id_and_its_place(world: World, error: Exception) -> None:
    world.away = error
    world.report(1)
    world.report(2)
    world.report(1, "cleared")
    assert world.told == []
    world.away = None
    world.go_on()
    assert world.told == [("1", "major", 1), ("2", "major", 1), ("1", "cleared", 1)]
    assert [e.message_id for e in world.taken] == ["M1", "M2", "M3"]


def test_what_failed_on_its_way_goes_before_what_came_meanwhile(world: World) -> None:
    world.held = []
    world.report(1)
    world.report(1, "cleared")
    held, world.held = world.held, None
    held[0].errback(TryAgain("no database"))
    world.go_on()
    assert world.told == [("1", "major", 1), ("1", "major", 1), ("1", "cleared", 1)]
    assert [e.message_id for e in world.taken] == ["M1", "M1", "M2"]


def test_no_alarm_stands_for_ever_because_its_end_came_while_all_was_full_and_could_not_be_handed_over(world: World) -> None:
    world.away = TryAgain("no database")
    for number in range(alarms.MOST):
        world.report(number)
    world.clock.pump([alarms.RETRY] * 2)
    for number in range(alarms.MOST):
        world.report(number, "cleared")
    for number in range(alarms.MOST):
        world.report(number, "cleared")  # once more: no more wait because of that
    world.report("new")
    assert world.counted["hlr", "dropped"] == 1
    world.away = None
    world.go_on()
    assert len({number for number, severity, _ in world.told if severity == "cleared"}) == alarms.MOST
    assert {number: severity for number, severity, _ in world.told} == {str(number): "cleared" for number in range(alarms.MOST)}
    assert world.told[0][:2] == ("0", "major")


@pytest.mark.parametrize("error", [Failure(Kind.BUSY, "too many stand"), HandlerFailed("broken")])
def test_what_the_core_refuses_is_counted_and_holds_up_nothing(world: World, error: Exception) -> None:
    world.away = error
    world.report(1)
    world.away = None
    world.report(2)
    world.go_on()
    assert world.told == [("2", "major", 1)]
    assert world.counted == {("hlr", "refused"): 1, ("hlr", "kept"): 1}


def test_a_storm_is_bounded_counted_and_said_and_takes_nothing_from_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "MOST", 3)
    world.away = TryAgain("no database")
    for number in range(10):
        world.report(number)
    world.report("calm", source="msc")
    assert world.counted == {("hlr", "dropped"): 7}, "three wait"
    world.report(2, "cleared")
    world.report(2, "minor")
    world.away = None
    world.go_on()
    kept = {(source, number): severity for source, (number, severity, _) in
            zip((e.body.sourceSystemId for e in world.taken), world.told, strict=True)}
    assert kept == {("hlr", "0"): "major", ("hlr", "1"): "major", ("hlr", "2"): "minor", ("msc", "calm"): "major"}
    assert [call.kwargs["event"] for call in world.said.calls].count("alarms are dropped") == 1, "said once, not for each"
    (again,) = [call for call in world.said.calls if call.kwargs["event"] == "alarms are taken again"]
    assert again.kwargs["dropped"] == 7
    world.report(11)
    assert world.told[-1] == ("11", "major", 1)


def test_a_storm_leaves_the_reactor_to_others_between_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "BATCH", 2)
    for number in range(5):
        world.report(number)
    assert len(world.taken) == 1
    world.clock.advance(alarms.PAUSE)
    assert len(world.taken) == 3
    world.clock.advance(alarms.PAUSE)
    assert len(world.taken) == 5


def test_a_drain_ends_when_all_is_handed_over_and_takes_no_more(world: World) -> None:
    world.held = []
    world.report(1)
    drained = Deferred.fromCoroutine(world.desk.drain())
    assert not drained.called
    world.report(2)
    held, world.held = world.held, None
    held[0].callback(None)
    world.go_on()
    assert drained.called
    assert world.told == [("1", PerceivedSeverity.MAJOR.value, 1)]
    assert world.counted == {("hlr", "kept"): 1, ("hlr", "dropped"): 1}


def test_what_a_stop_leaves_behind_is_said(world: World) -> None:
    world.away = TryAgain("no database")
    world.report(1)
    assert Deferred.fromCoroutine(world.desk.stop()).called
    world.away = None
    world.go_on()
    assert world.told == []
    assert "alarms were not handed over before the end" in [call.kwargs["event"] for call in world.said.calls]
