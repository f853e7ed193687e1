"""Whatever overtakes, is repeated or dies on the way, an order ends as it would have without."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.billing.tables import charge
from core.credit.objects import BureauVerdict
from core.credit.tables import credit_profile
from core.messages.failures import Failure
from core.orders.objects import CancelProductOrder
from core.orders.tables import product
from core.provisioning.tables import resource, service
from core.states import TRANSITIONS
from tests.core.chaos import Chaos

seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate],
                 suppress_health_check=[HealthCheck.too_slow])
OFFERINGS = ["mobile-basic", "mobile-plus"]


def end_state(chaos: Chaos, orders: list[str]) -> dict[str, Any]:
    """What must not depend on luck: no ids, no times, and not which of two orders got which number of the pool."""
    read = [chaos.order(order) for order in orders]
    return {
        # A failure has the element's word; which bureau was in time to decide on credit is luck.
        "orders": [(o.state, o.stateChange[-1].reason if o.state == "failed" else None, [m.name for m in o.milestone],
                    [i.state for i in o.productOrderItem]) for o in read],
        "element": sorted(sorted((k, v) for k, v in s.items() if k != "msisdn") for s in chaos.element.subscribers.values()),
        "created": sorted(n for (command, _), n in chaos.element.applied.items() if command == "createSubscriber"),
        "resources": sorted((r.characteristic, r.state) for r in chaos.rows(resource) if r.state != "unallocated"),
        "services": sorted((s.specification, s.state) for s in chaos.rows(service)),
        "products": sorted((p.product_offering, p.quantity, p.status) for p in chaos.rows(product)),
        "charges": sorted((c.account, c.name, c.net, c.tax, c.tax_rate) for c in chaos.rows(charge)),
        "exposure": sorted((p.party, p.exposure) for p in chaos.rows(credit_profile)),
    }


def world(seed: int, trouble: float, plan: list[tuple[str, int, str]], refuses: str | None,
          verdict: BureauVerdict) -> tuple[Chaos, list[str]]:
    chaos = Chaos(seed, trouble)
    chaos.bureaus.verdict = verdict
    # A bureau that would have refused, asked too late, is one that did not refuse: that is what degraded mode means.
    chaos.time_flies = verdict is BureauVerdict.ACCEPT
    chaos.element.refuses = {refuses} if refuses else set()
    return chaos, [chaos.submit(run=False, externalId=f"E{n}", relatedParty={"id": party, "name": "Ann"},
                                productOrderItem=[{"productOffering": offering, "quantity": quantity}]).id
                   for n, (offering, quantity, party) in enumerate(plan)]


plans = st.lists(st.tuples(st.sampled_from(OFFERINGS), st.integers(1, 2), st.sampled_from(["C1", "C2"])), min_size=1, max_size=3)
refusals = st.sampled_from([None, None, "createSubscriber", "setTeleservices", "activateSubscriber"])


@quick
@given(seed=seeds, plan=plans, refuses=refusals, verdict=st.sampled_from(BureauVerdict))
def test_bad_luck_changes_nothing_about_the_end(seed, plan, refuses, verdict):
    calm, calm_orders = world(seed, 0.0, plan, refuses, verdict)
    calm.run_out()
    chaos, orders = world(seed, 0.25, plan, refuses, verdict)
    while chaos.step():
        chaos.check_conservation()
    assert end_state(chaos, orders) == end_state(calm, calm_orders)
    for c in (calm, chaos):
        c.check_quiet()


@quick
@given(seed=seeds, trouble=st.sampled_from([0.0, 0.2]), offering=st.sampled_from(OFFERINGS), refuses=refusals,
       cancel_after=st.integers(0, 80))
def test_a_cancellation_at_any_moment_leaves_all_or_nothing(seed, trouble, offering, refuses, cancel_after):
    chaos, (order,) = world(seed, trouble, [(offering, 1, "C1")], refuses, BureauVerdict.ACCEPT)
    answer = None
    steps = 0
    while chaos.step() or steps <= cancel_after:
        steps += 1
        if steps == cancel_after:
            with suppress(Failure):
                chaos.ask("orders", CancelProductOrder(id=order, cancellationReason="changed my mind"), run=False)
                request = next(e for e in reversed(chaos._requests.values()) if e.type == "CancelProductOrder")
                answer = request.message_id
        chaos.check_conservation()
    chaos.check_quiet()
    done = chaos.order(order)
    history = [c.state for c in done.stateChange]
    assert all(after in TRANSITIONS[before] for before, after in pairwise(history))
    if answer is not None:
        task = chaos.answers[answer]  # it has been answered
        assert getattr(task, "state", None) == "done"
        assert task.granted == (done.state == "cancelled")
    active = [s for s in chaos.rows(service) if s.state == "active"]
    money = sum((c.net for c in chaos.rows(charge)), Decimal(0))
    at_risk = sum((p.exposure for p in chaos.rows(credit_profile)), Decimal(0))
    if done.state == "completed":
        assert (len(active), money > 0, at_risk > 0) == (1, True, True)
    else:
        assert done.state in {"cancelled", "failed"}
        assert (len(active), money, at_risk, chaos.element.subscribers) == (0, 0, 0, {})


@quick
@given(seed=seeds)
def test_what_was_ordered_can_be_ordered_away_and_nothing_remains(seed):
    chaos, (order,) = world(seed, 0.2, [("mobile-basic", 2, "C1")], None, BureauVerdict.ACCEPT)
    chaos.run_out()
    made = chaos.order(order).productOrderItem[0].product
    removal = chaos.submit(run=False, externalId="R", productOrderItem=[{
        "productOffering": "mobile-basic", "action": "delete", "productCharacteristic": [{"name": "PRODUCT", "value": made}]}])
    chaos.run_out()
    assert chaos.order(removal.id).state == "completed"
    chaos.check_conservation()
    chaos.check_quiet()
    assert chaos.element.subscribers == {}
    assert {r.state for r in chaos.rows(resource)} == {"unallocated"}
    assert sum((p.exposure for p in chaos.rows(credit_profile)), Decimal(0)) == 0
