"""Bills as they are asked for: a preview of what is owed now, and an issued bill as it was stored."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from core.billing.calculation import Calculation
from core.billing.invoice_objects import GetBill
from core.billing.objects import BillDocument, BillOnDemand, BillState, CustomerBill
from core.billing.tables import bill, bill_document, billing_account
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.money import month_of
from core.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Bills:
    """The handlers that read bills; they write nothing."""

    calculation: Calculation

    def preview(self, envelope: Envelope[BillOnDemand], uow: UnitOfWork) -> CustomerBill:
        """Show an account's bill as it stands now. Raises Failure(NOT_FOUND) for an unknown account."""
        account = uow.execute(select(billing_account).where(billing_account.c.id == envelope.body.account)).first()
        if account is None:
            raise Failure(Kind.NOT_FOUND, f"unknown account {envelope.body.account}", "account")
        zone = self.calculation.zone
        return self.calculation.bill(uow, account, self.calculation.unbilled(uow, account.id),
                                     month_of(uow.now, zone).instants(zone), BillState.PREVIEW)

    def get(self, envelope: Envelope[GetBill], uow: UnitOfWork) -> CustomerBill:
        """Show an issued bill and its documents, as they were stored. Raises Failure(NOT_FOUND) for a number no bill has."""
        number = envelope.body.billNo
        issued = uow.execute(select(bill.c.document).where(bill.c.number == number)).scalar()
        if issued is None:
            raise Failure(Kind.NOT_FOUND, f"no bill has the number {number}", "billNo")
        rows = uow.execute(select(bill_document).where(bill_document.c.bill == number).order_by(bill_document.c.id)).all()
        documents = tuple(BillDocument(id=row.id, name=row.name, mimeType=row.mime_type, template=row.template, size=len(row.content),
                                       sha256=row.sha256, content=row.content) for row in rows)
        return CustomerBill.model_validate_json(issued).model_copy(update={"billDocument": documents})
