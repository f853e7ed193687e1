"""Alarms (TMF642, with the severities and types of ITU-T X.733): what a source reports, and what is known of it."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from core.messages.base import BusinessObject, Event, Identifier, Instant, Parameter, Text


class PerceivedSeverity(StrEnum):
    """How bad it is. `cleared`: it is over."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"
    INDETERMINATE = "indeterminate"
    CLEARED = "cleared"


class AlarmType(StrEnum):
    """The X.733 event type, the security ones of X.736 included."""

    COMMUNICATIONS = "communicationsAlarm"
    QUALITY_OF_SERVICE = "qualityOfServiceAlarm"
    PROCESSING_ERROR = "processingErrorAlarm"
    EQUIPMENT = "equipmentAlarm"
    ENVIRONMENTAL = "environmentalAlarm"
    INTEGRITY = "integrityViolation"
    OPERATIONAL = "operationalViolation"
    PHYSICAL = "physicalViolation"
    SECURITY = "securityService"
    MECHANISM = "mechanismViolation"
    TIME_DOMAIN = "timeDomainViolation"


class AlarmState(StrEnum):
    """`updated`: it stands, and something about it has changed since it was raised."""

    RAISED = "raised"
    UPDATED = "updated"
    CLEARED = "cleared"


class AlarmedObject(BusinessObject):
    """What is ill: the source's own name of it."""

    id: Annotated[Text, Parameter("OBJECT"), Field(min_length=1)]


class ReportAlarm(BusinessObject):
    """Tell of a fault, or with `perceivedSeverity` cleared that it is over.

    What the source calls it (`externalAlarmId`) tells which alarm it is; without that the object, the type, the cause and the problem
    do, together. `sourceSystemId` is the reporting party where it is not given. `alarmReportingTime` is that of the report by the
    source's own clock. `occurrences` is how many reports this one stands for.
    """

    sourceSystemId: Annotated[Identifier | None, Parameter("SOURCE")] = None
    externalAlarmId: Annotated[Text | None, Parameter("EXTID")] = None
    perceivedSeverity: Annotated[PerceivedSeverity, Parameter("SEVERITY")]
    alarmType: Annotated[AlarmType | None, Parameter("TYPE")] = None
    probableCause: Annotated[Text | None, Parameter("CAUSE")] = None
    specificProblem: Annotated[Text | None, Parameter("PROBLEM")] = None
    alarmedObject: AlarmedObject | None = None
    serviceAffecting: Annotated[bool | None, Parameter("AFFECTING")] = None
    alarmRaisedTime: Annotated[Instant | None, Parameter("RAISED")] = None
    alarmReportingTime: Annotated[Instant | None, Parameter("REPORTED")] = None
    alarmDetails: Annotated[Text | None, Parameter("DETAILS")] = None
    occurrences: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _which(self) -> Self:
        if not (self.externalAlarmId or self.specificProblem or self.probableCause):
            raise ValueError("which alarm it is must be told: externalAlarmId, specificProblem or probableCause")
        return self

    @property
    def which(self) -> str:
        """The alarm's name among those of its source: the same in all reports of it, of one length whatever tells it."""
        told = (self.externalAlarmId,) if self.externalAlarmId else (
            "", self.alarmedObject.id if self.alarmedObject else "", self.alarmType or "", self.probableCause or "",
            self.specificProblem or "")
        return hashlib.sha256("\0".join(told).encode()).hexdigest()


class Alarm(BusinessObject):
    """An alarm as it stands. Raised anew after it was cleared it is another one, with another `id`."""

    id: Identifier
    href: Text
    state: AlarmState
    perceivedSeverity: PerceivedSeverity
    sourceSystemId: Identifier
    externalAlarmId: Text | None = None
    alarmedObject: AlarmedObject | None = None
    alarmType: AlarmType | None = None
    probableCause: Text | None = None
    specificProblem: Text | None = None
    serviceAffecting: bool | None = None
    alarmRaisedTime: Instant
    alarmReportingTime: Instant
    alarmChangedTime: Instant | None = None
    alarmClearedTime: Instant | None = None
    clearUserId: Identifier | None = None
    alarmDetails: Text | None = None
    occurrences: int


class ListAlarms(BusinessObject):
    """Read alarms, those that stand unless a state is named; the newest first."""

    sourceSystemId: Annotated[Identifier | None, Parameter("SOURCE")] = None
    perceivedSeverity: Annotated[PerceivedSeverity | None, Parameter("SEVERITY")] = None
    state: AlarmState | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Alarms(BusinessObject):
    """Alarms that were asked for."""

    alarm: tuple[Alarm, ...] = ()


class ClearAlarm(BusinessObject):
    """Clear an alarm by hand, whose source will not say any more that it is over."""

    id: Annotated[Identifier, Parameter("ALARMID")]


class ForgetAlarm(BusinessObject):
    """Remove an alarm that was cleared long ago."""

    id: Identifier


class AlarmCreateEvent(Event):
    """An alarm was raised."""

    alarm: Alarm


class AlarmAttributeValueChangeEvent(Event):
    """Something about an alarm that stands has changed, its severity say."""

    alarm: Alarm


class AlarmStateChangeEvent(Event):
    """An alarm was cleared."""

    alarm: Alarm
