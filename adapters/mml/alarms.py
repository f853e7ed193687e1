"""From what an element says unasked to the reports that go to the monitor core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from core.messages.base import one_line
from plugins.api import ReportAlarm
from plugins.checking import invalid
from protocols.mml import Alarm
from protocols.mml.alarms import AlarmRules


def reports_of(said: Alarm, rules: AlarmRules, source: str, hidden: Callable[[str], str],
               wrong: Callable[[str], None]) -> Iterator[ReportAlarm]:
    """Give a report for each alarm in what was said; none where it is no alarm.

    `source` is the system it comes from, `hidden` takes our own secrets out of a text, `wrong` hears what could not be read.
    """
    for told, problems in rules.read(said):
        for problem in problems:
            wrong(problem)
        fields = {name: one_line(hidden(" ".join(value.split()))) if isinstance(value, str) else value for name, value in told.items()}
        yield _made(fields, source, wrong)


def _made(fields: dict[str, Any], source: str, wrong: Callable[[str], None]) -> ReportAlarm:
    fields["sourceSystemId"] = source
    if "alarmedObject" in fields:
        fields["alarmedObject"] = {"id": fields["alarmedObject"]}
    try:
        return ReportAlarm.model_validate(fields)
    except ValidationError as error:
        # Whatever else is wrong with it, that there is an alarm must not be lost.
        wrong(invalid(error).message)
        text = one_line(str(fields["alarmDetails"])) or "unknown"
        return ReportAlarm(sourceSystemId=source, perceivedSeverity=fields["perceivedSeverity"], specificProblem=text, alarmDetails=text)
