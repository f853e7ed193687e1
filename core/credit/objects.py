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
    """Ask whether a party may take on an exposure of `amount`.

    With a `purpose` (an order's id, say) an approval commits that much of the party's credit until it is released; the
    same purpose again replaces what was committed for it. Without one it is a question only.
    """

    relatedParty: RelatedParty
    amount: Annotated[Money, Parameter("AMOUNT")]
    purpose: Annotated[Text | None, Parameter("PURPOSE")] = None


class ReleaseCredit(BusinessObject):
    """orders -> credit: what was committed for this purpose is no longer at risk; `amount` of it, or all. Wants no answer."""

    party: Identifier
    purpose: Text
    amount: Money | None = None


class CreditDecision(BusinessObject):
    """The decision and what it rests on. `degraded`: no bureau could be asked, policy decided on the internal record alone,
    in which `score` and `agency` are those of the last report that is still valid.
    """

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
