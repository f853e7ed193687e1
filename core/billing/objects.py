"""Accounts, usage, charges and bills, as TMF666, TMF635 and TMF678 name them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from core.messages.base import (
    BusinessObject,
    Characteristic,
    Content,
    Identifier,
    Instant,
    Money,
    Parameter,
    Quantity,
    RelatedParty,
    Text,
)


class StartProductBilling(BusinessObject):
    """orders -> billing: a product became active; charge its fees from `activeFrom`, the first period prorated."""

    product: Identifier
    productOffering: Identifier
    productOrder: Identifier
    relatedParty: RelatedParty
    account: Identifier | None = None
    quantity: Quantity = 1
    activeFrom: Instant
    characteristic: tuple[Characteristic, ...] = ()


class StopProductBilling(BusinessObject):
    """orders -> billing: a product was terminated; charge to `activeTo` and credit what was charged beyond it."""

    product: Identifier
    productOrder: Identifier
    activeTo: Instant


class AppliedCharge(BusinessObject):
    """One charge (TMF678 AppliedCustomerBillingRate). Amounts are without tax unless they say so."""

    id: Identifier
    name: Text
    product: Identifier | None = None
    periodStart: Instant | None = None
    periodEnd: Instant | None = None
    taxExcludedAmount: Money
    taxAmount: Money
    taxRate: Decimal


class ProductBilling(BusinessObject):
    """billing -> orders: charging has started or stopped."""

    product: Identifier
    account: Identifier
    charge: tuple[AppliedCharge, ...] = ()


class RecordUsage(BusinessObject):
    """Report usage once (TMF635). `source` and `usageId` together name it: again is a no-op with the same answer,
    and other usage under the same name is a conflict. What was rejected is recycled by reporting it again, under a new key.
    """

    source: Identifier
    usageId: Annotated[Identifier, Parameter("USAGEID")]
    account: Identifier
    usageDate: Annotated[Instant, Parameter("DATE")]
    usageType: Annotated[Identifier, Parameter("TYPE")]
    quantity: Annotated[Decimal, Parameter("QTY"), Field(gt=0, max_digits=18, decimal_places=9)]
    usageCharacteristic: tuple[Characteristic, ...] = ()


class UsageState(StrEnum):
    """received -> guided -> rated -> billed; rejected -> recycled; rerated."""

    RECEIVED = "received"
    GUIDED = "guided"
    RATED = "rated"
    BILLED = "billed"
    REJECTED = "rejected"
    RECYCLED = "recycled"
    RERATED = "rerated"


class UsageAck(BusinessObject):
    """What became of a usage record: its rated amount, or why it was rejected."""

    id: Identifier
    source: Identifier
    usageId: Identifier
    state: UsageState
    ratedAmount: Money | None = None
    taxAmount: Money | None = None
    reason: Text | None = None


class BillOnDemand(BusinessObject):
    """Ask for a preview of an account's bill as it stands now. A preview carries no number."""

    account: Identifier


class BillState(StrEnum):
    """TMF678 StateValue, with the preview that is never issued."""

    PREVIEW = "preview"
    NEW = "new"
    VALIDATED = "validated"
    SENT = "sent"
    PARTIALLY_PAID = "partiallyPaid"
    SETTLED = "settled"
    ON_HOLD = "onHold"


class TaxItem(BusinessObject):
    """Tax of one (category, rate) group (EN 16931 BG-23)."""

    taxCategory: Identifier
    taxRate: Decimal
    taxExcludedAmount: Money
    taxAmount: Money


class BillDocument(BusinessObject):
    """A document of an issued bill (TMF AttachmentRefOrValue), kept as it was made: `size` counts the bytes of `content`, `sha256`
    is their hash in hexadecimal digits, `template` the version of what made them.
    """

    id: Identifier
    name: Text
    mimeType: Identifier
    template: Identifier
    size: int
    sha256: Identifier
    content: Content


class AppliedPayment(BusinessObject):
    """What of a payment went to this bill (TMF678 AppliedPayment)."""

    reference: Identifier
    paymentDate: Instant
    appliedAmount: Money


class CustomerBill(BusinessObject):
    """A bill (TMF678 CustomerBill). Sums hold exactly: included = excluded + tax, due = included - paid - credited."""

    id: Identifier
    billNo: Identifier | None = None
    account: Identifier
    relatedParty: RelatedParty
    state: BillState
    billDate: Instant
    periodStart: Instant
    periodEnd: Instant
    taxExcludedAmount: Money
    taxAmount: Money
    taxIncludedAmount: Money
    amountDue: Money
    appliedCharge: tuple[AppliedCharge, ...] = ()
    taxItem: tuple[TaxItem, ...] = ()
    paymentDueDate: Instant | None = None
    appliedPayment: tuple[AppliedPayment, ...] = ()
    creditNoteNo: tuple[Identifier, ...] = ()
    billDocument: tuple[BillDocument, ...] = ()
