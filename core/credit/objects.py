"""Credit: who may owe how much. There is no TMF API for it; names follow TMF SID's CustomerCreditProfile."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from core.messages.base import BusinessObject, Event, Identifier, Instant, Money, Parameter, RelatedParty, Text


class Decision(StrEnum):
    """What the credit policy says."""

    APPROVE = "approve"
    APPROVE_WITH_TERMS = "approveWithTerms"
    REFER = "refer"
    REFUSE = "refuse"


class AuthorizeCredit(BusinessObject):
    """Ask whether a party may take on an exposure of `amount`. `purpose` names what it is for (an order's id, say)."""

    relatedParty: RelatedParty
    amount: Annotated[Money, Parameter("AMOUNT")]
    purpose: Annotated[Text | None, Parameter("PURPOSE")] = None


class CreditDecision(BusinessObject):
    """The decision and what it rests on. `degraded`: no bureau could be asked, policy decided on the internal record alone."""

    id: Identifier
    relatedParty: RelatedParty
    decision: Decision
    amount: Money
    terms: tuple[Text, ...] = ()
    score: Annotated[int, Field(ge=0, le=1000)] | None = None
    agency: Text | None = None
    degraded: bool = False
    decisionDate: Instant
    reason: Text | None = None


class CreditDecisionEvent(Event):
    """A decision was made."""

    creditDecision: CreditDecision


class QueryBureau(BusinessObject):
    """Outbound: ask a credit bureau about a party. Goes to `connector.<bureau>`; safe to repeat."""

    relatedParty: RelatedParty
    amount: Money


class BureauVerdict(StrEnum):
    """What a bureau recommends, in our words."""

    ACCEPT = "accept"
    REFER = "refer"
    REFUSE = "refuse"


class BureauReport(BusinessObject):
    """What a bureau answered."""

    agency: Text
    verdict: BureauVerdict
    score: Annotated[int, Field(ge=0, le=1000)] | None = None
    reference: Text | None = None
    limit: Decimal | None = None


class BureauTimeout(BusinessObject):
    """credit -> itself: a bureau has been silent for too long. `request` is the decision that waits, `bureau` which was asked."""

    request: Identifier
    bureau: int
