"""What an alarm tells: the fields of TMF642 taken out of what an element says unasked, as a dialect file declares it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from protocols.mapping.engine import Condition
from protocols.mapping.fields import FieldMap
from protocols.mapping.reading import Fields
from protocols.mml.messages import Alarm, Nested
from protocols.mml.session import Part

Told = Literal["externalAlarmId", "perceivedSeverity", "alarmType", "probableCause", "specificProblem", "alarmedObject", "serviceAffecting",
               "alarmRaisedTime", "alarmReportingTime", "alarmDetails"]
Severity = Literal["critical", "major", "minor", "warning", "indeterminate", "cleared"]
Type = Literal["communicationsAlarm", "qualityOfServiceAlarm", "processingErrorAlarm", "equipmentAlarm", "environmentalAlarm",
               "integrityViolation", "operationalViolation", "physicalViolation", "securityService", "mechanismViolation",
               "timeDomainViolation"]
_OF_A_LIST = {"perceivedSeverity": get_args(Severity), "alarmType": get_args(Type)}
_NO_WORD = re.compile(r"[^\w-]+")
_MOST = 100
"""Alarms that one report may hold."""


def _multiline(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(pattern.pattern, pattern.flags | re.MULTILINE)


LinePattern = Annotated[re.Pattern[str], AfterValidator(_multiline)]


class AlarmRules(Part):
    """How the fields of an alarm are taken out of a report. Templates see `kind`, `severity`, `serial`, `name`, `source` and `time`, as
    the report's own lines tell them; `fields.NAME`, with `_` for blanks and marks in the name (`fields.Alarm_name`); `text`, the whole
    of it; `content`, the same without its number and its time; and every named group of the patterns, which hides what is called the
    same.
    """

    each: LinePattern | None = Field(default=None, description="a report may hold several alarms: what one of them looks like, a regular "
                                                              "expression whose named groups are that alarm's. `^` and `$` are a line's")
    patterns: tuple[LinePattern, ...] = Field(default=(), description="regular expressions that are looked for in the report; their named "
                                                                      "groups are added, of the first place where each is found")
    texts: bool = Field(default=False, description="texts without an alarm's mark are alarms too, where `each` or a pattern is found")
    ignore: tuple[Condition, ...] = Field(default=(), description="what is no alarm where one of these holds: it is logged, no more")
    cleared: tuple[Condition, ...] = Field(default=(), description="the alarm is over where one of these holds, whatever its severity")
    fields: Mapping[Told, FieldMap] = Field(default={}, description="where each field comes from, as in a protocol file; "
                                                                    "`codes:` says which severity and which type a word means")
    _fields: Fields = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> AlarmRules:
        if self.texts and not (self.each or self.patterns):
            raise ValueError("texts: `each` or `patterns` must say which texts are alarms")
        for name, allowed in _OF_A_LIST.items():
            field = self.fields.get(name)  # type: ignore[call-overload]  # the keys are those of Told
            for word in () if field is None else (*(field.codes or {}).values(), field.otherwise, field.default):
                if word is not None and word not in allowed:
                    raise ValueError(f"fields.{name}: {word!r} is none of {', '.join(allowed)}")
        self._fields = Fields({str(name): field for name, field in self.fields.items()})
        return self

    def read(self, said: Alarm) -> Iterator[tuple[dict[str, Any], list[str]]]:
        """Give the fields of each alarm in the report, and what is wrong about them; nothing where it holds none.

        What cannot be read is left out. Severity, problem and text are always there.
        """
        seen: dict[str, Any] = {
            "kind": said.kind, "severity": said.severity, "serial": said.serial, "name": said.name, "source": said.source,
            "time": said.time, "text": str(said), "content": content_of(said),
            "fields": {_NO_WORD.sub("_", name.rstrip(". ")): value.value if isinstance(value, Nested) else value
                       for name, value in said.fields.items()}}
        found = [match for pattern in self.patterns if (match := pattern.search(said)) is not None]
        for match in found:
            seen |= _groups(match)
        alarms = [match for match, _ in zip(self.each.finditer(said), range(_MOST), strict=False)] if self.each is not None else []
        if said.kind != "alarm" and not (self.texts and (found or alarms)):
            return
        for one in [_groups(match) for match in alarms] or [{}]:
            of_this = {**seen, **one}
            if not any(condition.holds(of_this) for condition in self.ignore):
                yield self._told(of_this)

    def _told(self, seen: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        problems: list[Any] = []
        told = self._fields.apply(seen, problems)
        if any(condition.holds(seen) for condition in self.cleared):
            told["perceivedSeverity"] = "cleared"
        told.setdefault("perceivedSeverity", "indeterminate")
        if "externalAlarmId" not in told and "probableCause" not in told:
            told.setdefault("specificProblem", seen["content"] or seen["text"])
        told.setdefault("alarmDetails", seen["text"])
        return told, [str(problem) for problem in problems]


def content_of(said: Alarm) -> str:
    """Return what stays the same when an element says it again: a report without its time and its number."""
    text = str(said)
    for once in (said.time, said.serial):
        if once:
            text = re.sub(rf"(?<!\w){re.escape(once)}(?!\w)", " ", text, count=1)
    return " ".join(text.split())


def _groups(match: re.Match[str]) -> dict[str, str]:
    return {name: value.strip() for name, value in match.groupdict().items() if value and value.strip()}
