"""The provisioning example: sessions in headers, managed objects, and nothing applied twice whatever the element does."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
import yaml
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from adapters.drivers import Driver, NotSent
from adapters.soap.session import HOLD_FIRST, HeaderSession
from core.messages.base import Characteristic
from core.provisioning.objects import ResourceCommand
from plugins.api import Envelope, Failure, Kind, TryAgain
from protocols.mapping import Definition
from tests.adapters.soap_foreign.bed import SITE, connector, simulated

FILE: dict[str, Any] = yaml.safe_load((SITE / "protocols/provisioning-soap.yaml").read_text())
SESSION = Definition.load(FILE).soap.session
LOGIN = {"user": "uip", "secret": "uip-secret"}

ORDER = ("createSubscriber", "setTeleservices", "setSupplementaryServices", "setDataService", "activateSubscriber",
         "deactivateSubscriber", "removeSubscriber")


def command(name: str, imsi: str = "001010000000001", attempt: int = 0) -> Envelope[Any]:
    from datetime import UTC, datetime
    parameters = {"imsi": imsi, "msisdn": "4912345678", "profile": "basic", "apn": "internet"}
    body = ResourceCommand(workOrder="w1", command=name, parameter=tuple(Characteristic(name=n, value=v) for n, v in parameters.items()))
    return Envelope(body, "m1", "c1", datetime.now(UTC), attempt=attempt)


async def until_done(driving: Driver, name: str, imsi: str) -> int:
    """How many attempts it took."""
    for attempt in range(6):
        try:
            result: Any = await driving.perform(command(name, imsi, attempt))
        except TryAgain:
            continue
        assert result.done
        return attempt + 1
    raise AssertionError("never done")


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("imsi", ["001010000000001", "00101000000555", "00101000000444", "00101000000333"])
async def test_each_command_is_applied_once_whatever_the_element_does(imsi: str) -> None:
    async with simulated(reactor, protocol={**FILE, "timeout": 0.3}) as (port, applied):
        driving = connector(reactor, {**FILE, "timeout": 0.3}, host="127.0.0.1", port=port, **LOGIN)
        for name in ORDER:
            await until_done(driving, name, imsi)
        assert [a["command"] for a in applied] == ["Create", "Set", "Set", "Set", "Set", "Set", "Delete"]
        assert driving.status()["session"] == "loggedIn"
        await driving.stop()
        assert driving.status()["session"] == "loggedOut"


@pytest_twisted.ensureDeferred
async def test_a_refusal_carries_the_elements_words() -> None:
    async with simulated(reactor, protocol=FILE) as (port, applied):
        driving = connector(reactor, FILE, host="127.0.0.1", port=port, **LOGIN)
        with pytest.raises(Failure, match="4001 The subscription is not allowed") as caught:
            await driving.perform(command("createSubscriber", "00101000000666"))
        assert caught.value.kind is Kind.STATE
        assert not applied
        await driving.stop()


@pytest_twisted.ensureDeferred
async def test_a_lost_session_is_begun_again_without_anybody_noticing() -> None:
    one = {**FILE, "simulator": {**FILE["simulator"], "sessions": 1}}
    async with simulated(reactor, protocol=one) as (port, applied):
        first = connector(reactor, FILE, host="127.0.0.1", port=port, **LOGIN)
        second = connector(reactor, FILE, host="127.0.0.1", port=port, **LOGIN)
        await first.perform(command("createSubscriber"))
        await second.perform(command("setTeleservices"))  # takes the only place
        await first.perform(command("setSupplementaryServices"))
        await second.perform(command("setDataService"))
        assert len(applied) == 4
        await first.stop()
        await second.stop()


@pytest_twisted.ensureDeferred
async def test_a_refused_login_sends_nothing_and_is_not_tried_again_at_once() -> None:
    async with simulated(reactor, protocol=FILE) as (port, applied):
        driving = connector(reactor, FILE, host="127.0.0.1", port=port, user="uip", secret="wrong")
        client: Any = driving._client
        with pytest.raises(NotSent, match="login was refused: 1102"):
            await client.request({"command": "Get", "fields": {}})
        with pytest.raises(NotSent, match="tried again in 5 seconds"):
            await client.request({"command": "Get", "fields": {}})
        assert driving.status()["session"] == "refused"
        assert not applied
        await driving.stop()


class Element:
    """Answers logins when it is told to."""

    def __init__(self) -> None:
        self.logins: list[Deferred[Any]] = []

    async def ask(self, command: str, fields: Any, headers: Any) -> Any:
        assert command == "Login"
        assert fields == {"userId": "u", "pwd": "p"}
        self.logins.append(Deferred())
        return await self.logins[-1]

    def answer(self, code: str = "0", **fields: Any) -> None:
        self.logins[-1].callback({"retcode": code, "description": "", "fields": fields})


def keeper(element: Element, clock: Clock) -> HeaderSession:
    assert SESSION is not None
    return HeaderSession(SESSION, "u", "p", element.ask, lambda reply: reply["retcode"] == "0", clock, 5)


@pytest_twisted.ensureDeferred
async def test_many_requests_share_one_login_and_count_on() -> None:
    element, clock = Element(), Clock()
    session = keeper(element, clock)
    asked = [Deferred.fromCoroutine(session.headers()) for _ in range(3)]
    asked[0].addErrback(lambda failure: failure.trap(NotSent))
    asked[0].cancel()  # who no longer waits does not stop the login for the others
    assert len(element.logins) == 1
    element.answer(sessionId="s1", baseSequenceId=7)
    shown = [headers for _, headers in await gatherResults(asked[1:])]
    assert shown == [{"SessionId": "s1", "SequenceId": "7"}, {"SessionId": "s1", "SequenceId": "8"}]


@pytest_twisted.ensureDeferred
async def test_pauses_after_refused_logins_grow() -> None:
    element, clock = Element(), Clock()
    session = keeper(element, clock)
    for refused in range(3):
        asked = Deferred.fromCoroutine(session.headers())
        element.answer("1102")
        with pytest.raises(NotSent):
            await asked
        assert len(element.logins) == refused + 1
        clock.advance(HOLD_FIRST * 2**refused - 0.1)
        with pytest.raises(NotSent, match="tried again"):
            await session.headers()
        clock.advance(0.2)
    asked = Deferred.fromCoroutine(session.headers())
    element.answer(sessionId="s1", baseSequenceId=1)
    assert (await asked)[1]["SessionId"] == "s1"


@pytest_twisted.ensureDeferred
async def test_only_the_session_that_was_shown_can_be_lost() -> None:
    element, clock = Element(), Clock()
    session = keeper(element, clock)
    asked = Deferred.fromCoroutine(session.headers())
    element.answer(sessionId="s1", baseSequenceId=1)
    which, _ = await asked
    session.lost(which)
    asked = Deferred.fromCoroutine(session.headers())
    element.answer(sessionId="s2", baseSequenceId=1)
    await asked
    session.lost(which)  # a late answer to a request of the first session
    assert session.state == "loggedIn"
    assert len(element.logins) == 2


@pytest_twisted.ensureDeferred
async def test_a_login_that_is_never_answered_is_given_up_and_tried_again() -> None:
    element, clock = Element(), Clock()
    session = keeper(element, clock)
    asked = [Deferred.fromCoroutine(session.headers()) for _ in range(2)]
    clock.advance(6)
    for waiting in asked:
        with pytest.raises(NotSent, match="not answered in time"):
            await waiting
    again = Deferred.fromCoroutine(session.headers())
    assert len(element.logins) == 2
    element.answer(sessionId="s1", baseSequenceId=1)
    assert (await again)[1]["SessionId"] == "s1"
