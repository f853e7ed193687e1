"""The driver against a small element in memory: every outcome, and nothing applied twice."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import yaml
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from adapters.drivers import TOLD, Driver, NotSent, OutcomeUnknown
from core.messages.base import Characteristic
from core.provisioning.objects import ResourceCommand, ResourceCommandResult
from plugins.api import Envelope, Failure, Kind, TryAgain
from protocols.mapping import Definition

FILE = Path(__file__).parents[3] / "config/site/demo/protocols/hlr.yaml"


class Element:
    """Keeps subscribers; `script` says how the next commands that change something go."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.subscribers: dict[str, dict[str, str]] = {}
        self.applied = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def status(self) -> dict[str, str]:
        return {"state": "up", "peer": "memory"}

    async def request(self, message: Any) -> dict[str, Any]:
        imsi = message["fields"]["IMSI"]
        if message["command"] == "LST SUB":
            found = self.subscribers.get(imsi)
            return {"retcode": "0", "fields": found} if found else {"retcode": "3001", "description": "no subscriber"}
        habit = self.script.pop(0) if self.script else "apply"
        if habit == "unsent":
            raise NotSent
        if habit == "dropped":
            raise OutcomeUnknown
        if habit.isdecimal():
            return {"retcode": habit, "description": "said the element"}
        self.applied += 1
        self.subscribers[imsi] = message["fields"]
        if habit == "silent":
            await Deferred()
        if habit == "lost":
            raise OutcomeUnknown
        return {"retcode": "0", "description": "ok"}


def order(attempt: int = 0, command: str = "createSubscriber", deadline: float | None = None) -> Envelope[Any]:
    parameters = {"imsi": "001010000000001", "msisdn": "4912345678"}
    body = ResourceCommand(workOrder="w1", command=command,
                           parameter=tuple(Characteristic(name=n, value=v) for n, v in parameters.items()))
    return Envelope(body, "m1", "c1", datetime.fromtimestamp(0, UTC), attempt=attempt,
                    deadline=None if deadline is None else datetime.fromtimestamp(deadline, UTC))


class Log:
    """Keeps what is said, with its level."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **told: self.said.append((level, event, told))


def driver(element: Element, clock: Clock | None = None, log: Log | None = None) -> Driver:
    clock = clock or Clock()
    return Driver("hlr", Definition.load(yaml.safe_load(FILE.read_text())), element, clock, clock.seconds, log)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("script", [(), ("lost",), ("dropped",), ("2001", "2001"), ("unsent", "lost")])
async def test_applied_exactly_once(script: tuple[str, ...]) -> None:
    element = Element(*script)
    driving = driver(element)
    for attempt in range(5):
        try:
            result = await driving.perform(order(attempt))
        except TryAgain:
            continue
        assert result.done
        assert element.applied == 1
        return
    pytest.fail("never done")


@pytest_twisted.ensureDeferred
async def test_refusal_for_good_carries_the_elements_words() -> None:
    with pytest.raises(Failure) as caught:
        await driver(Element("4001")).perform(order())
    assert caught.value.kind is Kind.STATE
    assert "said the element" in caught.value.message


@pytest_twisted.ensureDeferred
async def test_patience_ends() -> None:
    clock = Clock()
    clock.advance(301)
    with pytest.raises(Failure) as caught:
        await driver(Element("unsent"), clock).perform(order())
    assert caught.value.kind is Kind.UNAVAILABLE


@pytest_twisted.ensureDeferred
async def test_silence_times_out_and_the_query_settles_it() -> None:
    element, clock = Element("silent"), Clock()
    driving = driver(element, clock)
    first = Deferred.fromCoroutine(driving.perform(order()))
    clock.advance(6)
    with pytest.raises(TryAgain):
        await first
    assert (await driving.perform(order(1))).done
    assert element.applied == 1


@pytest_twisted.ensureDeferred
async def test_breaker_opens_and_closes() -> None:
    element, clock = Element(*["unsent"] * 5, *["dropped"] * 5), Clock()
    driving = driver(element, clock)
    for sent in range(10):
        assert driving.status()["breaker"] == "closed", sent
        with pytest.raises(TryAgain):
            await driving.perform(order())
    assert driving.status()["breaker"] == "open"
    with pytest.raises(TryAgain):
        await driving.perform(order())
    assert element.applied == 0
    clock.advance(11)
    assert (await driving.perform(order())).done


@pytest_twisted.ensureDeferred
async def test_the_breaker_and_what_is_put_off_are_told() -> None:
    clock, log = Clock(), Log()
    driving = driver(Element("2001", *["dropped"] * 6), clock, log)
    for seconds in (0, 0, 0, 0, 0, 0, 11, 11):
        clock.advance(seconds)
        with suppress(TryAgain):
            await driving.perform(order())
        if seconds == 0 and len(log.said) == 2:
            assert driving.status()["last_error"] == "5 messages in a row were not answered; none is sent for a while"
    assert [(level, event) for level, event, _ in log.said] == [
        ("info", "not now, says the peer: tried again later"), ("warning", "the breaker opens: the peer does not answer"),
        ("info", "the breaker closes: the peer answers again")]
    assert log.said[0][2] == {"command": "ADD SUB", "answer": "2001 said the element"}
    assert driving.status().get("last_error") is None


@pytest_twisted.ensureDeferred
async def test_however_many_wait_when_the_breaker_opens_the_connector_goes_on() -> None:
    element, clock = Element(*["silent"] * 5), Clock()
    driving = driver(element, clock)
    waiting = [Deferred.fromCoroutine(driving.perform(order())) for _ in range(2_000)]
    for _ in range(5):
        clock.advance(6)
    assert driving.status()["breaker"] == "open"
    for each in waiting:
        with pytest.raises(TryAgain):
            await each
    clock.advance(11)
    assert (await driving.perform(order(1))).done


@pytest_twisted.ensureDeferred
async def test_an_answer_between_silences_keeps_the_breaker_closed() -> None:
    driving = driver(Element(*["dropped"] * 4, "4001", *["dropped"] * 4))
    for _ in range(9):
        with pytest.raises((TryAgain, Failure)):
            await driving.perform(order())
    assert driving.status()["breaker"] == "closed"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("script", "delay"), [("dropped", 7.0), ("unsent", None), ("2001", None)])
async def test_after_an_unknown_outcome_the_query_waits_until_it_has_settled(script: str, delay: float | None) -> None:
    settling = Definition.load({**yaml.safe_load(FILE.read_text()), "settle": 7})
    with pytest.raises(TryAgain) as caught:
        await Driver("hlr", settling, Element(script), Clock(), Clock().seconds).perform(order())
    assert caught.value.delay == delay


TWO_STEPS: dict[str, Any] = {"createSubscriber": {
    "takes": {"imsi": {"from": "$imsi"}, "msisdn": {"from": "$msisdn"}},
    "send": [{"command": command, "fields": {"IMSI": {"from": imsi}},
              "query": {"send": {"command": "LST SUB", "fields": {"IMSI": {"from": imsi}}}, "applied": [
                  {"value": "$reply.fields.IMSI", "present": True}]},
              **({"undo": {"command": "RMV SUB", "fields": {"IMSI": {"from": imsi}}}} if command == "ADD SUB" else {})}
             for command, imsi in (("ADD SUB", "$imsi"), ("ACT SUB", "{imsi}-active"))]}}


class Slow(Element):
    """Each answer takes so many seconds."""

    def __init__(self, clock: Clock, seconds: float, *script: str) -> None:
        super().__init__(*script)
        self.clock, self.seconds = clock, seconds
        self.heard: list[str] = []

    async def request(self, message: Any) -> dict[str, Any]:
        self.heard.append(message["command"])
        answer = await super().request(message)
        if message["command"] == "RMV SUB":
            del self.subscribers[message["fields"]["IMSI"]]
        if self.seconds:
            waiting: Deferred[None] = Deferred()
            self.clock.callLater(self.seconds, waiting.callback, None)
            await waiting
        return answer


def of_two_steps(element: Element, clock: Clock, **more: Any) -> Driver:
    data = {**yaml.safe_load(FILE.read_text()), "operations": TWO_STEPS, "timeout": 5, **more}
    return Driver("hlr", Definition.load(data), element, clock, clock.seconds)


@pytest_twisted.ensureDeferred
async def test_the_timeout_is_that_of_each_message_not_of_the_command() -> None:
    clock = Clock()
    element = Slow(clock, 4)
    doing = Deferred.fromCoroutine(of_two_steps(element, clock).perform(order()))
    clock.advance(4)
    clock.advance(4)
    assert (await doing).done
    assert element.heard == ["ADD SUB", "ACT SUB"]


@pytest_twisted.ensureDeferred
async def test_after_the_deadline_nothing_more_is_sent_and_what_was_is_taken_back() -> None:
    clock = Clock()
    element = Slow(clock, 4)
    doing = Deferred.fromCoroutine(of_two_steps(element, clock).perform(order(deadline=4)))
    clock.advance(4)
    clock.advance(4)
    with pytest.raises(Failure) as caught:
        await doing
    assert (caught.value.kind, caught.value.message) == (Kind.TIMEOUT, "the deadline passed; 1 of 2 messages had been sent")
    assert element.heard == ["ADD SUB", "RMV SUB"]
    assert element.subscribers == {}


@pytest_twisted.ensureDeferred
async def test_a_command_that_comes_after_its_deadline_is_not_begun() -> None:
    clock = Clock()
    clock.advance(10)
    element = Slow(clock, 0)
    with pytest.raises(Failure) as caught:
        await of_two_steps(element, clock).perform(order(deadline=10))
    assert (caught.value.kind, caught.value.message) == (Kind.TIMEOUT, "the deadline passed; nothing was sent")
    assert element.heard == []


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("script", "heard", "told"), [
    ("silent", ["ADD SUB", "LST SUB", "LST SUB", "RMV SUB"], "1 of 2"), ("dropped", ["ADD SUB", "LST SUB", "LST SUB"], "nothing was sent")])
async def test_an_answer_is_waited_for_no_longer_than_the_deadline_and_then_settled_by_the_query(
        script: str, heard: list[str], told: str) -> None:
    clock = Clock()
    element = Slow(clock, 0, script)
    driving = of_two_steps(element, clock)
    doing = Deferred.fromCoroutine(driving.perform(order(deadline=2)))
    clock.advance(2)
    with pytest.raises(TryAgain):
        await doing
    with pytest.raises(Failure) as caught:
        await driving.perform(order(1, deadline=2))
    assert (caught.value.kind, told in caught.value.message) == (Kind.TIMEOUT, True)
    assert element.heard == heard
    assert element.subscribers == {}


@pytest_twisted.ensureDeferred
async def test_what_was_applied_in_time_is_done_however_late_that_is_known() -> None:
    clock = Clock()
    element = Slow(clock, 0, "apply", "silent")
    driving = of_two_steps(element, clock)
    doing = Deferred.fromCoroutine(driving.perform(order(deadline=2)))
    clock.advance(2)
    with pytest.raises(TryAgain):
        await doing
    clock.advance(60)
    assert (await driving.perform(order(1, deadline=2))).done
    assert element.applied == 2


class Listener(Element):
    """Is only told, and never answers."""

    async def request(self, message: Any) -> Any:
        return TOLD


@pytest_twisted.ensureDeferred
async def test_what_is_only_told_has_succeeded_wherever_replies_have_their_code() -> None:
    data = {**yaml.safe_load(FILE.read_text()), "results": {"code": "$fields.status", "classes": {"success": ["OK"]}}}
    clock = Clock()
    result = await Driver("hlr", Definition.load(data), Listener(), clock, clock.seconds).perform(order())
    assert isinstance(result, ResourceCommandResult)
    assert (result.done, result.code) == (True, None)
