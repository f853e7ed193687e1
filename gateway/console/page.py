"""The status page: what GetSystemStatus says, for eyes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from twisted.web.iweb import IRequest
from twisted.web.template import Element, Tag, XMLString, renderer, tags

from core.monitor.alarm_objects import Alarms, PerceivedSeverity
from core.monitor.objects import SystemStatus

_FRAME: Any = XMLString("""
<html xmlns:t="http://twistedmatrix.com/ns/twisted.web.template/0.1" lang="en">
<head>
<meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>UIP status</title>
<style>
 :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
 body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
 h1 { font-size: 1.4rem; margin-bottom: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
 table { border-collapse: collapse; width: 100%; } caption { text-align: left; }
 th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; white-space: nowrap; }
 .number { font-variant-numeric: tabular-nums; text-align: right; } p.none { opacity: .6; margin: 0; }
 .good::before { content: "\u25CF "; color: #2a9d4a; } .bad::before { content: "\u25CF "; color: #d33; }
 .alarm::before { content: "\u25B2 "; color: #888; } .critical::before { color: #d33; } .major::before { color: #e07b00; }
 .minor::before { color: #d4b106; } .warning::before { color: #3b82f6; }
</style>
</head>
<body><main><h1>UIP <span t:render="version"/></h1><p t:render="state"/><div t:render="tables"/></main></body>
</html>
""")

_SHOWN = 80
"""Characters of an alarm's problem; LST ALARM tells the whole."""
_GOOD = {"listening", "consuming", "connected", "up", "loggedIn", "open", "running", "ready", "idle"}


class StatusPage(Element):
    """Renders one SystemStatus, and the alarms that stand; None: they are not known."""

    def __init__(self, status: SystemStatus, alarms: Alarms | None) -> None:
        super().__init__(loader=_FRAME)
        self._status = status
        self._alarms = alarms

    @renderer
    def version(self, _request: IRequest | None, tag: Tag) -> Tag:
        """The gateway's version."""
        return tag(self._status.version)

    @renderer
    def state(self, _request: IRequest | None, tag: Tag) -> Tag:
        """What it does, and since when it runs."""
        return tag(_state(self._status.state), " since ", _time(self._status.started))

    @renderer
    def tables(self, _request: IRequest | None, tag: Tag) -> Tag:
        """Everything else, a table each."""
        s = self._status
        return tag(
            self._standing(),
            _table("Listeners", ("Name", "Protocol", "Address", "State", "Sessions"),
                   ((x.name, x.protocol, x.address, _state(x.state), x.sessions) for x in s.listener)),
            _table("Connectors", ("Name", "Protocol", "Peer", "State", "In flight", "Last error"),
                   ((x.name, x.protocol, x.peer, _state(x.state), x.inFlight, x.lastError or "") for x in s.connector)),
            _table("Waiting messages", ("For", "How many", "Oldest (s)"),
                   ((x.name, x.depth, "" if x.oldest is None else f"{x.oldest:.1f}") for x in s.queue)),
            _table("Sessions", ("Party", "Protocol", "Peer", "State", "Opened", "Last activity", "In flight"),
                   ((x.party or "", x.protocol, x.peer, _state(x.state), _time(x.opened), _time(x.lastActivity), x.inFlight)
                    for x in s.session)),
        )


    def _standing(self) -> Tag:
        if self._alarms is None:
            return tags.section(tags.h2("Active alarms"), tags.p("cannot be read at the moment", class_="bad"))
        return _table("Active alarms", ("Severity", "Source", "Object", "Problem", "Raised", "Reports", "Id"), (
            (_severity(a.perceivedSeverity), a.sourceSystemId, a.alarmedObject.id if a.alarmedObject else "",
             _short(a.specificProblem or a.probableCause or a.externalAlarmId or ""), _time(a.alarmRaisedTime), a.occurrences, a.id)
            for a in self._alarms.alarm))


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str | int | Tag]]) -> Tag:
    listed = list(rows)
    if not listed:
        return tags.section(tags.h2(title), tags.p("none", class_="none"))
    numeric = [isinstance(cell, int) for cell in listed[0]]
    head = tags.tr([tags.th(h, scope="col", **_class(number)) for h, number in zip(heads, numeric, strict=True)])
    body = [tags.tr([tags.td(str(cell) if isinstance(cell, int) else cell, **_class(number))
                     for cell, number in zip(row, numeric, strict=True)]) for row in listed]
    return tags.section(tags.h2(title), tags.table(tags.thead(head), tags.tbody(body)))


def _class(number: bool) -> dict[str, str]:  # one of two looks
    return {"class_": "number"} if number else {}


def _state(state: str) -> Tag:
    return tags.span(state, class_="good" if state in _GOOD else "bad")


def _severity(severity: PerceivedSeverity) -> Tag:
    return tags.span(severity.value, class_=f"alarm {severity.value}")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}\u2026"


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
