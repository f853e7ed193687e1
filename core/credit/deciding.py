"""Authorising credit: our own record first, then the bureaus one after the other, then the policy decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite understands the same `on conflict`

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

        Raises Failure(INVALID) for another currency than the policy's.
        """
        asked = command.body
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
        outcome = self._outcome(asked, profile, report)
        if outcome.decision in {Decision.APPROVE, Decision.APPROVE_WITH_TERMS}:
            uow.execute(update(credit_profile).where(credit_profile.c.party == party).values(
                exposure=profile.exposure + asked.amount.value))
        decision = CreditDecision(
            id=f"CD{uow.new_id()}", relatedParty=asked.relatedParty, decision=outcome.decision, amount=asked.amount,
            terms=outcome.terms, score=report.score if report else None, agency=report.agency if report else None,
            degraded=report is None, decisionDate=uow.now, reason=outcome.reason)
        uow.insert(credit_decision, id=decision.id, party=party, document=decision.model_dump_json(exclude_none=True))
        uow.publish(CreditDecisionEvent(creditDecision=decision), key=party)
        return decision

    def _outcome(self, asked: AuthorizeCredit, profile: Row[Any], report: BureauReport | None) -> Outcome:
        limit = self.policy.exposure_limit.value
        if report is not None and report.verdict is BureauVerdict.REFUSE:
            return Outcome(Decision.REFUSE, reason=f"refused by {report.agency}")
        if report is not None and report.verdict is BureauVerdict.REFER:
            return Outcome(Decision.REFER, reason=f"referred by {report.agency}")
        if profile.exposure + asked.amount.value > limit:
            return Outcome(Decision.REFER, reason="the exposure limit would be exceeded")
        if report is None:
            if profile.clean and asked.amount.value <= self.policy.degraded_limit.value:
                return Outcome(Decision.APPROVE, reason="no bureau could be asked; within the degraded limit")
            return Outcome(Decision.REFER, reason="no bureau could be asked")
        if report.score is None:
            return Outcome(Decision.APPROVE)
        band = self.policy.band(report.score)
        return Outcome(band.decision, band.terms, None if band.decision is Decision.APPROVE else f"score {report.score}")

    @staticmethod
    def _remember(uow: UnitOfWork, party: str, report: BureauReport) -> None:
        uow.execute(update(credit_profile).where(credit_profile.c.party == party).values(
            score=report.score, agency=report.agency, clean=report.verdict is not BureauVerdict.REFUSE))


def _timer(request: str) -> str:
    return f"bureau {request}"


def _query(uow: UnitOfWork, condition: Any) -> Row[Any] | None:
    return uow.execute(select(credit_query).where(condition).with_for_update()).first()
