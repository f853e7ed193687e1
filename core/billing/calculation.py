"""What an account owes: charges and usage not billed yet, as a bill whose sums hold exactly (EN 16931-1).

Previews, bills on demand and bill runs all come from here, so that they cannot differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select, update

from core.billing.catalog import Tariff
from core.billing.objects import AppliedCharge, BillState, CustomerBill, TaxItem, UsageState
from core.billing.products import applied, priced
from core.billing.tables import charge, product_charge, usage
from core.messages.base import Money, RelatedParty
from core.messages.failures import Failure, Kind
from core.money import rounded, tax_groups
from core.unit_of_work import UnitOfWork

_AT_ONCE = 500
"""Rows named in one statement: databases bound how many values it may hold."""


@dataclass(slots=True)
class Unbilled:
    """What a bill will hold. A line is a charge, its tax category, and whether its tax came with the price; the ids are the rows'."""

    lines: list[tuple[AppliedCharge, str, bool]] = field(default_factory=list)
    charges: list[str] = field(default_factory=list)
    usage: list[str] = field(default_factory=list)

    def mark(self, uow: UnitOfWork, account: str, bill: str) -> None:
        """Note on every row that it is on this bill."""
        for some in _some(self.charges):
            uow.execute(update(charge).where(charge.c.account == account, charge.c.id.in_(some)).values(bill=bill))
        for some in _some(self.usage):
            uow.execute(update(usage).where(usage.c.account == account, usage.c.id.in_(some)).values(bill=bill, state=UsageState.BILLED))


def _some(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start:start + _AT_ONCE]


@dataclass(frozen=True, slots=True)
class Calculation:
    """Draws bills up, with the tariffs and the accounts' time zone."""

    tariffs: Mapping[str, Tariff]
    zone: ZoneInfo

    def unbilled(self, uow: UnitOfWork, account: str, before: datetime | None = None) -> Unbilled:
        """Find what is not billed yet; of usage only what was used `before`, if given.

        Raises Failure(STATE) when its tariff is gone.
        """
        found = Unbilled()
        rows = uow.execute(select(charge).where(charge.c.account == account, charge.c.bill.is_(None))
                           .order_by(charge.c.product, charge.c.period_start.nulls_first(), charge.c.id)).all()
        found.charges = [row.id for row in rows]
        found.lines = [(applied(row, self.zone), row.tax_category, bool(row.tax_fixed)) for row in rows]
        self._usage(uow, account, before, found)
        return found

    def _usage(self, uow: UnitOfWork, account: str, before: datetime | None, found: Unbilled) -> None:
        """One line for each product and type: the sum of what was rated, rounded once."""
        wanted = (select(usage.c.id, usage.c.product, usage.c.type, usage.c.rated, product_charge.c.tariff)
                  .join(product_charge, product_charge.c.product == usage.c.product)
                  .where(usage.c.account == account, usage.c.bill.is_(None), usage.c.state == UsageState.RATED))
        sums: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        for row in uow.execute(wanted if before is None else wanted.where(usage.c.date < before)):
            sums[row.product, row.type, row.tariff] += row.rated
            found.usage.append(row.id)
        for number, ((product, usage_type, tariff_id), amount) in enumerate(sorted(sums.items()), 1):
            tariff = self.tariffs.get(tariff_id)
            if tariff is None or usage_type not in tariff.usage:
                raise Failure(Kind.STATE, f"the tariff {tariff_id} is gone, or says nothing of {usage_type} any more")
            net, tax = priced(tariff, rounded(amount, tariff.currency))
            found.lines.append((AppliedCharge(
                id=f"usage-{number}", name=tariff.usage[usage_type].name, product=product, taxRate=tariff.taxRate,
                taxExcludedAmount=Money(unit=tariff.currency, value=net), taxAmount=Money(unit=tariff.currency, value=tax),
            ), tariff.taxCategory, tariff.taxIncluded))

    def bill(self, uow: UnitOfWork, account: Row[Any], unbilled: Unbilled, period: tuple[datetime, datetime], state: BillState,
             number: str | None = None) -> CustomerBill:
        """Draw a bill up. `period` is half open, in UTC."""
        unit = account.currency
        groups = tax_groups(((category, line.taxRate, line.taxExcludedAmount.value, line.taxAmount.value if fixed else None)
                             for line, category, fixed in unbilled.lines), unit)
        zero = rounded(Decimal(0), unit)
        net, tax = sum((g.net for g in groups), zero), sum((g.tax for g in groups), zero)

        def money(value: Decimal) -> Money:
            return Money(unit=unit, value=value)

        return CustomerBill(
            id=uow.new_id(), billNo=number, account=account.id, relatedParty=RelatedParty(id=account.party, name=account.party_name),
            state=state, billDate=uow.now, periodStart=period[0], periodEnd=period[1], taxExcludedAmount=money(net),
            taxAmount=money(tax), taxIncludedAmount=money(net + tax), amountDue=money(net + tax),
            appliedCharge=tuple(line for line, _, _ in unbilled.lines),
            taxItem=tuple(TaxItem(taxCategory=g.category, taxRate=g.percent, taxExcludedAmount=money(g.net),
                                  taxAmount=money(g.tax)) for g in groups),
        )
