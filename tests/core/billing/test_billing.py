"""The billing core: what a product costs, once, and what the bill says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core.billing import objects as o
from core.billing.catalog import Tariff
from core.billing.core import build
from core.billing.tables import charge, usage
from core.messages.base import RelatedParty
from core.messages.failures import Failure
from tests.core.bed import Bed

D = Decimal
ANN = RelatedParty(id="C1", name="Ann")
START = datetime(2026, 3, 15, 12, tzinfo=UTC)


def tariff(name: str, monthly: str, *, included: bool = False, rate: str = "25") -> Tariff:
    return Tariff.model_validate({
        "id": name, "currency": "EUR", "taxRate": rate, "taxIncluded": included,
        "oneTime": [{"name": "Activation fee", "amount": "10.00"}], "recurring": [{"name": "Monthly fee", "amount": monthly}],
        "usage": {"sms": {"name": "Messages", "rate": "0.045"}}})


TARIFFS = {"basic": tariff("basic", "30.00"), "plus": tariff("plus", "49.90", included=True),
           "low": tariff("low", "2.99", rate="4")}


def bed(zone: str = "UTC") -> Bed:
    return Bed(build(TARIFFS, zone))


def start(product: str = "PR1", offering: str = "basic", at: datetime = START, **more: Any) -> o.StartProductBilling:
    return o.StartProductBilling(product=product, productOffering=offering, productOrder="P1", relatedParty=ANN,
                                 activeFrom=at, **more)


def stop(at: datetime, product: str = "PR1") -> o.StopProductBilling:
    return o.StopProductBilling(product=product, productOrder="P2", activeTo=at)


def report(number: str = "u1", quantity: str = "3", **more: Any) -> o.RecordUsage:
    return o.RecordUsage(**{"source": "smsc", "usageId": number, "account": "ACC-C1", "usageDate": START + timedelta(hours=1),
                            "usageType": "sms", "quantity": D(quantity), **more})


def bill(b: Bed, account: str = "ACC-C1") -> o.CustomerBill:
    answer = b.ask("billing", o.BillOnDemand(account=account))
    assert isinstance(answer, o.CustomerBill)
    assert answer.taxExcludedAmount.value + answer.taxAmount.value == answer.taxIncludedAmount.value == answer.amountDue.value
    assert sum(c.taxExcludedAmount.value for c in answer.appliedCharge) == answer.taxExcludedAmount.value
    assert sum(t.taxExcludedAmount.value for t in answer.taxItem) == answer.taxExcludedAmount.value
    assert sum(t.taxAmount.value for t in answer.taxItem) == answer.taxAmount.value
    return answer


def test_activation_and_the_first_month_prorated_are_charged_once() -> None:
    b = bed()
    first = b.ask("billing", start())
    assert isinstance(first, o.ProductBilling)
    assert first.account == "ACC-C1"
    charged = [(c.name, c.taxExcludedAmount.value) for c in first.charge]
    assert charged == [("Activation fee", D("10.00")), ("Monthly fee", D("16.45"))]
    assert first.charge[1].periodStart == datetime(2026, 3, 15, tzinfo=UTC)
    assert first.charge[1].periodEnd == datetime(2026, 4, 1, tzinfo=UTC)
    assert b.ask("billing", start()) == first
    assert len(b.connection.execute(select(charge)).all()) == 2
    shown = bill(b)
    assert (shown.billNo, shown.state) == (None, "preview")
    assert (shown.taxExcludedAmount.value, shown.taxAmount.value) == (D("26.45"), D("6.61"))


def test_the_accounts_time_zone_bounds_the_month() -> None:
    late = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)  # already April in Oslo
    answer = bed("Europe/Oslo").ask("billing", start(at=late))
    assert isinstance(answer, o.ProductBilling)
    assert answer.charge[1].taxExcludedAmount.value == D("30.00")


def test_a_price_with_tax_in_it_is_what_the_customer_pays() -> None:
    b = bed()
    b.ask("billing", start(offering="plus", at=datetime(2026, 3, 1, tzinfo=UTC)))
    assert bill(b).amountDue.value == D("59.90")


@settings(max_examples=40, deadline=None)
@given(offering=st.sampled_from(sorted(TARIFFS)), first=st.integers(0, 30), days=st.integers(0, 100), quantity=st.integers(1, 5))
def test_stopping_leaves_exactly_the_days_used(offering: str, first: int, days: int, quantity: int) -> None:
    b = bed()
    began = datetime(2026, 3, 1, 9, tzinfo=UTC) + timedelta(days=first)
    b.ask("billing", start(offering=offering, at=began, quantity=quantity))
    ended = began + timedelta(days=days)
    answer = b.ask("billing", stop(ended))
    assert b.ask("billing", stop(ended)) == answer
    b.ask("billing", start(offering=offering, at=began, quantity=quantity))  # a late duplicate starts nothing again
    rows = b.connection.execute(select(charge).where(charge.c.period_start.is_not(None))).all()
    covered = sum(((r.period_end - r.period_start).days * (-1 if r.net < 0 else 1) for r in rows), 0)
    assert covered == days
    if days == 0:
        assert sum(r.net + r.tax for r in rows) == 0
    bill(b)


def test_an_end_before_the_start_or_of_nothing_is_refused() -> None:
    b = bed()
    with pytest.raises(Failure, match="is not charged"):
        b.ask("billing", stop(START))
    b.ask("billing", start())
    with pytest.raises(Failure, match="before the product became active"):
        b.ask("billing", stop(START - timedelta(days=2)))


def test_an_account_is_one_partys() -> None:
    b = bed()
    b.ask("billing", start(account="A1"))
    other = start("PR2", account="A1").model_copy(update={"relatedParty": RelatedParty(id="C2", name="Bo")})
    with pytest.raises(Failure, match="another party"):
        b.ask("billing", other)
    with pytest.raises(Failure, match="no tariff for fax"):
        b.ask("billing", start("PR3", "fax"))
    with pytest.raises(Failure, match="unknown account") as caught:
        bill(b, "nobody")
    assert caught.value.kind == "notFound"


def test_usage_is_rated_once_and_rounded_on_the_bill_only() -> None:
    b = bed()
    b.ask("billing", start())
    first = b.ask("billing", report())
    assert isinstance(first, o.UsageAck)
    assert first.ratedAmount
    assert (first.state, first.ratedAmount.value) == ("rated", D("0.135"))
    assert b.ask("billing", report()) == first
    b.ask("billing", report("u2"))
    line = bill(b).appliedCharge[-1]
    assert (line.name, line.taxExcludedAmount.value) == ("Messages", D("0.27"))  # not 0.14 twice
    assert len(b.connection.execute(select(usage)).all()) == 2


@pytest.mark.parametrize("changes", [{"quantity": "4"}, {"account": "ACC-C9"}, {"usageType": "voice"},
                                     {"usageDate": START + timedelta(hours=2)}])
def test_other_usage_under_the_same_number_is_refused(changes: dict[str, Any]) -> None:
    b = bed()
    b.ask("billing", start())
    b.ask("billing", report())
    with pytest.raises(Failure, match="smsc has reported other usage as u1") as caught:
        b.ask("billing", report(**changes))
    assert caught.value.kind == "conflict"


@pytest.mark.parametrize(("changes", "reason"), [
    ({"account": "ACC-C9"}, "unknown account ACC-C9"),
    ({"usageType": "fax"}, "no rate for usage type fax"),
    ({"usageDate": START - timedelta(days=1)}, "account ACC-C1 had no active product at 2026-03-14T12:00:00+00:00"),
])
def test_usage_that_cannot_be_rated_is_rejected_in_words(changes: dict[str, Any], reason: str) -> None:
    b = bed()
    b.ask("billing", start())
    before = bill(b).amountDue
    answer = b.ask("billing", report(**changes))
    assert isinstance(answer, o.UsageAck)
    assert (answer.state, answer.reason) == ("rejected", reason)
    assert b.ask("billing", report(**changes)) == answer
    assert bill(b).amountDue == before


def test_rejected_usage_is_recycled_by_reporting_it_again_once_it_can_be_rated() -> None:
    b = bed()
    rejected = b.ask("billing", report())
    assert isinstance(rejected, o.UsageAck)
    assert rejected.state == "rejected"
    b.ask("billing", start())
    before = bill(b).amountDue.value
    recycled = b.ask("billing", report())
    assert isinstance(recycled, o.UsageAck)
    assert (recycled.state, recycled.id, recycled.reason) == ("rated", rejected.id, None)
    once = bill(b).amountDue.value
    assert once > before
    assert b.ask("billing", report()) == recycled
    assert bill(b).amountDue.value == once
    with pytest.raises(Failure, match="other usage"):
        b.ask("billing", report(quantity="4"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(TARIFFS)), st.integers(1, 9999)), min_size=1, max_size=6))
def test_a_bills_sums_are_exact_whatever_is_on_it(things: list[tuple[str, int]]) -> None:
    b = bed()
    for n, (offering, quantity) in enumerate(things):
        b.ask("billing", start(f"PR{n}", offering))
        b.ask("billing", report(f"u{n}", str(D(quantity) / 1000)))
    for item in bill(b).taxItem:
        assert item.taxRate in (D(25), D(4))


def test_a_float_in_a_tariff_is_an_error() -> None:
    with pytest.raises(ValueError, match="binary float"):
        Tariff.model_validate({"id": "x", "currency": "EUR", "taxRate": 7.7})
