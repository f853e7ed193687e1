"""Charging begins and ends: one-time fees, recurring fees by calendar month, prorated by days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select, update

# SQLite understands the same `on conflict do nothing`, so PostgreSQL's insert serves both.
from sqlalchemy.dialects.postgresql import insert

from core.billing.catalog import Tariff
from core.billing.objects import AppliedCharge, ProductBilling, StartProductBilling, StopProductBilling
from core.billing.tables import billing_account, charge, product_charge
from core.columns import utc
from core.messages.base import Money
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.money import Period, local_day, month_of, net_of, prorated, rounded, tax_on
from core.unit_of_work import UnitOfWork


def account_of(party_id: str) -> str:
    """Return the id of the account a party gets when none is named."""
    name = f"ACC-{party_id}"
    return name if len(name) <= 64 else f"ACC-{sha256(party_id.encode()).hexdigest()[:40]}"


def priced(tariff: Tariff, amount: Decimal) -> tuple[Decimal, Decimal]:
    """Split a rounded amount in the tariff's terms into net and tax."""
    if tariff.taxIncluded:
        return net_of(amount, tariff.taxRate, tariff.currency)
    return amount, tax_on(amount, tariff.taxRate, tariff.currency)


def applied(row: Row[Any], zone: ZoneInfo) -> AppliedCharge:
    """A charge's row as a business object."""
    start, end = (datetime.combine(day, time(), zone).astimezone(UTC) if day else None
                  for day in (row.period_start, row.period_end))
    net, tax = (Money(unit=row.currency, value=value) for value in (row.net, row.tax))
    return AppliedCharge(id=row.id, name=row.name, product=row.product, periodStart=start, periodEnd=end, taxRate=row.tax_rate,
                         taxExcludedAmount=net, taxAmount=tax)


@dataclass(frozen=True, slots=True)
class Products:
    """The handlers for products, with the tariffs and the accounts' time zone."""

    tariffs: Mapping[str, Tariff]
    zone: ZoneInfo

    def start(self, envelope: Envelope[StartProductBilling], uow: UnitOfWork) -> ProductBilling:
        """Charge a product from `activeFrom`: once per product, whatever is asked twice.

        Raises Failure(INVALID) without a tariff, Failure(CONFLICT) when the account is another party's or currency's.
        """
        asked = envelope.body
        if (known := _product(uow, asked.product)) is not None:
            return self._answer(uow, known)
        tariff = self.tariffs.get(asked.productOffering)
        if tariff is None:
            raise Failure(Kind.INVALID, f"no tariff for {asked.productOffering}; there are {', '.join(sorted(self.tariffs))}",
                          "productOffering")
        account = self._account(uow, asked, tariff.currency)
        day = local_day(asked.activeFrom, self.zone)
        uow.insert(product_charge, product=asked.product, account=account, tariff=tariff.id, quantity=asked.quantity,
                   active_from=asked.activeFrom.astimezone(UTC), active_to=None, charged_to=day)
        for fee in tariff.oneTime:
            self._charge(uow, asked.product, account, tariff, fee.name, fee.amount * asked.quantity, None)
        self._charge_until(uow, asked.product, month_of(asked.activeFrom, self.zone).end)
        started = _product(uow, asked.product)
        assert started is not None  # inserted above
        return self._answer(uow, started)

    def stop(self, envelope: Envelope[StopProductBilling], uow: UnitOfWork) -> ProductBilling:
        """Charge to the day of `activeTo`, that day not included, and credit what was charged beyond it; once.

        Raises Failure(NOT_FOUND) for a product that was never charged, Failure(INVALID) for an end before its start.
        """
        asked = envelope.body
        known = _product(uow, asked.product)
        if known is None:
            raise Failure(Kind.NOT_FOUND, f"product {asked.product} is not charged", "product")
        if known.active_to is None:
            day, first = local_day(asked.activeTo, self.zone), local_day(utc(known.active_from), self.zone)
            if day < first:
                raise Failure(Kind.INVALID, "activeTo lies before the product became active", "activeTo")
            if day > known.charged_to:
                self._charge_until(uow, asked.product, day)
            elif day < known.charged_to:
                self._credit(uow, known, day)
            uow.execute(update(product_charge).where(product_charge.c.product == asked.product)
                        .values(active_to=asked.activeTo.astimezone(UTC), charged_to=day))
        return self._answer(uow, known)

    def charge_ahead(self, uow: UnitOfWork, account: str, day: date) -> None:
        """Charge an account's products to the end of the month that `day` is in. Raises Failure(STATE) when a tariff is gone."""
        rows = uow.execute(select(product_charge).where(
            product_charge.c.account == account, product_charge.c.active_to.is_(None)).order_by(product_charge.c.product)).all()
        gone = sorted({row.tariff for row in rows} - set(self.tariffs))
        if gone:
            raise Failure(Kind.STATE, f"the tariff {gone[0]} is gone")
        end = month_of(datetime.combine(day, time(12), self.zone), self.zone).end
        for row in rows:
            if row.charged_to < end:
                self._charge_until(uow, row.product, end)

    def _charge_until(self, uow: UnitOfWork, product: str, end: date) -> None:
        """Charge recurring fees for every day not charged yet before `end`, month by month."""
        row = _product(uow, product)
        assert row is not None  # the callers have just read or written it
        tariff = self.tariffs[row.tariff]
        for month, part in self._months(row.charged_to, end):
            for fee in tariff.recurring:
                amount = prorated(fee.amount * row.quantity, part, month, tariff.currency)
                self._charge(uow, product, row.account, tariff, fee.name, amount, part)
        uow.execute(update(product_charge).where(product_charge.c.product == product).values(charged_to=end))

    def _credit(self, uow: UnitOfWork, row: Row[Any], day: date) -> None:
        tariff = self.tariffs[row.tariff]
        for month, part in self._months(day, row.charged_to):
            for fee in tariff.recurring:
                amount = prorated(fee.amount * row.quantity, part, month, tariff.currency)
                self._charge(uow, row.product, row.account, tariff, f"{fee.name}, credit", -amount, part)

    def _months(self, start: date, end: date) -> list[tuple[Period, Period]]:
        months = []
        while start < end:
            month = month_of(datetime.combine(start, time(12), self.zone), self.zone)
            months.append((month, Period(start, min(month.end, end))))
            start = month.end
        return months

    @staticmethod
    def _charge(uow: UnitOfWork, product: str, account: str, tariff: Tariff, name: str, amount: Decimal,
                part: Period | None) -> None:
        net, tax = priced(tariff, rounded(amount, tariff.currency))
        uow.insert(charge, id=uow.new_id(), account=account, product=product, name=name, net=net, tax=tax, bill=None,
                   period_start=part and part.start, period_end=part and part.end, tax_fixed=int(tariff.taxIncluded),
                   tax_category=tariff.taxCategory, tax_rate=tariff.taxRate, currency=tariff.currency)

    @staticmethod
    def _account(uow: UnitOfWork, asked: StartProductBilling, currency: str) -> str:
        account, party = asked.account or account_of(asked.relatedParty.id), asked.relatedParty
        uow.execute(insert(billing_account).values(id=account, party=party.id, party_name=party.name, currency=currency)
                    .on_conflict_do_nothing())
        row = uow.execute(select(billing_account).where(billing_account.c.id == account)).one()
        if row.party != party.id:
            raise Failure(Kind.CONFLICT, f"account {account} belongs to another party", "account")
        if row.currency != currency:
            raise Failure(Kind.CONFLICT, f"account {account} is kept in {row.currency}, not {currency}", "account")
        return account

    def _answer(self, uow: UnitOfWork, row: Row[Any]) -> ProductBilling:
        rows = uow.execute(select(charge).where(charge.c.product == row.product)
                           .order_by(charge.c.period_start.nulls_first(), charge.c.id)).all()
        return ProductBilling(product=row.product, account=row.account, charge=tuple(applied(r, self.zone) for r in rows))


def _product(uow: UnitOfWork, product: str) -> Row[Any] | None:
    return uow.execute(select(product_charge).where(product_charge.c.product == product).with_for_update()).first()
