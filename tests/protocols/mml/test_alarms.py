"""What is taken out of alarm reports: real ones in the bundled dialects, and the rules an operator can write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from core.monitor.alarm_objects import AlarmType, PerceivedSeverity, ReportAlarm
from protocols.dialects import client_codec
from protocols.mml import Alarm, Dialect, DialectError
from protocols.mml.alarms import Severity, Told, Type
from tests.protocols.mml.speaking import DIALECTS, VECTORS, of

LIST = ("externalAlarmId", "perceivedSeverity", "alarmedObject", "probableCause", "specificProblem", "serviceAffecting")


def read(dialect: Dialect, data: bytes) -> list[tuple[dict[str, Any], list[str]]]:
    return [told for event in client_codec(dialect).receive_data(data) if isinstance(event, Alarm) for told in dialect.alarms.read(event)]


def vector(name: str) -> list[dict[str, Any]]:
    found = read(DIALECTS[name], (VECTORS / f"{name}.client.alarms.txt").read_bytes())
    assert not any(problems for _, problems in found)
    return [told for told, _ in found]


def with_rules(rules: Mapping[str, Any], name: str = "huawei-text") -> Dialect:
    return Dialect.load({**of(name), "alarms": rules})


def test_a_huawei_alarm_is_raised_and_cleared_under_its_serial_number() -> None:
    raised, bare, cleared = vector("huawei-text")
    assert [raised.get(name) for name in LIST] == [
        "77021", "warning", 'EID="192.0.2.7:5060"', "The registration\nhas expired", "SIP terminal is out of service", None]
    assert raised["alarmType"] == "processingErrorAlarm"
    assert raised["alarmReportingTime"].isoformat() == "2012-06-14T10:20:31+03:00"
    assert raised["alarmRaisedTime"].isoformat() == "2012-06-14T10:20:30+03:00"
    assert (bare["externalAlarmId"], bare["perceivedSeverity"]) == ("77022", "critical")
    assert (cleared["externalAlarmId"], cleared["perceivedSeverity"]) == ("77021", "cleared")


def test_a_huawei_alarm_that_has_recovered_is_over() -> None:
    said = (b"+++    HLR        2012-06-14 10:%d:31\nALARM  900  %s  Major  HLR  1022  Communication\n"
            b"  Alarm name  =  Link failure\n---    END\n")
    (raised, _), (over, _) = read(DIALECTS["huawei-text"], said % (20, b"Fault") + said % (21, b"Recovery"))
    assert [(told["externalAlarmId"], told["perceivedSeverity"]) for told in (raised, over)] == [("900", "major"), ("900", "cleared")]


def test_tl1_names_an_alarm_by_place_and_condition_and_a_report_may_hold_several() -> None:
    equipment, one, other, named, cleared, bare = vector("tl1")
    assert [equipment.get(name) for name in LIST] == ["DS3-A LOS", "critical", "DS3-A", "LOS", "Loss of Signal", True]
    assert equipment["alarmType"] == "equipmentAlarm"
    assert equipment["alarmReportingTime"].isoformat() == "2001-08-04T11:51:58+00:00"
    assert [one.get(name) for name in LIST] == [
        "OC192-1-11-1 DCC_FAIL_L", "minor", "OC192-1-11-1", "DCC_FAIL_L", "LINE DCC Link Failure", False]
    assert [other.get(name) for name in LIST] == ["OC192-1-12-1 LOF", "major", "OC192-1-12-1", "LOF", None, True]
    assert [named.get(name) for name in LIST] == ["1-4 FAIL", "major", "1-4", "FAIL", None, True]
    assert (cleared["externalAlarmId"], cleared["perceivedSeverity"]) == ("DS3-A LOS", "cleared")
    assert (bare["perceivedSeverity"], bare["alarmType"]) == ("major", "environmentalAlarm")


def test_an_axe_alarm_ceases_under_its_number() -> None:
    raised, other, ceased = vector("ericsson-axe")
    assert [raised.get(name) for name in LIST] == [
        "870 MSC7 141/00/0", "major", "MSC7 141/00/0", None, "MT IMEI SUPERVISION LOG FAULT", None]
    assert raised["alarmType"] == "communicationsAlarm"
    assert raised["alarmReportingTime"].isoformat() == "2014-09-05T01:16:00+00:00"
    assert (other["perceivedSeverity"], other["alarmType"]) == ("critical", "processingErrorAlarm")
    assert (ceased["externalAlarmId"], ceased["perceivedSeverity"]) == (raised["externalAlarmId"], "cleared")


def test_a_dx_200_alarm_is_cancelled_by_its_number_and_object() -> None:
    raised, other, cancelled = vector("nokia-dx200")
    assert [raised.get(name) for name in LIST] == [
        "7745 TRX-003", "major", "TRX-003", "7745", "CHANNEL FAILURE RATE ABOVE DEFINED THRESHOLD", None]
    assert raised["alarmReportingTime"].isoformat() == "2003-11-21T08:54:14+00:00"
    assert (other["externalAlarmId"], other["perceivedSeverity"]) == ("2693 BCSU-1", "critical")
    assert (cancelled["externalAlarmId"], cancelled["perceivedSeverity"]) == (raised["externalAlarmId"], "cleared")


def test_without_rules_an_alarm_is_its_text_and_the_same_again_is_the_same_alarm() -> None:
    report = b"+++    HLR 1        2003-11-21 08:54:%02d\nALARM Door 17 open\n---    END\n"
    (one, _), (other, _) = read(with_rules({}), report % 10 + report % 11)
    assert one["perceivedSeverity"] == "indeterminate"
    assert one["specificProblem"] == other["specificProblem"]
    assert "Door 17 open" in one["specificProblem"]
    assert one["alarmDetails"] != other["alarmDetails"]


def test_what_stays_the_same_loses_the_number_of_the_message_and_no_other_number() -> None:
    dialect = Dialect.load({**of("tl1"), "alarms": {}})
    report = b"\r\n\n   NE1 01-08-04 11:54:0%d\r\n** %d REPT ALM ENV\r\n   slot 1\r\n;\r\n"
    (one, _), (other, _) = read(dialect, report % (1, 1) + report % (2, 2))
    assert one["specificProblem"] == other["specificProblem"]
    assert "slot 1" in one["specificProblem"]
    assert "NE1" in one["specificProblem"]


def test_the_fields_of_a_record_are_found_by_their_names() -> None:
    rules = {"fields": {"externalAlarmId": {"from": "$fields.NO"}, "perceivedSeverity": {
        "from": "$fields.SEVERITY", "codes": {"1": "critical", "0": "cleared"}, "otherwise": "minor"}}}
    dialect = with_rules(rules, "records-json")
    said = b"".join(b'{"command":"ALARM","fields":{"NO":"7","SEVERITY":"%d"}}\n' % number for number in (1, 0, 5))
    assert [(told["externalAlarmId"], told["perceivedSeverity"]) for told, _ in read(dialect, said)] == [
        ("7", "critical"), ("7", "cleared"), ("7", "minor")]


def test_a_text_without_a_mark_is_an_alarm_only_where_the_dialect_says_so() -> None:
    rules = {"patterns": ["^WARN (?P<what>.+)$"], "fields": {"specificProblem": {"from": "$what"}}}
    for texts, expected in ((False, []), (True, ["disk full"])):
        dialect = with_rules({**rules, "texts": texts}, "ericsson-axe")
        said = Alarm.of("WARN disk full")
        assert [told["specificProblem"] for told, _ in dialect.alarms.read(said)] == expected
        assert list(dialect.alarms.read(Alarm.of("Welcome"))) == []


def test_what_cannot_be_read_is_left_out_and_told_and_the_alarm_is_not_lost() -> None:
    rules = {"fields": {"alarmRaisedTime": {"from": "$fields.Raised", "type": "datetime"}, "specificProblem": {"from": "$fields.What"}}}
    said = b"+++    H        2003-11-21 08:54:10\nALARM x\n  Raised  =  yesterday\n  What  =  fire\n---    END\n"
    ((told, problems),) = read(with_rules(rules), said)
    assert ("alarmRaisedTime" in told, told["specificProblem"]) == (False, "fire")
    assert problems
    assert "alarmRaisedTime" in problems[0]


@pytest.mark.parametrize(("rules", "where", "said"), [
    ({"fields": {"perceivedSeverity": {"from": "$severity", "codes": {"A": "critcal"}}}}, ("alarms",), "'critcal' is none of critical"),
    ({"fields": {"severity": {"from": "$severity"}}}, ("alarms", "fields", "severity"), "must be one of"),
    ({"texts": True}, ("alarms",), "which texts are alarms"),
    ({"patterns": ["("]}, ("alarms", "patterns", 0), "regular expression"),
])
def test_a_wrong_rule_is_told_with_its_place(rules: Mapping[str, Any], where: tuple[str, ...], said: str) -> None:
    with pytest.raises(DialectError) as caught:
        with_rules(rules)
    assert [path[:len(where)] for path, _ in caught.value.problems] == [where]
    assert said in caught.value.problems[0][1]


def test_the_words_are_those_of_the_business_object() -> None:
    assert set(get_args(Severity)) == {s.value for s in PerceivedSeverity}
    assert set(get_args(Type)) == {t.value for t in AlarmType}
    assert set(get_args(Told)) <= set(ReportAlarm.model_fields)
