"""Bill runs, payments and adjustments (TMF678, TMF676, TMF666)."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

from core.billing.objects import CustomerBill
from core.messages.base import BusinessObject, Identifier, Instant, Money, Parameter, Text


class RunBilling(BusinessObject):
    """Bill every account, or only `account`, for the cycle that ends as `cycleDate` begins. The same cycle again makes nothing new."""

    cycleDate: Annotated[date, Parameter("CYCLEDATE")]
    account: Identifier | None = None


class BillRunState(StrEnum):
    """How far a run has come."""

    IN_PROGRESS = "inProgress"
    COMPLETED = "completed"


class ParkedAccount(BusinessObject):
    """An account that could not be billed; the others went on."""

    account: Identifier
    reason: Text


class BillRunTotal(BusinessObject):
    """What a run billed in one currency."""

    billCount: int
    taxExcludedAmount: Money
    taxAmount: Money
    taxIncludedAmount: Money


class BillRun(BusinessObject):
    """One billing cycle's run and what came of it."""

    id: Identifier
    cycleDate: date
    state: BillRunState
    startDate: Instant
    completionDate: Instant | None = None
    billCount: int = 0
    billNo: tuple[Identifier, ...] = ()
    parked: tuple[ParkedAccount, ...] = ()
    total: tuple[BillRunTotal, ...] = ()


class ContinueBillRun(BusinessObject):
    """billing -> billing: give out the accounts of a run whose ids come `after` this one."""

    run: Identifier
    after: Text = ""


class BillAccount(BusinessObject):
    """billing -> billing: bill one account of a run."""

    run: Identifier
    account: Identifier


class GetBill(BusinessObject):
    """Read an issued bill by its number."""

    billNo: Identifier


class RecordPayment(BusinessObject):
    """Take a payment once per `reference`: to the named bill, else to the account's oldest open ones."""

    account: Identifier
    amount: Money
    reference: Annotated[Identifier, Parameter("REF")]
    paymentDate: Annotated[Instant | None, Parameter("DATE")] = None
    billNo: Identifier | None = None


class CustomerBills(BusinessObject):
    """The bills that a payment went to, as they stand after it."""

    customerBill: tuple[CustomerBill, ...] = ()


class AdjustmentDecision(StrEnum):
    """What the person with the authority says."""

    APPROVE = "approve"
    REFUSE = "refuse"


class AdjustmentState(StrEnum):
    """`pending` waits for the second person that the policy wants above its limit."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"


class ApproveAdjustment(BusinessObject):
    """Decide on an adjustment of the bill that a ticket disputes."""

    ticket: Annotated[Identifier, Parameter("TICKETID")]
    amount: Money
    decision: AdjustmentDecision
    note: Text | None = None


class Approval(BusinessObject):
    """One person's word."""

    party: Text
    decision: AdjustmentDecision
    date: Instant
    note: Text | None = None


class Adjustment(BusinessObject):
    """A credit on a bill. `creditNoteNo` is from the credit notes' own series; the note names the bill it corrects."""

    id: Identifier
    ticket: Identifier
    account: Identifier
    billNo: Identifier
    amount: Money
    state: AdjustmentState
    creditNoteNo: Identifier | None = None
    approval: tuple[Approval, ...] = ()
    creationDate: Instant
