from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from core.bus import TryAgain
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Fault, Kind
from core.provisioning.objects import ResourceCommand, ResourceCommandResult
from gateway.outbound import receiver_for

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
COMMAND = Envelope(ResourceCommand(workOrder="WO1", command="createSubscriber"), "M1", "C1", NOW, reply_to="provisioning", key="SO1")


class Element:
    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    async def perform(self, envelope: Envelope[Any]) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Bus:
    def __init__(self) -> None:
        self.sent: list[tuple[str, Envelope[Any]]] = []

    async def send(self, to: str, envelope: Envelope[Any]) -> None:
        self.sent.append((to, envelope))


def receive(outcome: Any) -> tuple[Bus, list[Any]]:
    bus, failures = Bus(), []
    Deferred.fromCoroutine(receiver_for(Element(outcome).perform, bus, lambda: NOW)(COMMAND)).addErrback(
        lambda failure: failures.append(failure.value))
    return bus, failures


def test_the_outcome_goes_to_the_core_that_asked_under_an_id_that_repeats():
    first, _ = receive(ResourceCommandResult(workOrder="WO1", done=True))
    again, _ = receive(ResourceCommandResult(workOrder="WO1", done=True))
    (to, answer), = first.sent
    assert (to, answer.causation_id, answer.correlation_id, answer.key) == ("provisioning", "M1", "C1", "SO1")
    assert answer.message_id == again.sent[0][1].message_id != COMMAND.message_id


def test_a_refusal_for_good_becomes_a_fault_for_the_core():
    bus, failures = receive(Failure(Kind.STATE, "ERR4007: subscriber barred"))
    assert not failures
    assert bus.sent[0][1].body == Fault(code=Kind.STATE, message="ERR4007: subscriber barred", correlationId="C1")


@pytest.mark.parametrize("error", [TryAgain("busy"), OSError("gone")])
def test_what_may_be_tried_again_is_not_counted_as_taken(error):
    bus, failures = receive(error)
    assert failures == [error]
    assert bus.sent == []
