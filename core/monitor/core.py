"""The monitor core, put together. How the gateway is at this moment only the gateway itself can tell (GetSystemStatus)."""

from __future__ import annotations

from core.monitor import alarms
from core.monitor.tables import metadata
from core.unit_of_work import Core


def build() -> Core:
    """Make the core."""
    return Core("monitor", {
        "ReportAlarm": alarms.report,
        "ListAlarms": alarms.list_alarms,
        "ClearAlarm": alarms.clear,
        "ForgetAlarm": alarms.forget,
    }, metadata)
