"""The driver against a small element in memory: every outcome, and nothing applied twice."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import yaml
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from adapters.drivers import Driver, NotSent, OutcomeUnknown
from core.messages.base import Characteristic
from core.provisioning.objects import ResourceCommand
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


def order(attempt: int = 0, command: str = "createSubscriber") -> Envelope[Any]:
    parameters = {"imsi": "001010000000001", "msisdn": "4912345678"}
    body = ResourceCommand(workOrder="w1", command=command,
                           parameter=tuple(Characteristic(name=n, value=v) for n, v in parameters.items()))
    return Envelope(body, "m1", "c1", datetime.fromtimestamp(0, UTC), attempt=attempt)


def driver(element: Element, clock: Clock | None = None) -> Driver:
    clock = clock or Clock()
    return Driver("hlr", Definition.load(yaml.safe_load(FILE.read_text())), element, clock, clock.seconds)


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
