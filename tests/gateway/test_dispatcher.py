from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import structlog
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock

from core.bus import InProcessBus, NoSuchAddress
from core.messages.base import BusinessObject
from core.messages.catalogue import OPERATIONS, Catalogue
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.orders.objects import CancelProductOrder, GetProductOrder
from gateway.admission import Admission
from gateway.dispatcher import Dispatcher
from gateway.observability import Observer
from plugins.api import Context, Session

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
GET = GetProductOrder(id="PO1")
PLAIN = Context()


class Reply(BusinessObject):
    text: str = "done"


class Core:
    """A bus with one receiver whose answers the test gives."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Envelope[Any]]] = []
        self.answers: list[Deferred[BusinessObject]] = []
        self.raises: Exception | None = None

    def call(self, to: str, envelope: Envelope[Any]) -> Deferred[BusinessObject]:
        self.asked.append((to, envelope))
        if self.raises:
            return fail(self.raises)
        work: Deferred[BusinessObject] = Deferred()
        self.answers.append(work)
        waiting: Deferred[BusinessObject] = Deferred()  # as every bus: to cancel the waiting is not to cancel the work
        work.addBoth(lambda outcome: None if waiting.called else waiting.callback(outcome))
        return waiting


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.core = Core()
        self.admission = Admission(self.clock, max_in_flight=3, rates={})
        self.observer = Observer(structlog.get_logger(), self.clock)
        self.at_hand: dict[str, Any] = {}
        numbers = count()
        self.dispatcher = Dispatcher(
            reactor=self.clock, bus=self.core, at_hand=self.at_hand, catalogue=Catalogue(["GetProductOrder", "CancelProductOrder"]),
            admission=self.admission, observer=self.observer,
            allowed={"crm": frozenset("*"), "reader": frozenset({"GetProductOrder"})}, default_deadline=5,
            utcnow=lambda: NOW + timedelta(seconds=self.clock.seconds()), new_id=lambda: f"N{next(numbers)}")
        self.session = Session("S1", "mml", "peer", lambda reason: None, 0, 0, party="crm")

    def ask(self, request: BusinessObject = GET, context: Context = PLAIN) -> Deferred[BusinessObject]:
        return Deferred.fromCoroutine(self.dispatcher.dispatch(self.session, request, context))

    def outcome(self, operation: str, outcome: str) -> float | None:
        return self.observer.registry.get_sample_value(
            "uip_requests_total", {"protocol": "mml", "operation": operation, "outcome": outcome})


@pytest.fixture
def world() -> World:
    return World()


def failure_of(asked: Deferred[BusinessObject]) -> Failure:
    caught: list[Any] = []
    asked.addErrback(caught.append)
    assert caught, "no failure yet"
    assert isinstance(caught[0].value, Failure), caught[0]
    return caught[0].value


def result_of(asked: Deferred[BusinessObject]) -> Any:
    got: list[Any] = []
    asked.addCallback(got.append)
    return got[0] if got else None


def test_a_request_reaches_its_core_and_the_reply_comes_back(world):
    asked = world.ask(context=Context(correlation_id="C9"))
    to, envelope = world.core.asked[0]
    assert (to, envelope.party, envelope.session, envelope.correlation_id) == ("orders", "crm", "S1", "C9")
    assert (world.session.in_flight, world.admission.in_flight) == (1, 1)
    world.core.answers[0].callback(Reply())
    assert result_of(asked) == Reply()
    assert (world.session.in_flight, world.admission.in_flight) == (0, 0)
    assert world.outcome("GetProductOrder", "ok") == 1
    assert not world.clock.getDelayedCalls()


def test_a_request_that_names_no_correlation_is_the_first_of_its_own(world):
    world.ask()
    [(_, envelope)] = world.core.asked
    assert envelope.correlation_id == envelope.message_id


def test_a_key_is_for_what_changes_something_and_never_for_a_query(world):
    world.ask(CancelProductOrder(id="PO1", cancellationReason="r"), Context(idempotency_key="K"))
    world.ask(GET, Context(idempotency_key="K"))
    assert [e.idempotency_key for _, e in world.core.asked] == ["K", None]


def test_who_has_not_logged_in_gets_nowhere(world):
    world.session.party = None
    assert failure_of(world.ask()).kind is Kind.AUTHENTICATION
    assert world.core.asked == []


def test_what_a_party_may_not_call_is_refused_with_a_correlation_id(world):
    world.session.party = "reader"
    refused = failure_of(world.ask(CancelProductOrder(id="PO1", cancellationReason="r")))
    assert refused.kind is Kind.AUTHORIZATION
    assert refused.fault().correlationId == refused.correlation_id is not None
    world.ask()
    assert len(world.core.asked) == 1
    assert world.outcome("CancelProductOrder", "authorization") == 1


def test_an_operation_that_is_not_offered_is_unknown(world):
    unknown = next(o for o in OPERATIONS if o.name not in world.dispatcher._catalogue.operations)
    assert failure_of(world.ask(unknown.request.model_construct())).kind is Kind.UNKNOWN_OPERATION


def test_the_core_s_refusal_comes_back_and_leaves_nothing_in_flight(world):
    asked = world.ask()
    world.core.answers[0].errback(Failure(Kind.NOT_FOUND, "no such order"))
    assert failure_of(asked).kind is Kind.NOT_FOUND
    assert world.admission.in_flight == 0


def test_after_the_default_deadline_the_asker_is_told_and_the_work_goes_on(world):
    asked = world.ask()
    world.clock.advance(5)
    assert failure_of(asked).kind is Kind.TIMEOUT
    assert world.admission.in_flight == 0
    assert not world.core.answers[0].called
    world.core.answers[0].callback(Reply())


def test_a_failure_after_the_deadline_is_logged_not_lost(caplog):
    bus = InProcessBus(Deferred)
    work: Deferred[BusinessObject] = Deferred()

    async def receive(_envelope):
        return await work

    bus.receive("orders", receive)
    Deferred.fromCoroutine(bus.start())
    waiting = bus.call("orders", Envelope(body=GET, message_id="M1", correlation_id="M1", occurred_at=NOW))
    waiting.addErrback(lambda failure: failure.trap(CancelledError))
    waiting.cancel()
    work.errback(Failure(Kind.INTERNAL, "the cause"))
    assert "M1 failed after its asker had stopped waiting" in caplog.text
    assert "the cause" in caplog.text


def test_the_asker_s_own_deadline_holds(world):
    asked = world.ask(context=Context(deadline=NOW + timedelta(seconds=1)))
    assert world.core.asked[0][1].deadline == NOW + timedelta(seconds=1)
    world.clock.advance(1)
    assert failure_of(asked).kind is Kind.TIMEOUT


def test_a_request_whose_deadline_has_passed_is_not_begun(world):
    assert failure_of(world.ask(context=Context(deadline=NOW))).kind is Kind.TIMEOUT
    assert world.core.asked == []


def test_an_asker_that_goes_away_cancels_its_waiting_only(world):
    asked = world.ask()
    gone = []
    asked.addErrback(gone.append)
    asked.cancel()
    assert gone[0].check(CancelledError)
    assert world.admission.in_flight == 0
    assert not world.core.answers[0].called
    world.core.answers[0].callback(Reply())


def test_over_the_bound_is_busy_at_once(world):
    for _ in range(3):
        world.ask()
    assert failure_of(world.ask()).kind is Kind.BUSY
    assert len(world.core.asked) == 3


def test_a_core_that_is_not_there_is_unavailable(world):
    world.core.raises = NoSuchAddress("orders")
    assert failure_of(world.ask()).kind is Kind.UNAVAILABLE
    assert world.admission.in_flight == 0


def test_a_refusal_before_dispatch_is_counted_once_under_no_name_a_peer_made_up(world):
    failure = Failure(Kind.MALFORMED, "not XML")
    world.dispatcher.refused(failure, "mml")
    world.dispatcher.refused(failure, "mml")
    assert failure.correlation_id == "N0"
    assert world.outcome("", "malformed") == 1


def test_a_refusal_before_dispatch_keeps_the_asker_s_correlation_id(world):
    failure = Failure(Kind.INVALID, "no")
    world.dispatcher.refused(failure, "mml", world.session, Context(correlation_id="C9"))
    assert failure.correlation_id == "C9"


def test_what_dispatch_has_refused_is_not_counted_again(world):
    failure = failure_of(world.ask(GetProductOrder(id="PO1"), Context(deadline=NOW)))
    world.dispatcher.refused(failure, "mml", world.session)
    assert world.outcome("GetProductOrder", "timeout") == 1
    assert world.outcome("", "timeout") is None


def test_an_operation_at_hand_is_answered_here_and_the_others_of_its_core_are_not(world: World) -> None:
    async def here(envelope: Envelope[Any]) -> BusinessObject:
        return envelope.body

    world.at_hand["GetProductOrder"] = here
    answered: list[Any] = []
    world.ask().addCallback(answered.append)
    assert answered == [GET]
    assert world.core.asked == []
    world.ask(CancelProductOrder(id="O1", cancellationReason="none")).addErrback(lambda _: None)
    assert len(world.core.asked) == 1
