"""The credit core: our own record, the bureaus, the policy, and what is committed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core.credit import objects as o
from core.credit.core import build
from core.credit.policy import CreditPolicy
from core.credit.tables import credit_commitment, credit_profile, credit_query
from core.messages.base import BusinessObject, Money, RelatedParty
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Fault, Kind
from tests.core.bed import Bed

D = Decimal
POLICY = {
    "bureaus": ["one", "two"], "bureau_timeout": 3, "report_valid": 24,
    "bands": [{"from_score": 0, "decision": "refuse"}, {"from_score": 300, "decision": "refer"},
              {"from_score": 450, "decision": "approveWithTerms", "terms": ["a deposit"]}, {"from_score": 600, "decision": "approve"}],
    "degraded_limit": {"unit": "EUR", "value": "50.00"}, "exposure_limit": {"unit": "EUR", "value": "200.00"}}


class Bureaus:
    """Each is set to a report, a Fault, or None: silence."""

    def __init__(self, **answers: BusinessObject | None) -> None:
        self.answers = {f"connector.{name}": answer for name, answer in answers.items()}
        self.asked: list[str] = []

    def __call__(self, to: str, envelope: Envelope[Any]) -> BusinessObject | None:
        self.asked.append(to.removeprefix("connector."))
        return self.answers[to]


def report(score: int | None = 800, verdict: str = "accept", agency: str = "One") -> o.BureauReport:
    return o.BureauReport(agency=agency, verdict=o.BureauVerdict(verdict), score=score)


DOWN = Fault(code=Kind.UNAVAILABLE, message="out of reach")


def bed(one: BusinessObject | None = None, two: BusinessObject | None = None, **changes: Any) -> Bed:
    bureaus = Bureaus(one=one, two=two)
    made = Bed(build(CreditPolicy.model_validate({**POLICY, **changes})), outside=bureaus)
    made.bureaus = bureaus  # type: ignore[attr-defined]
    return made


def ask(b: Bed, amount: str = "40.00", party: str = "C1", purpose: str | None = "PO1", **more: Any) -> o.CreditDecision:
    request = o.AuthorizeCredit(relatedParty=RelatedParty(id=party, name="Ann"), amount=Money(unit="EUR", value=D(amount)),
                                purpose=purpose)
    answer = b.ask("credit", request, **more)
    if answer is None:
        number = list(b._requests.values())
        message = next(e.message_id for e in reversed(number) if e.body is request)
        b.pass_time(timedelta(seconds=30))
        answer = b.answers[message]
    assert isinstance(answer, o.CreditDecision)
    return answer


def exposure(b: Bed, party: str = "C1") -> Decimal:
    total = b.connection.execute(select(credit_profile.c.exposure).where(credit_profile.c.party == party)).scalar_one()
    rows = b.connection.execute(select(credit_commitment.c.amount).where(credit_commitment.c.party == party)).scalars().all()
    assert total == sum(rows, D(0))
    return total


@pytest.mark.parametrize(("score", "decision", "terms"), [
    (120, "refuse", ()), (300, "refer", ()), (449, "refer", ()), (450, "approveWithTerms", ("a deposit",)), (600, "approve", ()),
    (None, "approve", ())])
def test_the_score_decides_by_bands(score, decision, terms):
    b = bed(report(score))
    made = ask(b)
    assert (made.decision, made.terms, made.score, made.agency, made.degraded) == (decision, terms, score, "One", False)
    assert exposure(b) == (D("40.00") if decision.startswith("approve") else 0)


@pytest.mark.parametrize(("verdict", "reason"), [("refuse", "refused by One"), ("refer", "referred by One")])
def test_a_bureaus_own_word_comes_before_its_score(verdict, reason):
    made = ask(bed(report(900, verdict)))
    assert (made.decision, made.reason) == (verdict, reason)


def test_the_next_bureau_is_asked_when_one_is_down_or_silent():
    for first in (DOWN, None):
        b = bed(first, report(700, agency="Two"))
        made = ask(b)
        assert (made.decision, made.agency, made.degraded) == ("approve", "Two", False)
        assert b.bureaus.asked == ["one", "two"]
        assert not b.timers
        assert not b.connection.execute(select(credit_query)).all()


@pytest.mark.parametrize(("amount", "decision"), [("50.00", "approve"), ("50.01", "refer")])
def test_without_any_bureau_policy_decides_within_its_degraded_limit_and_says_so(amount, decision):
    made = ask(bed(DOWN, None), amount)
    assert (made.decision, made.degraded, made.score, made.agency) == (decision, True, None, None)
    assert "no bureau could be asked" in (made.reason or "")


def test_a_report_that_comes_late_changes_our_record_and_counts_while_it_is_fresh():
    b = bed(None, DOWN)
    assert ask(b, "60.00").decision == "refer"
    query = b.unanswered[0][1]
    b.reply(query, report(700))
    assert exposure(b) == 0
    made = ask(b, "60.00")
    assert (made.decision, made.degraded, made.score, made.agency) == ("approve", True, 700, "One")
    b.pass_time(timedelta(hours=25))
    assert ask(b, "60.00", purpose="PO2").decision == "refer"


def test_a_party_that_was_refused_is_refused_while_no_bureau_answers_and_seen_by_a_person_after():
    b = bed(report(100, "refuse"), DOWN)
    assert ask(b).decision == "refuse"
    b.bureaus.answers["connector.one"] = DOWN
    assert (ask(b).decision, ask(b).degraded) == ("refuse", True)
    b.pass_time(timedelta(hours=25))
    assert ask(b).decision == "refer"
    b.bureaus.answers["connector.one"] = report(700)
    assert ask(b).decision == "approve"


def test_a_late_answer_of_the_first_bureau_does_not_decide_twice():
    b = bed(None, report(500, agency="Two"))
    assert ask(b).decision == "approveWithTerms"
    b.reply(b.unanswered[0][1], report(100, "refuse"))
    assert len([e for e in b.events if isinstance(e, o.CreditDecisionEvent)]) == 1
    assert exposure(b) == D("40.00")


def test_what_is_committed_counts_against_the_limit_once_for_each_purpose():
    b = bed(report())
    for purpose in ("PO1", "PO2", "PO1", "PO3"):
        assert ask(b, "60.00", purpose=purpose).decision == "approve"
    assert exposure(b) == D("180.00")
    over = ask(b, "21.00", purpose="PO4")
    assert (over.decision, over.reason) == ("refer", "the exposure limit would be exceeded")
    assert ask(b, "80.00", purpose="PO1").decision == "approve"  # in the place of its 60.00
    assert exposure(b) == D("200.00")


def test_a_question_without_a_purpose_commits_nothing():
    b = bed(report())
    for _ in range(3):
        assert ask(b, "150.00", purpose=None).decision == "approve"
    assert exposure(b) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ask", "release", "part"]), st.sampled_from("abc"), st.integers(0, 90)), max_size=20))
def test_exposure_is_always_the_sum_of_what_is_committed(steps):
    b = bed(report())
    ask(b, "1.00", purpose="x")
    expected: dict[str, Decimal] = {"x": D("1.00")}
    for what, purpose, number in steps:
        amount = D(number)
        if what == "ask":
            if ask(b, str(amount), purpose=purpose).decision == "approve":
                expected[purpose] = amount
            else:
                assert sum(expected.values()) - expected.get(purpose, D(0)) + amount > 200
        else:
            part = Money(unit="EUR", value=amount) if what == "part" else None
            b.ask("credit", o.ReleaseCredit(party="C1", purpose=purpose, amount=part))
            left = expected.pop(purpose, D(0)) - amount if part else D(0)
            expected.pop(purpose, None)
            if left > 0:
                expected[purpose] = left
        assert exposure(b) == sum(expected.values())


def test_what_is_not_credit_is_refused_by_field():
    b = bed(report())
    for amount, unit, field in (("-1.00", "EUR", "amount.value"), ("1.00", "NOK", "amount.unit")):
        request = o.AuthorizeCredit(relatedParty=RelatedParty(id="C1", name="Ann"), amount=Money(unit=unit, value=D(amount)))
        with pytest.raises(Failure) as refused:
            b.ask("credit", request)
        assert (refused.value.kind, refused.value.field) == (Kind.INVALID, field)
    b.ask("credit", o.ReleaseCredit(party="nobody", purpose="x"))
