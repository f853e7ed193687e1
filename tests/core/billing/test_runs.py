"""Bill runs and issued bills: numbers without gaps, each cycle once, and what was issued stays byte for byte."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from core.billing import objects as o
from core.billing.calculation import Calculation
from core.billing.core import build
from core.billing.documents import html
from core.billing.invoice_objects import BillRun, ContinueBillRun, GetBill, RunBilling
from core.billing.products import Products
from core.billing.runs import BillRuns
from core.billing.tables import charge, product_charge, usage
from core.messages.base import RelatedParty
from core.messages.failures import Failure, Kind
from core.unit_of_work import Core
from tests.core.bed import Bed
from tests.core.billing.test_billing import TARIFFS, D, bed, bill, report, start, stop, tariff

APRIL, MAY = date(2026, 4, 1), date(2026, 5, 1)


def run(b: Bed, cycle: date = APRIL, account: str | None = None) -> BillRun:
    """Bill a cycle, at noon of the day after it at the earliest."""
    b.now = max(b.now, datetime.combine(cycle, time(12), UTC))
    answer = b.ask("billing", RunBilling(cycleDate=cycle, account=account))
    assert isinstance(answer, BillRun)
    return answer


def issued(b: Bed, number: str) -> o.CustomerBill:
    answer = b.ask("billing", GetBill(billNo=number))
    assert isinstance(answer, o.CustomerBill)
    return answer


def customers(b: Bed, *names: str) -> None:
    for name in names:
        b.ask("billing", start(f"PR-{name}").model_copy(update={"relatedParty": RelatedParty(id=name, name=f"Customer {name}")}))


def test_a_run_bills_every_account_once_and_tells_the_totals() -> None:
    b = bed()
    customers(b, "C1", "C2", "C3")
    shown = bill(b)
    done = run(b)
    assert (done.state, done.billCount, done.billNo) == ("completed", 3, ("BILL-00000001", "BILL-00000002", "BILL-00000003"))
    first = issued(b, "BILL-00000001")
    assert (first.account, first.state, first.billNo) == ("ACC-C1", "validated", "BILL-00000001")
    # The preview of March, and April's fee in advance.
    assert first.taxExcludedAmount.value == shown.taxExcludedAmount.value + D("30.00")
    (total,) = done.total
    assert (total.billCount, total.taxIncludedAmount.value) == (3, 3 * first.amountDue.value)
    again = run(b)
    assert (again.billCount, again.billNo, again.total, again.parked) == (0, (), (), ())
    assert bill(b).appliedCharge == ()


@pytest.mark.parametrize(("zone", "now", "latest"), [
    ("UTC", "2026-03-31T23:59:59Z", date(2026, 3, 31)), ("Europe/Oslo", "2026-03-31T21:59:59Z", date(2026, 3, 31)),
    ("Europe/Oslo", "2026-03-31T22:00:00Z", APRIL), ("America/Lima", "2026-04-01T04:59:59Z", date(2026, 3, 31))])
def test_a_cycle_that_has_not_ended_is_not_billed(zone: str, now: str, latest: date) -> None:
    b = bed(zone)
    b.now = datetime.fromisoformat(now)
    assert b.ask("billing", RunBilling(cycleDate=latest)).state == "completed"
    with pytest.raises(Failure, match=str(latest)) as refused:
        b.ask("billing", RunBilling(cycleDate=latest + timedelta(days=1)))
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, "cycleDate")


@pytest.mark.parametrize("accounts", [1, 2, 3, 4, 5])
def test_a_run_gives_its_accounts_out_in_short_steps(accounts: int) -> None:
    core, zone = build(TARIFFS), ZoneInfo("UTC")
    runs = BillRuns(Calculation(TARIFFS, zone), Products(TARIFFS, zone), at_once=2)
    b = Bed(Core("billing", {**core.handlers, "ContinueBillRun": runs.go_on}, core.metadata))
    customers(b, *(f"C{n}" for n in range(accounts)))
    assert run(b).billCount == accounts
    assert len([body for _, body in b.sent if isinstance(body, ContinueBillRun)]) == accounts // 2 + 1


def test_one_account_alone_and_one_nobody_knows() -> None:
    b = bed()
    customers(b, "C1", "C2")
    assert run(b, account="ACC-C2").billNo == ("BILL-00000001",)
    assert run(b).billNo == ("BILL-00000002",)
    with pytest.raises(Failure, match="unknown account nobody") as caught:
        run(b, account="nobody")
    assert caught.value.field == "account"
    with pytest.raises(Failure, match="no bill has the number"):
        issued(b, "BILL-00000003")


def test_nobody_to_bill_is_a_run_without_bills() -> None:
    assert run(bed()).billCount == 0


def test_the_next_cycle_goes_on_where_the_last_ended() -> None:
    b = bed()
    customers(b, "C1")
    b.ask("billing", report())
    b.ask("billing", report("u2", usageDate=datetime(2026, 4, 10, tzinfo=UTC)))
    march, april = (issued(b, run(b, cycle).billNo[0]) for cycle in (APRIL, MAY))
    assert (march.periodStart, march.periodEnd) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert (april.periodStart, april.periodEnd) == (march.periodEnd, datetime(2026, 5, 1, tzinfo=UTC))
    assert [c.name for c in march.appliedCharge] == ["Activation fee", "Monthly fee", "Monthly fee", "Messages"]
    assert [(c.name, c.taxExcludedAmount.value) for c in april.appliedCharge] == [("Monthly fee", D("30.00")), ("Messages", D("0.14"))]
    assert {row.state for row in b.connection.execute(select(usage))} == {"billed"}


def test_the_cycle_ends_at_the_accounts_midnight() -> None:
    b = bed("Europe/Oslo")
    customers(b, "C1")
    b.ask("billing", report(usageDate=datetime(2026, 3, 31, 21, 59, tzinfo=UTC)))
    b.ask("billing", report("u2", usageDate=datetime(2026, 3, 31, 22, 0, tzinfo=UTC)))  # already April in Oslo
    assert [c.taxExcludedAmount.value for c in issued(b, run(b).billNo[0]).appliedCharge if c.name == "Messages"] == [D("0.14")]


def test_what_was_issued_stays_as_it_is_whatever_comes_after() -> None:
    b = bed()
    customers(b, "C1")
    number = run(b).billNo[0]
    before = issued(b, number)
    b.ask("billing", report("late"))
    b.ask("billing", stop(datetime(2026, 4, 2, tzinfo=UTC), "PR-C1"))
    run(b, MAY)
    b.connection.execute(delete(charge))
    assert issued(b, number) == before
    (document,) = before.billDocument
    assert (document.name, document.mimeType, document.template) == (f"{number}.html", "text/html", "bill-html-1")
    assert document.sha256 == sha256(document.content).hexdigest()
    assert document.size == len(document.content)


def test_a_document_travels_in_json_as_base64_of_the_usual_alphabet() -> None:
    made = o.BillDocument(id="D", name="x", mimeType="a/b", template="t", size=2, sha256="0", content=b"\xfb\xff")
    assert '"content":"+/8="' in made.model_dump_json()
    assert o.BillDocument.model_validate_json(made.model_dump_json()) == made
    with pytest.raises(ValueError, match="content"):
        o.BillDocument.model_validate_json(made.model_dump_json().replace("+/8=", "!"))


def test_a_bad_account_is_parked_and_the_others_go_on_without_a_gap() -> None:
    b = bed()
    customers(b, "C1", "C2")
    b.connection.execute(product_charge.update().where(product_charge.c.account == "ACC-C1").values(tariff="forgotten"))
    b.connection.commit()
    done = run(b)
    assert [(p.account, p.reason) for p in done.parked] == [("ACC-C1", "the tariff forgotten is gone")]
    assert done.billNo == ("BILL-00000001",)
    assert issued(b, "BILL-00000001").account == "ACC-C2"


def test_usage_whose_tariff_says_nothing_of_it_any_more_parks_the_account_too() -> None:
    b = bed()
    customers(b, "C1")
    b.ask("billing", report())
    without = tariff("basic", "30.00").model_copy(update={"usage": {}})
    b.cores["billing"] = build({"basic": without})
    assert run(b).parked[0].reason == "the tariff basic is gone, or says nothing of sms any more"


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.tags: set[str] = set()

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)


@settings(max_examples=50, deadline=None)
@given(name=st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=40).filter(str.strip),
       fees=st.integers(1, 4))
@example(name="<script>alert(1)</script> & Sons", fees=1)
def test_the_page_says_what_the_bill_says_and_nothing_a_name_makes_up(name: str, fees: int) -> None:
    b = bed()
    for n in range(fees):
        b.ask("billing", start(f"PR{n}").model_copy(update={"relatedParty": RelatedParty(id="C1", name=name)}))
    made = issued(b, run(b).billNo[0])
    page = _Text()
    page.feed(made.billDocument[0].content.decode())
    text = "".join(page.said)
    assert name in text
    assert "script" not in page.tags
    for figure in (made.taxExcludedAmount, made.taxAmount, made.amountDue):
        assert f"{figure.unit} {figure.value}" in text
    assert all(str(line.taxExcludedAmount.value) in text for line in made.appliedCharge)


def test_the_page_s_days_are_the_accounts() -> None:
    b = bed("Europe/Oslo")
    customers(b, "C1")
    made = issued(b, run(b).billNo[0])
    assert b"Period 2026-03-01 to 2026-03-31" in made.billDocument[0].content
    assert b"Period 2026-02-28 to 2026-03-31" in html(made, ZoneInfo("UTC"))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["basic", "plus", "low"])), min_size=1, max_size=4), st.integers(1, 3))
def test_what_was_charged_is_billed_or_not_billed_yet(products: list[tuple[int, str]], cycles: int) -> None:
    b = bed()
    for n, (day, offering) in enumerate(products):
        b.ask("billing", start(f"PR{n}", offering, datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day)))
    billed = Decimal(0)
    for cycle in (APRIL, MAY, date(2026, 6, 1))[:cycles]:
        for number in run(b, cycle).billNo:
            billed += issued(b, number).taxExcludedAmount.value
    charged = sum((row.net for row in b.connection.execute(select(charge))), Decimal(0))
    assert billed + bill(b).taxExcludedAmount.value == charged
