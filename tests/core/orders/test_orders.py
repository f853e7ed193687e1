from __future__ import annotations

import json
from collections import deque
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core.billing.objects import BillOnDemand, StartProductBilling
from core.credit.objects import BureauVerdict
from core.credit.tables import credit_profile
from core.messages.failures import Failure, Fault, Kind
from core.orders.objects import CancelProductOrder, GetProductOrder, ProductOrder, ProductOrderStateChangeEvent
from core.orders.tables import product as product_table
from core.provisioning.objects import SubmitServiceOrder
from core.provisioning.tables import resource, service
from core.states import TRANSITIONS
from tests.core.whole import Whole


@pytest.fixture
def whole() -> Whole:
    return Whole()


def states(order: ProductOrder) -> list[str]:
    return [change.state for change in order.stateChange]


def exposure(whole: Whole, party: str = "C1") -> Decimal:
    return whole.connection.execute(select(credit_profile.c.exposure).where(credit_profile.c.party == party)).scalar_one()


def products(whole: Whole) -> dict[str, str]:
    return {row.id: row.status for row in whole.connection.execute(select(product_table))}


def inventory(whole: Whole) -> list[Any]:
    return [whole.connection.execute(select(table)).all() for table in (resource, service)]


def cancel(whole: Whole, order: ProductOrder, *, run: bool = True) -> Any:
    return whole.ask("orders", CancelProductOrder(id=order.id, cancellationReason="changed my mind"), run=run)


def test_an_order_travels_the_whole_way(whole):
    accepted = whole.submit()
    assert accepted.state == "acknowledged"
    done = whole.read(accepted)
    assert states(done) == ["acknowledged", "inProgress", "completed"]
    assert done.completionDate == whole.now
    assert [m.name for m in done.milestone] == ["creditApproved", "serviceOrderIssued", "serviceActivated", "billingStarted"]
    item, = done.productOrderItem
    assert item.state == "completed"
    assert item.serviceOrder
    assert item.product
    assert [c.command for c in whole.world.commands] == [
        "createSubscriber", "setTeleservices", "setSupplementaryServices", "activateSubscriber"]
    bill = whole.ask("billing", BillOnDemand(account="ACC-C1"))
    assert [c.name for c in bill.appliedCharge]


def test_every_change_of_state_is_told(whole):
    order = whole.submit()
    told = [e.productOrder.state for e in whole.events if isinstance(e, ProductOrderStateChangeEvent) and e.productOrder.id == order.id]
    assert told == ["inProgress", "completed"]


def test_a_refused_party_s_order_is_rejected_and_touches_nothing(whole):
    whole.world.verdict = BureauVerdict.REFUSE
    done = whole.read(whole.submit())
    assert states(done) == ["acknowledged", "rejected"]
    assert "refused" in done.stateChange[-1].reason
    assert not whole.world.commands
    assert {to for to, _ in whole.sent} == {"orders", "credit", "connector.credit-bureau-soap"}


def test_a_referred_order_waits_for_a_person(whole):
    whole.world.verdict = BureauVerdict.REFER
    assert whole.read(whole.submit()).state == "pending"


def test_an_order_for_later_starts_by_itself(whole):
    order = whole.submit(requestedStartDate=whole.now + timedelta(days=2))
    assert whole.sent == []
    whole.pass_time(timedelta(days=1))
    assert whole.read(order).state == "acknowledged"
    whole.pass_time(timedelta(days=1))
    assert whole.read(order).state == "completed"


def test_what_the_element_refuses_for_good_fails_the_order_and_is_undone(whole):
    whole.world.refuses = {"activateSubscriber"}
    done = whole.read(whole.submit())
    assert done.state == "failed"
    assert "ERR4007" in done.stateChange[-1].reason
    assert [c.command for c in whole.world.commands][-1] == "removeSubscriber"
    with pytest.raises(Failure):
        whole.ask("billing", BillOnDemand(account="ACC-C1"))


@pytest.mark.parametrize(("changes", "field"), [
    ({"productOrderItem": [{"productOffering": "mobile-basik"}]}, "productOrderItem[0].productOffering"),
    ({"productOrderItem": [{"productOffering": "mobile-basic", "action": "modify"}]}, "productOrderItem[0].action"),
    ({"productOrderItem": [{"productOffering": "mobile-basic", "action": "delete"}]}, "productOrderItem[0].productCharacteristic"),
    ({"productOrderItem": [{"productOffering": "mobile-basic"}, {"productOffering": "mobile-plus"}]}, "productOrderItem"),
])
def test_what_cannot_be_ordered_is_refused_by_field(whole, changes, field):
    with pytest.raises(Failure) as refused:
        whole.submit(**changes)
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, field)


def test_a_misspelt_offering_gets_the_nearest_name(whole):
    with pytest.raises(Failure, match=r"did you mean mobile-basic\?"):
        whole.submit(productOrderItem=[{"productOffering": "mobile-basik"}])


def test_a_quantity_becomes_as_many_services_and_one_product(whole):
    done = whole.read(whole.submit(productOrderItem=[{"productOffering": "mobile-basic", "quantity": 3}]))
    assert done.state == "completed"
    assert len(whole.world.commands) == 12
    started, = [body for _, body in whole.sent if isinstance(body, StartProductBilling)]
    assert started.quantity == 3


def test_a_product_is_removed_by_an_order_of_its_own(whole):
    product = whole.read(whole.submit()).productOrderItem[0].product
    removal = {"productOffering": "mobile-basic", "action": "delete", "productCharacteristic": [{"name": "PRODUCT", "value": product}]}
    done = whole.read(whole.submit(externalId="E2", productOrderItem=[removal]))
    assert done.state == "completed"
    assert whole.world.commands[-1].command == "removeSubscriber"
    with pytest.raises(Failure) as refused:
        whole.submit(externalId="E3", productOrderItem=[removal])
    assert refused.value.kind is Kind.STATE


def removal(product: str) -> dict[str, Any]:
    return {"productOffering": "mobile-basic", "action": "delete", "productCharacteristic": [{"name": "PRODUCT", "value": product}]}


def test_a_removal_asks_no_bureau_and_gives_back_the_credit(whole):
    product = whole.read(whole.submit(productOrderItem=[{"productOffering": "mobile-basic", "quantity": 2}])).productOrderItem[0].product
    assert exposure(whole) == Decimal("80.00")
    whole.world.verdict = BureauVerdict.REFUSE
    done = whole.read(whole.submit(productOrderItem=[removal(product)]))
    assert states(done) == ["acknowledged", "inProgress", "completed"]
    assert len(whole.world.queries) == 1
    assert exposure(whole) == 0
    assert products(whole) == {product: "terminated"}


def test_of_two_removals_of_one_product_the_second_is_refused(whole):
    product = whole.read(whole.submit()).productOrderItem[0].product
    whole.submit(productOrderItem=[removal(product)], run=False)
    with pytest.raises(Failure, match="is pendingTerminate"):
        whole.submit(productOrderItem=[removal(product)], run=False)


@pytest.mark.parametrize("issued", [False, True])
def test_a_removal_that_is_cancelled_before_it_begins_leaves_everything_as_it_was(whole, issued):
    product = whole.read(whole.submit()).productOrderItem[0].product
    before = inventory(whole)
    order = whole.submit(productOrderItem=[removal(product)], run=False)
    while issued and not any(e.type == "ContinueServiceOrder" for _, e in whole.queue):
        whole._deliver(*whole.queue.popleft())
    later, whole.queue = whole.queue, deque()  # the cancellation overtakes the message that would begin the removal
    assert cancel(whole, order).granted
    whole.queue.extend(later)
    whole.run()
    assert whole.read(order).state == "cancelled"
    assert inventory(whole) == before
    assert products(whole) == {product: "active"}


def test_what_an_order_put_at_risk_is_free_again_when_it_fails(whole):
    whole.world.refuses = {"activateSubscriber"}
    whole.submit()
    assert exposure(whole) == 0


def test_an_approval_that_comes_after_the_cancellation_commits_nothing(whole):
    whole.world.silent = {"connector.credit-bureau-soap"}
    order = whole.submit()
    assert cancel(whole, order).granted
    to, query = whole.unanswered.pop()
    whole.world.silent = set()
    whole.reply(query, whole.world(to, query))
    assert whole.read(order).state == "cancelled"
    assert exposure(whole) == 0


def test_an_order_that_no_bureau_could_judge_goes_on_by_itself_when_one_can(whole):
    whole.world.down = {"connector.credit-bureau-soap", "connector.credit-bureau-mml"}
    order = whole.submit(productOrderItem=[{"productOffering": "mobile-plus"}])
    assert whole.read(order).state == "pending"
    whole.pass_time(timedelta(seconds=31))
    assert whole.read(order).state == "pending"
    whole.world.down = set()
    whole.pass_time(timedelta(seconds=31))
    assert whole.read(order).state == "completed"


def test_items_may_have_any_ids_and_quantities(whole):
    items = [{"id": "1", "productOffering": "mobile-basic", "quantity": 2}, {"id": "1.2", "productOffering": "mobile-plus"},
             {"id": "x" * 64, "productOffering": "mobile-basic", "quantity": 3}]
    done = whole.read(whole.submit(productOrderItem=items))
    assert done.state == "completed"
    made = {row.id: json.loads(row.services) for row in whole.connection.execute(select(product_table))}
    assert [len(made[item.product]) for item in done.productOrderItem] == [2, 1, 3]
    assert len({service for services in made.values() for service in services}) == 6


def test_a_step_that_cannot_be_undone_is_shown_on_the_order(whole):
    whole.world.refuses = {"activateSubscriber", "removeSubscriber"}
    done = whole.read(whole.submit())
    assert done.state == "held"
    assert ["refused" in alert.message for alert in done.jeopardyAlert] == [True]


def test_a_cancellation_that_meets_a_failed_service_order_is_denied_and_the_order_fails(whole):
    """The news of the failure may come after the assessment: it has a key of its own, so no order between the two is promised."""
    whole.world.refuses = {"createSubscriber"}
    order = whole.submit(run=False)
    held_back = deque()
    while whole.queue:
        to, envelope = whole.queue.popleft()
        news = getattr(getattr(envelope.body, "serviceOrder", None), "state", None)
        if news == "failed":
            held_back.append((to, envelope))
        else:
            whole._deliver(to, envelope)
    assert cancel(whole, order).granted is False
    whole.queue = held_back
    whole.run()
    assert whole.read(order).state == "failed"


def test_words_from_outside_are_cut_to_what_an_order_can_hold(whole):
    order = whole.submit(run=False)
    fault = Fault(code=Kind.INTERNAL, message="x" * 512)
    start = next(e for _, e in whole.queue if e.type == "StartProductOrder")
    envelope = replace(whole._envelope(fault, causation=start), key=order.id)
    whole.queue.clear()
    whole._deliver("orders", envelope)
    done = whole.read(order)
    assert (done.state, len(done.stateChange[-1].reason)) == ("pending", 512)


def test_an_order_is_read_by_either_name_and_only_by_its_own_party(whole):
    order = whole.submit(run=False)
    assert whole.ask("orders", GetProductOrder(externalId="E1"), run=False).id == order.id
    for asked in (GetProductOrder(), GetProductOrder(id=order.id, externalId="E1")):
        with pytest.raises(Failure) as refused:
            whole.ask("orders", asked)
        assert refused.value.kind is Kind.INVALID
    with pytest.raises(Failure) as refused:
        whole.ask("orders", GetProductOrder(id=order.id), party="shop")
    assert refused.value.kind is Kind.NOT_FOUND


def test_the_newest_of_one_external_id_is_read(whole):
    whole.submit()
    second = whole.submit()
    assert whole.ask("orders", GetProductOrder(externalId="E1")).id == second.id


def test_before_a_service_order_a_cancellation_is_granted_at_once(whole):
    order = whole.submit(requestedStartDate=whole.now + timedelta(days=2))
    task = cancel(whole, order)
    assert (task.state, task.granted) == ("done", True)
    assert whole.read(order).state == "cancelled"
    whole.pass_time(timedelta(days=3))
    assert whole.read(order).state == "cancelled"
    assert not whole.world.queries


def test_a_credit_decision_after_the_cancellation_changes_nothing(whole):
    whole.world.silent = {"connector.credit-bureau-soap", "connector.credit-bureau-mml"}
    order = whole.submit()
    assert cancel(whole, order).granted
    whole.pass_time(timedelta(seconds=30))
    assert whole.read(order).state == "cancelled"


def test_in_the_middle_a_cancellation_is_granted_and_undone(whole):
    whole.world.silent = {"connector.hlr"}
    order = whole.submit()
    assert whole.read(order).state == "inProgress"
    task = cancel(whole, order)
    assert (task.state, task.granted) == ("done", True)
    assert whole.read(order).state == "pendingCancellation"
    whole.world.silent = set()
    to, waiting = whole.unanswered.pop()
    whole.reply(waiting, whole.world(to, waiting))
    done = whole.read(order)
    assert done.state == "cancelled"
    assert states(done)[-3:] == ["assessingCancellation", "pendingCancellation", "cancelled"]
    assert [c.command for c in whole.world.commands] == ["createSubscriber", "removeSubscriber"]


def test_a_completed_order_s_cancellation_is_denied(whole):
    order = whole.submit()
    task = cancel(whole, order)
    assert (task.state, task.granted) == ("done", False)
    assert task.message
    assert whole.read(order).state == "completed"


def test_between_activation_and_billing_a_cancellation_is_denied_and_the_order_still_completes(whole):
    order = whole.submit(run=False)
    while not any(isinstance(e.body, StartProductBilling) for _, e in whole.queue):
        whole._deliver(*whole.queue.popleft())
    task = cancel(whole, order, run=False)
    assert (task.state, task.granted) == ("done", False)
    whole.run()
    assert states(whole.read(order)) == ["acknowledged", "inProgress", "completed"]


def test_what_ended_otherwise_cannot_be_cancelled(whole):
    whole.world.verdict = BureauVerdict.REFUSE
    with pytest.raises(Failure) as refused:
        cancel(whole, whole.submit())
    assert refused.value.kind is Kind.STATE
    with pytest.raises(Failure) as refused:
        whole.ask("orders", CancelProductOrder(id="nope", cancellationReason="r"))
    assert refused.value.kind is Kind.NOT_FOUND


def test_when_no_bureau_answers_the_decision_is_degraded_and_the_order_goes_on(whole):
    whole.world.down = {"connector.credit-bureau-soap", "connector.credit-bureau-mml"}
    assert whole.read(whole.submit()).state == "completed"
    assert whole.world.queries == ["connector.credit-bureau-soap", "connector.credit-bureau-mml"]


@settings(max_examples=50, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_however_messages_overtake_each_other_the_table_holds_and_nothing_is_done_twice(data):
    whole = Whole()
    order = whole.submit(run=False)
    if data.draw(st.booleans()):
        whole.world.refuses = {data.draw(st.sampled_from(["createSubscriber", "setTeleservices", "activateSubscriber"]))}
    cancel_after = data.draw(st.integers(0, 40))
    steps = 0
    while whole.queue and steps < 300:
        steps += 1
        if steps == cancel_after:
            with suppress(Failure):
                cancel(whole, order, run=False)
        to, envelope = whole.queue.popleft()
        # Order is promised per address and key; anything else may overtake.
        alone = not any(t == to and e.key == envelope.key for t, e in whole.queue)
        if alone and steps < 200 and data.draw(st.booleans()):
            whole.queue.append((to, envelope))
            continue
        whole._deliver(to, envelope)
    final = whole.read(order)
    for before, after in zip(states(final), states(final)[1:], strict=False):
        assert after in TRANSITIONS[before]
    assert final.state in {"completed", "failed", "cancelled"}
    assert sum(isinstance(body, SubmitServiceOrder) for _, body in whole.sent) <= 1
    assert sum(isinstance(body, StartProductBilling) for _, body in whole.sent) == (final.state == "completed")
