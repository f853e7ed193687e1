"""What an account owes: charges and usage not billed yet, as a bill whose sums hold exactly (EN 16931-1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import select

from core.billing.catalog import Tariff
from core.billing.objects import AppliedCharge, BillOnDemand, BillState, CustomerBill, TaxItem, UsageState
from core.billing.products import applied, priced
from core.billing.tables import billing_account, charge, product_charge, usage
from core.messages.base import Money, RelatedParty
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.money import month_of, rounded, tax_groups
from core.unit_of_work import UnitOfWork

Line = tuple[AppliedCharge, str, bool]
"""A charge, its tax category, and whether its tax came with the price."""


@dataclass(frozen=True, slots=True)
class Bills:
    """The handler for bills on demand."""

    tariffs: Mapping[str, Tariff]
    zone: ZoneInfo

    def preview(self, envelope: Envelope[BillOnDemand], uow: UnitOfWork) -> CustomerBill:
        """Show an account's bill as it stands now; writes nothing. Raises Failure(NOT_FOUND) for an unknown account."""
        account = uow.execute(select(billing_account).where(billing_account.c.id == envelope.body.account)).first()
        if account is None:
            raise Failure(Kind.NOT_FOUND, f"unknown account {envelope.body.account}", "account")
        lines = [*self._charges(uow, account.id), *self._usage(uow, account.id)]
        unit = account.currency
        groups = tax_groups(((category, line.taxRate, line.taxExcludedAmount.value, line.taxAmount.value if fixed else None)
                             for line, category, fixed in lines), unit)
        zero = rounded(Decimal(0), unit)
        net, tax = sum((g.net for g in groups), zero), sum((g.tax for g in groups), zero)
        start, end = month_of(uow.now, self.zone).instants(self.zone)

        def money(value: Decimal) -> Money:
            return Money(unit=unit, value=value)

        return CustomerBill(
            id=uow.new_id(), account=account.id, relatedParty=RelatedParty(id=account.party, name=account.party_name),
            state=BillState.PREVIEW, billDate=uow.now, periodStart=start, periodEnd=end, taxExcludedAmount=money(net),
            taxAmount=money(tax), taxIncludedAmount=money(net + tax), amountDue=money(net + tax),
            appliedCharge=tuple(line for line, _, _ in lines),
            taxItem=tuple(TaxItem(taxCategory=g.category, taxRate=g.percent, taxExcludedAmount=money(g.net),
                                  taxAmount=money(g.tax)) for g in groups),
        )

    def _charges(self, uow: UnitOfWork, account: str) -> list[Line]:
        rows = uow.execute(select(charge).where(charge.c.account == account, charge.c.bill.is_(None))
                           .order_by(charge.c.product, charge.c.period_start.nulls_first(), charge.c.id)).all()
        return [(applied(row, self.zone), row.tax_category, bool(row.tax_fixed)) for row in rows]

    def _usage(self, uow: UnitOfWork, account: str) -> list[Line]:
        """One line for each product and type: the sum of what was rated, rounded once."""
        rows = uow.execute(
            select(usage.c.product, usage.c.type, usage.c.rated, product_charge.c.tariff)
            .join(product_charge, product_charge.c.product == usage.c.product)
            .where(usage.c.account == account, usage.c.bill.is_(None), usage.c.state == UsageState.RATED)).all()
        sums: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        for row in rows:
            sums[row.product, row.type, row.tariff] += row.rated
        lines: list[Line] = []
        for (product, usage_type, tariff_id), amount in sorted(sums.items()):
            tariff = self.tariffs[tariff_id]
            net, tax = priced(tariff, rounded(amount, tariff.currency))
            lines.append((AppliedCharge(id=f"usage-{len(lines) + 1}", name=tariff.usage[usage_type].name, product=product,
                                        taxRate=tariff.taxRate, taxExcludedAmount=Money(unit=tariff.currency, value=net),
                                        taxAmount=Money(unit=tariff.currency, value=tax)),
                          tariff.taxCategory, tariff.taxIncluded))
        return lines
