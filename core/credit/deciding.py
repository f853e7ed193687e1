"""Authorising credit: our own record first, then the bureaus one after the other, then the policy decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite understands the same `on conflict`

from core.columns import utc
from core.credit.commitments import commit, committed
from core.credit.objects import (
    AuthorizeCredit,
    BureauReport,
    BureauTimeout,
    BureauVerdict,
    CreditDecision,
    CreditDecisionEvent,
    Decision,
    QueryBureau,
)
from core.credit.policy import CreditPolicy
from core.credit.tables import credit_decision, credit_profile, credit_query
from core.messages.base import as_json, one_line
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Fault, Kind
from core.unit_of_work import ANSWER_LATER, AnswerLater, UnitOfWork


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the policy makes of what is known."""

    decision: Decision
    terms: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Deciding:
    """The handlers, with the policy they go by."""

    policy: CreditPolicy

    def authorize(self, command: Envelope[AuthorizeCredit], uow: UnitOfWork) -> CreditDecision | AnswerLater:
        """Begin a decision: write our own record of the party and ask the first bureau.

        Raises Failure(INVALID) for another currency than the policy's, or an amount below zero.
        """
        asked = command.body
        if asked.amount.value < 0:
            raise Failure(Kind.INVALID, "an exposure is not negative", "amount.value")
        currency = self.policy.exposure_limit.unit
        if asked.amount.unit != currency:
            raise Failure(Kind.INVALID, f"credit is kept in {currency}, not {asked.amount.unit}", "amount.unit")
        uow.execute(insert(credit_profile).values(party=asked.relatedParty.id, name=asked.relatedParty.name, currency=currency,
                                                  exposure=Decimal(0), clean=True).on_conflict_do_nothing())
        if not self.policy.bureaus:
            return self._decide(uow, asked, None)
        message = self._ask(uow, command.message_id, asked, 0)
        uow.insert(credit_query, request=command.message_id, party=asked.relatedParty.id, body=asked.model_dump_json(), bureau=0,
                   message=message)
        return ANSWER_LATER

    def reported(self, command: Envelope[BureauReport], uow: UnitOfWork) -> None:
        """A bureau has answered: decide. An answer that comes too late still updates our record."""
        query = _query(uow, credit_query.c.message == command.causation_id)
        if query is not None:
            self._answer(uow, query, command.body)
        elif command.key:
            self._remember(uow, command.key, command.body)

    def unreachable(self, command: Envelope[Fault], uow: UnitOfWork) -> None:
        """A bureau could not answer: ask the next one."""
        query = _query(uow, credit_query.c.message == command.causation_id)
        if query is not None:
            self._next(uow, query)

    def silent(self, command: Envelope[BureauTimeout], uow: UnitOfWork) -> None:
        """A bureau has not answered in time: ask the next one."""
        query = _query(uow, credit_query.c.request == command.body.request)
        if query is not None and query.bureau == command.body.bureau:
            self._next(uow, query)

    def _ask(self, uow: UnitOfWork, request: str, asked: AuthorizeCredit, bureau: int) -> str:
        uow.at(uow.now + timedelta(seconds=self.policy.bureau_timeout), _timer(request), "credit",
               BureauTimeout(request=request, bureau=bureau), key=asked.relatedParty.id)
        return uow.send(f"connector.{self.policy.bureaus[bureau]}", QueryBureau(relatedParty=asked.relatedParty, amount=asked.amount),
                        key=asked.relatedParty.id, reply_to="credit")

    def _next(self, uow: UnitOfWork, query: Row[Any]) -> None:
        following = query.bureau + 1
        if following >= len(self.policy.bureaus):
            self._answer(uow, query, None)
            return
        message = self._ask(uow, query.request, AuthorizeCredit.model_validate_json(query.body), following)
        uow.execute(update(credit_query).where(credit_query.c.request == query.request).values(bureau=following, message=message))

    def _answer(self, uow: UnitOfWork, query: Row[Any], report: BureauReport | None) -> None:
        uow.cancel_timer(_timer(query.request))
        uow.execute(delete(credit_query).where(credit_query.c.request == query.request))
        uow.answer(query.request, self._decide(uow, AuthorizeCredit.model_validate_json(query.body), report))

    def _decide(self, uow: UnitOfWork, asked: AuthorizeCredit, report: BureauReport | None) -> CreditDecision:
        party = asked.relatedParty.id
        if report is not None:
            self._remember(uow, party, report)
        profile = uow.execute(select(credit_profile).where(credit_profile.c.party == party).with_for_update()).one()
        known = report or self._still_valid(uow, profile)
        exposure = profile.exposure - committed(uow, party, asked.purpose) + asked.amount.value
        outcome = self._outcome(asked, profile, known, exposure, degraded=report is None)
        if outcome.decision in {Decision.APPROVE, Decision.APPROVE_WITH_TERMS} and asked.purpose is not None:
            commit(uow, party, asked.purpose, asked.amount.value)
        decision = CreditDecision(
            id=f"CD{uow.new_id()}", relatedParty=asked.relatedParty, decision=outcome.decision, amount=asked.amount,
            terms=outcome.terms, score=known.score if known else None, agency=known.agency if known else None,
            degraded=report is None, decisionDate=uow.now, reason=outcome.reason and one_line(outcome.reason))
        uow.insert(credit_decision, id=decision.id, party=party, document=as_json(decision))
        uow.publish(CreditDecisionEvent(creditDecision=decision), key=party)
        return decision

    def _outcome(self, asked: AuthorizeCredit, profile: Row[Any], known: BureauReport | None, exposure: Decimal, *,
                 degraded: bool) -> Outcome:
        """Refusals first, then what a person has to see, then the score."""
        why = "; no bureau could be asked" if degraded else ""
        if known is not None and known.verdict is not BureauVerdict.ACCEPT:
            refused = known.verdict is BureauVerdict.REFUSE
            return Outcome(Decision.REFUSE if refused else Decision.REFER, (),
                           f"{'refused' if refused else 'referred'} by {known.agency}{why}")
        if exposure > self.policy.exposure_limit.value:
            return Outcome(Decision.REFER, reason="the exposure limit would be exceeded")
        if known is None:
            if profile.clean and asked.amount.value <= self.policy.degraded_limit.value:
                return Outcome(Decision.APPROVE, reason="within the degraded limit; no bureau could be asked")
            return Outcome(Decision.REFER, reason="no bureau could be asked")
        if known.score is None:
            return Outcome(Decision.APPROVE, (), why[2:] or None)
        band = self.policy.band(known.score)
        plain = band.decision is Decision.APPROVE and not degraded
        return Outcome(band.decision, band.terms, None if plain else f"score {known.score}{why}")

    def _still_valid(self, uow: UnitOfWork, profile: Row[Any]) -> BureauReport | None:
        """What a bureau last said of the party, if that is not too old to go by."""
        if profile.reported is None or utc(profile.reported) + timedelta(hours=self.policy.report_valid) < uow.now:
            return None
        return BureauReport(agency=profile.agency, verdict=profile.verdict, score=profile.score)

    @staticmethod
    def _remember(uow: UnitOfWork, party: str, report: BureauReport) -> None:
        uow.execute(update(credit_profile).where(credit_profile.c.party == party).values(
            score=report.score, agency=report.agency, verdict=report.verdict, reported=uow.now,
            clean=report.verdict is not BureauVerdict.REFUSE))


def _timer(request: str) -> str:
    return f"bureau {request}"


def _query(uow: UnitOfWork, condition: Any) -> Row[Any] | None:
    return uow.execute(select(credit_query).where(condition).with_for_update()).first()
