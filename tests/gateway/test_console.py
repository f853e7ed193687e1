from __future__ import annotations

import base64
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from core.monitor.alarm_objects import Alarm, AlarmedObject, Alarms, AlarmState, PerceivedSeverity
from gateway.console.site import console_site
from gateway.parts import Part, Parts
from gateway.sessions import Sessions
from gateway.status import Status
from gateway.workmates import Workmates

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


class Told:
    def __init__(self, name: str, **told: Any) -> None:
        self.name = name
        self.told = told

    def status(self) -> dict[str, Any]:
        return self.told


class Waiting:
    def queues(self) -> list[tuple[str, int, float | None]]:
        return [("connector.hlr", 3, 1.5)]


@pytest.fixture
def status() -> Status:
    clock = Clock()
    clock.advance(100)
    numbers = count()
    sessions = Sessions(clock, {}, new_id=lambda: f"S{next(numbers)}", max_sessions=9, login_timeout=1, idle_timeout=1, max_login_tries=1)
    sessions.open("mml", "10.0.0.1:<b>", lambda reason: None)
    made = Status(sessions=sessions, parts=Parts(
        listeners={"mml": Part("mml", Told("mml", state="listening", address="127.0.0.1:7776"), None)},
        connectors={"hlr": Part("mml", Told("hlr", state="connected", peer="127.0.0.1:7810", in_flight=1), None)}), queues=Waiting(),
                  utcnow=lambda: NOW, seconds=clock.seconds, workmates=Workmates(Path(), 1, 1))
    made.state = "running"
    return made


def get(status: Status, path: str, standing: Deferred[Alarms] | None = None, wait: float = 0, **headers: str) -> tuple[int, str]:
    transport, clock = StringTransport(), Clock()
    protocol = console_site(clock, status, lambda: b"# HELP x y\n", {"admin": "admin-secret"},
                            lambda: succeed(Alarms()) if standing is None else standing).buildProtocol(None)
    protocol.makeConnection(transport)
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    protocol.dataReceived(f"GET {path} HTTP/1.0\r\n{lines}\r\n".encode())
    clock.advance(wait)
    head, _, body = transport.value().decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def operator(secret: str) -> str:
    return "Basic " + base64.b64encode(f"admin:{secret}".encode()).decode()


def test_health_is_up(status):
    assert get(status, "/health") == (200, '{"status":"up"}\n')


def test_ready_says_what_is_missing(status):
    assert get(status, "/ready")[0] == 200
    status.state = "draining"
    code, body = get(status, "/ready")
    assert code == 503
    assert "gateway is draining" in body


def test_metrics_are_prometheus_text(status):
    assert get(status, "/metrics")[0] == 200


def test_the_page_is_for_operators(status):
    assert get(status, "/")[0] == 401
    assert get(status, "/", Authorization=operator("wrong"))[0] == 401
    assert get(status, "/", Authorization="Basic !!")[0] == 401
    code, body = get(status, "/", Authorization=operator("admin-secret"))
    assert code == 200
    assert "127.0.0.1:7810" in body
    assert "connector.hlr" in body
    assert "<b>" not in body.replace("<body>", "")


def test_a_page_that_cannot_be_made_is_answered_all_the_same(status, monkeypatch):
    monkeypatch.setattr(status, "read_all", lambda: 1 / 0)
    code, body = get(status, "/", Authorization=operator("admin-secret"))
    assert code == 500
    assert "ZeroDivisionError" not in body


def test_system_status_tells_what_the_parts_tell(status):
    told = status.read()
    assert told.listener[0].address == "127.0.0.1:7776"
    assert told.listener[0].sessions == 1
    assert (told.queue[0].name, told.queue[0].depth) == ("connector.hlr", 3)
    assert told.connector[0].inFlight == 1
    assert told.session[0].opened == NOW


def page(status: Status, standing: Deferred[Alarms], wait: float = 0) -> str:
    code, body = get(status, "/", standing, wait, Authorization=operator("admin-secret"))
    assert code == 200
    assert "127.0.0.1:7810" in body, "the rest is always there"
    return body


def test_the_page_shows_the_alarms_that_stand(status):
    alarm = Alarm(id="AL1", href="/alarm/AL1", state=AlarmState.RAISED, perceivedSeverity=PerceivedSeverity.CRITICAL, sourceSystemId="hlr",
                  alarmedObject=AlarmedObject(id="<b>rack"), specificProblem="x" * 200, alarmRaisedTime=NOW, alarmReportingTime=NOW,
                  occurrences=3)
    body = page(status, succeed(Alarms(alarm=(alarm,))))
    assert '<span class="alarm critical">critical</span>' in body
    assert "&lt;b&gt;rack" in body
    assert "x" * 80 + "\u2026" in body
    assert "AL1" in body


def test_where_the_alarms_cannot_be_had_in_time_the_page_says_so(status):
    for standing, wait in ((fail(RuntimeError("no database")), 0), (Deferred(), 2)):
        assert "cannot be read at the moment" in page(status, standing, wait)
    assert "cannot be read" not in page(status, succeed(Alarms()))


def test_a_connector_that_is_up_looks_well(status):
    status._parts.connectors["hlr"].service.told["state"] = "up"
    assert '<span class="good">up</span>' in page(status, succeed(Alarms()))
