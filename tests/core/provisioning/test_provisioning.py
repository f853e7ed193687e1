"""The provisioning core by what it says to elements, and by its events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core.messages.base import BusinessObject, Characteristic, RelatedParty
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Fault, Kind
from core.provisioning import objects as o
from core.provisioning.catalog import Pool, Recipe
from core.provisioning.core import build
from core.provisioning.tables import resource, service, service_order, work_order
from tests.core.bed import Bed

ANN = RelatedParty(id="C1", name="Ann")


def recipe(steps: int = 4, without_undo: tuple[int, ...] = ()) -> Recipe:
    work: list[Any] = [
        {"kind": "element", "element": "hlr", "do": {"command": f"do{n}", "parameters": {"imsi": "{IMSI}"}},
         "undo": None if n in without_undo else {"command": f"undo{n}", "parameters": {"imsi": "{IMSI}"}}}
        for n in range(1, steps + 1)]
    allocations = [{"kind": "allocate", "characteristic": "MSISDN", "pool": "msisdn"},
                   {"kind": "allocate", "characteristic": "IMSI", "pool": "imsi"}]
    return Recipe.model_validate({"id": "mobile", "name": "Mobile", "steps": [*allocations, *work]})


def pools(last: str = "4790000099") -> dict[str, Pool]:
    return {"msisdn": Pool.model_validate({"id": "msisdn", "characteristic": "MSISDN",
                                           "ranges": [{"first": "4790000000", "last": last}]}),
            "imsi": Pool.model_validate({"id": "imsi", "characteristic": "IMSI",
                                         "ranges": [{"first": "242010000000001", "last": "242010000999991", "step": 10}]})}


def done(to: str, envelope: Envelope[Any]) -> BusinessObject | None:
    return o.ResourceCommandResult(workOrder=envelope.body.workOrder, done=True) if to.startswith("connector.") else None


def bed(outside: Any = done, **arguments: Any) -> Bed:
    the_recipe = arguments.pop("the_recipe", None) or recipe()
    return Bed(build({"mobile": the_recipe}, pools(**arguments)), outside=outside)


def submit(name: str = "E1", action: str = "add", **values: str) -> o.SubmitServiceOrder:
    service_id = values.pop("service", None)
    item = o.ServiceOrderItemRequest.model_validate({
        "id": "1", "action": action, "serviceSpecification": "mobile", "service": service_id,
        "serviceCharacteristic": [Characteristic(name=n, value=v) for n, v in values.items()]})
    return o.SubmitServiceOrder(externalId=name, productOrder=f"P-{name}", relatedParty=ANN, serviceOrderItem=(item,))


def order(b: Bed, name: str = "E1") -> o.ServiceOrder:
    text = b.connection.execute(select(service_order.c.document).where(service_order.c.external_id == name)).scalar_one()
    return o.ServiceOrder.model_validate_json(text)


def commands(b: Bed) -> list[str]:
    return [body.command for to, body in b.sent if isinstance(body, o.ResourceCommand)]


def resources(b: Bed) -> dict[str, str]:
    return {r.value: r.state for r in b.connection.execute(select(resource))}


def owned(b: Bed, name: str = "E1") -> dict[str, str]:
    return {c.name: c.value for c in order(b, name).serviceOrderItem[0].serviceCharacteristic}


def test_a_service_is_made_in_the_recipes_order() -> None:
    b = bed()
    b.ask("provisioning", submit())
    assert commands(b) == ["do1", "do2", "do3", "do4"]
    assert [c.state for c in order(b).stateChange] == ["acknowledged", "inProgress", "completed"]
    assert [m.name for m in order(b).milestone] == ["allocationStarted", "endToEndTestPassed"]
    assert set(resources(b).values()) == {"inUse"}
    assert owned(b) == {"MSISDN": "4790000000", "IMSI": "242010000000001"}
    assert b.connection.execute(select(service.c.state)).scalar_one() == "active"
    states = [e.serviceOrder.state for e in b.events if isinstance(e, o.ServiceOrderStateChangeEvent)]
    assert states == ["acknowledged", "inProgress", "completed"]


@pytest.mark.parametrize(("name", "value"), [("MSISDN", "4790000007"), ("IMSI", "999990000000000")])
def test_a_value_that_is_taken_fails_the_order_and_names_it(name: str, value: str) -> None:
    b = bed()
    b.ask("provisioning", submit("E1", **{name: value}))
    before = commands(b)
    b.ask("provisioning", submit("E2", **{name: value}))
    failed = order(b, "E2")
    assert (failed.state, failed.message) == ("failed", f"{name} {value} is taken already")
    assert commands(b) == before
    assert [s for s in resources(b).values() if s not in ("inUse", "unallocated")] == []


def test_no_two_orders_get_one_number_whether_given_or_from_the_pool() -> None:
    b = bed(last="4790000009")
    b.ask("provisioning", submit("G", MSISDN="4790000003"))
    for n in range(12):  # all submitted before any is begun
        b.ask("provisioning", submit(f"E{n}"), run=False)
    b.run()
    numbers = [owned(b, f"E{n}")["MSISDN"] for n in range(12) if order(b, f"E{n}").state == "completed"]
    assert len(numbers) == len(set(numbers)) == 9
    assert "4790000003" not in numbers
    assert order(b, "E11").message == "pool msisdn has no free MSISDN left"


def test_a_released_number_is_used_again() -> None:
    b = bed(last="4790000000")
    b.ask("provisioning", submit("E1"))
    made = order(b).serviceOrderItem[0].service
    b.ask("provisioning", submit("R1", action="delete", service=made))
    assert order(b, "R1").state == "completed"
    assert commands(b)[4:] == ["undo4", "undo3", "undo2", "undo1"]
    assert b.connection.execute(select(service.c.state)).scalar_one() == "terminated"
    b.ask("provisioning", submit("E2"))
    assert owned(b, "E2")["MSISDN"] == "4790000000"


@settings(max_examples=60, deadline=None)
@given(steps=st.integers(1, 7), failing=st.integers(1, 7), without=st.sets(st.integers(1, 7)))
def test_undo_is_the_exact_reverse_of_what_completed(steps: int, failing: int, without: set[int]) -> None:
    def element(to: str, envelope: Envelope[Any]) -> BusinessObject | None:
        if envelope.body.command == f"do{failing}":
            return Fault(code=Kind.STATE, message="no such profile")
        return done(to, envelope)

    b = bed(element, the_recipe=recipe(steps, tuple(without)))
    b.ask("provisioning", submit())
    if failing > steps:
        assert order(b).state == "completed"
        return
    assert commands(b) == [f"do{n}" for n in range(1, failing + 1)] + [f"undo{n}" for n in range(failing - 1, 0, -1)
                                                                     if n not in without]
    assert (order(b).state, order(b).message) == ("failed", "no such profile")
    assert set(resources(b).values()) == {"unallocated"}


def test_an_unreachable_element_holds_the_order_until_it_answers() -> None:
    down = [True]

    def element(to: str, envelope: Envelope[Any]) -> BusinessObject | None:
        if envelope.body.command == "do2" and down[0]:
            return Fault(code=Kind.UNAVAILABLE, message="out of reach")
        return done(to, envelope)

    b = bed(element)
    b.ask("provisioning", submit())
    assert order(b).state == "held"
    b.pass_time(timedelta(seconds=31))
    assert order(b).state == "held"
    down[0] = False
    b.pass_time(timedelta(hours=1))
    assert order(b).state == "completed"
    repeated = [body.repeated for _, body in b.sent if isinstance(body, o.ResourceCommand)]
    assert repeated == [False, False, True, True, False, False]  # an element that may have acted is asked first


def test_an_undo_that_fails_holds_the_order_and_raises_the_alarm() -> None:
    def element(to: str, envelope: Envelope[Any]) -> BusinessObject | None:
        refused = envelope.body.command in ("do3", "undo2")
        return Fault(code=Kind.STATE, message=f"{envelope.body.command} refused") if refused else done(to, envelope)

    b = bed(element)
    b.ask("provisioning", submit())
    b.pass_time(timedelta(days=1))
    assert order(b).state == "held"
    assert commands(b) == ["do1", "do2", "do3", "undo2"]
    assert [e.message for e in b.events if isinstance(e, o.ServiceOrderJeopardyEvent)] == ["undo2 refused"]
    assert set(resources(b).values()) == {"allocated"}


def cancel(name: str = "E1") -> o.CancelServiceOrder:
    return o.CancelServiceOrder(productOrder=f"P-{name}", cancellationReason="changed my mind")


def test_cancelled_before_allocation_no_element_ever_hears_of_it() -> None:
    b = bed()
    b.ask("provisioning", submit(), run=False)
    assert set(resources(b).values()) == {"preOccupied"}
    task = b.ask("provisioning", cancel())
    assert task == o.CancelServiceOrderTask(productOrder="P-E1", granted=True, undoing=False)
    assert (order(b).state, commands(b), set(resources(b).values())) == ("cancelled", [], {"unallocated"})


@pytest.mark.parametrize("answer", ["done", "refused", "unknown"])
def test_cancelled_under_way_the_step_in_flight_is_awaited_then_all_is_undone(answer: str) -> None:
    def element(to: str, envelope: Envelope[Any]) -> BusinessObject | None:
        return None if envelope.body.command == "do3" else done(to, envelope)

    b = bed(element)
    b.ask("provisioning", submit())
    task = b.ask("provisioning", cancel())
    assert isinstance(task, o.CancelServiceOrderTask)
    assert (task.granted, task.undoing) == (True, True)
    assert (order(b).state, commands(b)) == ("pendingCancellation", ["do1", "do2", "do3"])
    (_, request), = b.unanswered
    reply = {"done": o.ResourceCommandResult(workOrder=request.body.workOrder, done=True),
             "refused": Fault(code=Kind.STATE, message="no"), "unknown": Fault(code=Kind.UNAVAILABLE, message="?")}[answer]
    b.reply(request, reply)
    b.reply(request, reply)  # a late duplicate
    undone = ["undo2", "undo1"] if answer == "refused" else ["undo3", "undo2", "undo1"]
    assert commands(b)[3:] == undone
    assert (order(b).state, set(resources(b).values())) == ("cancelled", {"unallocated"})
    asked_first = {body.command for _, body in b.sent if isinstance(body, o.ResourceCommand) and body.repeated}
    assert asked_first == ({"undo3"} if answer == "unknown" else set())


def test_an_unreachable_element_that_then_refuses_fails_the_order() -> None:
    answers = [Fault(code=Kind.UNAVAILABLE, message="out of reach"), Fault(code=Kind.STATE, message="never")]

    def element(to: str, envelope: Envelope[Any]) -> BusinessObject | None:
        return answers.pop(0) if envelope.body.command == "do2" else done(to, envelope)

    b = bed(element)
    b.ask("provisioning", submit())
    b.pass_time(timedelta(minutes=1))
    assert (order(b).state, order(b).message) == ("failed", "never")
    assert commands(b) == ["do1", "do2", "do2", "undo1"]


def test_a_cancelled_order_whose_undo_is_out_of_reach_is_held_and_goes_on_by_itself() -> None:
    silent, down = [True], [True]

    def element(to: str, envelope: Envelope[Any]) -> BusinessObject | None:
        if envelope.body.command == "do2" and silent[0]:
            return None
        if envelope.body.command == "undo1" and down[0]:
            return Fault(code=Kind.UNAVAILABLE, message="out of reach")
        return done(to, envelope)

    b = bed(element)
    b.ask("provisioning", submit())
    b.ask("provisioning", cancel())
    (_, request), = b.unanswered
    b.reply(request, o.ResourceCommandResult(workOrder=request.body.workOrder, done=True))
    assert order(b).state == "held"
    assert len([e for e in b.events if isinstance(e, o.ServiceOrderJeopardyEvent)]) == 1
    down[0] = False
    b.pass_time(timedelta(minutes=1))
    assert (order(b).state, commands(b)) == ("cancelled", ["do1", "do2", "undo2", "undo1", "undo1"])


def test_after_the_end_to_end_test_there_is_no_way_back() -> None:
    b = bed()
    b.ask("provisioning", submit())
    task = b.ask("provisioning", cancel())
    assert isinstance(task, o.CancelServiceOrderTask)
    assert not task.granted
    assert "point of no return" in (task.message or "")
    assert (order(b).state, len(commands(b))) == ("completed", 4)
    with pytest.raises(Failure, match="no service order"):
        b.ask("provisioning", cancel("E9"))


def test_every_message_twice_changes_nothing() -> None:
    b = bed()
    deliver = b._deliver

    def twice(to: str, envelope: Envelope[Any]) -> None:
        deliver(to, envelope)
        deliver(to, envelope)

    b._deliver = twice  # type: ignore[method-assign]
    b.ask("provisioning", submit())
    assert order(b).state == "completed"
    assert commands(b) == ["do1", "do2", "do3", "do4"]
    assert len(b.connection.execute(select(work_order)).all()) == 4


def test_what_cannot_be_made_is_rejected_in_words() -> None:
    b = bed()
    item = submit().serviceOrderItem[0].model_copy(update={"serviceSpecification": "fax"})
    answer = b.ask("provisioning", submit().model_copy(update={"serviceOrderItem": (item,)}))
    assert isinstance(answer, o.ServiceOrder)
    assert (answer.state, answer.message) == ("rejected", "item 1: no recipe fax; there are mobile")
    b.ask("provisioning", submit("D", action="delete", service="nobody"))
    assert order(b, "D").state == "rejected"


def test_a_reservation_lapses_by_itself_or_is_taken_up() -> None:
    b = bed(last="4790000000")
    ask = o.QualifyService(productOffering="mobile", reserve=True)
    held = b.ask("provisioning", ask)
    assert isinstance(held, o.ServiceQualification)
    assert held.qualificationResult == "qualified"
    number = next(c.value for c in held.serviceCharacteristic if c.name == "MSISDN")
    second = b.ask("provisioning", ask)
    assert isinstance(second, o.ServiceQualification)
    assert (second.qualificationResult, second.reason) == ("unqualified", "pool msisdn has no free MSISDN left")
    b.ask("provisioning", submit("thief", MSISDN=number))
    assert order(b, "thief").state == "failed"
    values = {c.name: c.value for c in held.serviceCharacteristic}
    b.ask("provisioning", submit("E1", RESERVATION=held.reservation or "", **values))
    assert (order(b).state, owned(b)["MSISDN"]) == ("completed", number)
    b.pass_time(timedelta(hours=1))
    assert resources(b)[number] == "inUse"


def test_a_reservation_alone_brings_its_own_values_to_the_order() -> None:
    b = bed()
    held = b.ask("provisioning", o.QualifyService(productOffering="mobile", reserve=True))
    b.ask("provisioning", o.QualifyService(productOffering="mobile", reserve=True))
    assert isinstance(held, o.ServiceQualification)
    b.ask("provisioning", submit("E1", RESERVATION=held.reservation or ""))
    assert owned(b) == {c.name: c.value for c in held.serviceCharacteristic}
    assert sorted(resources(b).values()) == ["inUse", "inUse", "preOccupied", "preOccupied"]


def test_what_of_a_reservation_the_order_does_not_want_is_free_again() -> None:
    b = bed()
    held = b.ask("provisioning", o.QualifyService(productOffering="mobile", reserve=True))
    assert isinstance(held, o.ServiceQualification)
    b.ask("provisioning", submit("E1", RESERVATION=held.reservation or "", MSISDN="4790000055"))
    assert (owned(b)["MSISDN"], resources(b)["4790000000"]) == ("4790000055", "unallocated")


@pytest.mark.parametrize("timer", [True, False])
def test_an_expired_reservation_frees_its_number_even_if_the_timer_is_late(timer: bool) -> None:
    b = bed(last="4790000000")
    held = b.ask("provisioning", o.QualifyService(productOffering="mobile", reserve=True))
    assert isinstance(held, o.ServiceQualification)
    if timer:
        b.pass_time(timedelta(minutes=31))
    else:
        b.now += timedelta(minutes=31)
    b.ask("provisioning", submit("old", RESERVATION=held.reservation or ""))
    assert "has ended" in (order(b, "old").message or "")
    b.ask("provisioning", submit("new"))
    assert order(b, "new").state == "completed"
    b.pass_time(timedelta(minutes=31))
    assert resources(b)[owned(b, "new")["MSISDN"]] == "inUse"
