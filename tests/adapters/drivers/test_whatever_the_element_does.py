"""Properties of the driver: whatever the element does, nothing is applied twice, and the end is done or a clear refusal."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure as TwistedFailure

from adapters.drivers import Driver, NotSent, OutcomeUnknown
from core.messages.base import Characteristic
from core.provisioning.objects import ResourceCommand, ResourceCommandResult
from plugins.api import Envelope, Failure, Kind, TryAgain
from protocols.mapping import Definition

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy

FILE = Definition.load(yaml.safe_load("""
protocol: element
transport: mml
timeout: 2
patience: 1000
results:
  classes:
    success: ["0"]
    retryable: ["2001"]
    sessionLost: ["1101"]
    notFound: ["3001"]
    alreadyDone: ["3002"]
    ambiguous: ["9"]
operations:
  connect:
    takes:
      imsi: {from: $imsi, required: true}
      vip: {from: $vip}
    send:
      - command: ADD SUB
        fields: {IMSI: {from: $imsi}}
        query: &listed
          send: {command: LST SUB, fields: {IMSI: {from: $imsi}}}
          applied: [{value: $reply.fields.IMSI, equals: $asked.imsi}]
        undo: {command: RMV SUB, fields: {IMSI: {from: $imsi}}}
      - command: SET VIP
        when: [{value: $vip, present: true}]
        fields: {IMSI: {from: $imsi}}
        query:
          send: {command: LST SUB, fields: {IMSI: {from: $imsi}}}
          applied: [{value: $reply.fields.STATE, one_of: [VIP]}]
      - command: ACT SUB
        fields: {IMSI: {from: $imsi}}
        query:
          send: {command: LST SUB, fields: {IMSI: {from: $imsi}}}
          applied: [{value: $reply.fields.STATE, equals: ACTIVE}]
    reply: {state: {from: $fields.STATE}}
"""))

HABITS = ("apply", "unsent", "lost before", "lost after", "silent before", "silent after", "busy", "ambiguous before", "ambiguous after",
          "session lost")
QUERY_HABITS = ("answer", "unsent", "lost before", "silent before", "busy", "ambiguous before")


class Element:
    """A subscriber with a state, where activating hides that it was VIP. `script` says how the next commands go."""

    def __init__(self, script: list[str], queries: list[str], refused: str | None) -> None:
        self.script = script
        self.queries = queries
        self.refused = refused
        self.subscriber: dict[str, str] | None = None
        self.applied: Counter[str] = Counter()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def status(self) -> dict[str, str]:
        return {"peer": "memory", "state": "up"}

    async def request(self, message: Any) -> dict[str, Any]:
        command = message["command"]
        habits = self.queries if command == "LST SUB" else self.script
        habit = habits.pop(0) if habits else "apply"
        if habit == "unsent":
            raise NotSent
        if habit == "lost before":
            raise OutcomeUnknown
        if habit == "silent before":
            await Deferred()
        if habit in {"busy", "ambiguous before", "session lost"}:
            return {"retcode": {"busy": "2001", "session lost": "1101"}.get(habit, "9"), "description": habit}
        answer = self.carry_out(command, message["fields"]["IMSI"])
        if habit == "lost after":
            raise OutcomeUnknown
        if habit == "silent after":
            await Deferred()
        if habit == "ambiguous after":
            return {"retcode": "9", "description": habit}
        return answer

    def carry_out(self, command: str, imsi: str) -> dict[str, Any]:
        if command == self.refused:
            return {"retcode": "4001", "description": "never"}
        if command == "ADD SUB":
            if self.subscriber is not None:
                return {"retcode": "3002", "description": "exists"}
            self.subscriber = {"IMSI": imsi, "STATE": "NEW"}
        elif self.subscriber is None:
            return {"retcode": "3001", "description": "no such subscriber"}
        elif command == "RMV SUB":
            self.subscriber = None
        elif command != "LST SUB":
            self.subscriber["STATE"] = {"SET VIP": "VIP", "ACT SUB": "ACTIVE"}[command]
        if command != "LST SUB":
            self.applied[command] += 1
        return {"retcode": "0", "description": "ok", "fields": dict(self.subscriber or {})}


def carried_out(element: Element, *, vip: bool) -> ResourceCommandResult | Failure:
    """Deliver the command again and again, as the relay does, until it has an end."""
    clock = Clock()
    driver = Driver("element", FILE, element, clock, clock.seconds)
    parameters = {"imsi": "001010000000001", **({"vip": "yes"} if vip else {})}
    body = ResourceCommand(workOrder="w", command="connect",
                           parameter=tuple(Characteristic(name=n, value=v) for n, v in parameters.items()))
    for attempt in range(100):
        ended: list[Any] = []
        envelope = Envelope(body, "m", "c", datetime.fromtimestamp(0, UTC), attempt=attempt)
        Deferred.fromCoroutine(driver.perform(envelope)).addBoth(ended.append)
        while not ended:
            clock.advance(1)
        if not isinstance(ended[0], TwistedFailure):
            return ended[0]
        error = ended[0].value
        if isinstance(error, Failure):
            return error
        assert isinstance(error, TryAgain), error
        clock.advance(10 if driver.status()["breaker"] == "open" else 0.1)
    raise AssertionError("no end")


@UNHURRIED
@example(script=["apply", "lost after"], queries=["busy"], vip=False)
@example(script=["apply", "silent after"], queries=["ambiguous before", "busy"], vip=True)
@given(script=st.lists(st.sampled_from(HABITS), max_size=8), queries=st.lists(st.sampled_from(QUERY_HABITS), max_size=4),
       vip=st.booleans())
def test_done_means_each_step_was_applied_once(script: list[str], queries: list[str], vip: bool) -> None:
    element = Element(script, queries, None)
    result = carried_out(element, vip=vip)
    assert isinstance(result, ResourceCommandResult), result
    assert element.applied == Counter({"ADD SUB": 1, "ACT SUB": 1, **({"SET VIP": 1} if vip else {})})
    assert [(c.name, c.value) for c in result.parameter] == [("state", "ACTIVE")]


@UNHURRIED
@given(st.lists(st.sampled_from(HABITS), max_size=8), st.lists(st.sampled_from(QUERY_HABITS), max_size=4),
       st.sampled_from(["ADD SUB", "SET VIP", "ACT SUB"]))
def test_refused_means_that_what_came_before_is_undone(script: list[str], queries: list[str], refused: str) -> None:
    element = Element(script, queries, refused)
    result = carried_out(element, vip=True)
    assert isinstance(result, Failure)
    assert (result.kind, "never" in result.message) == (Kind.STATE, True)
    assert element.subscriber is None
    assert element.applied[refused] == 0
    assert element.applied["ADD SUB"] == element.applied["RMV SUB"]


def test_what_another_has_made_in_another_way_is_refused() -> None:
    """The element says that the subscriber exists; the query says that it is not ours."""
    element = Element([], [], None)
    element.subscriber = {"IMSI": "001010000000002", "STATE": "NEW"}
    result = carried_out(element, vip=False)
    assert isinstance(result, Failure)
    assert (result.kind, result.message) == (Kind.STATE, "3002 exists")


def test_busy_for_longer_than_patience_is_told() -> None:
    clock = Clock()
    driver = Driver("element", FILE, Element(["busy"], [], None), clock, clock.seconds)
    clock.advance(1001)
    ended: list[Any] = []
    body = ResourceCommand(workOrder="w", command="connect", parameter=(Characteristic(name="imsi", value="001"),))
    Deferred.fromCoroutine(driver.perform(Envelope(body, "m", "c", datetime.fromtimestamp(0, UTC)))).addBoth(ended.append)
    assert (ended[0].value.kind, "busy" in ended[0].value.message) == (Kind.UNAVAILABLE, True)
