"""Usage: taken once by (source, usageId), guided to a product of the account, rated by its tariff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal, localcontext

from sqlalchemy import or_, select, update

from core.billing.catalog import Tariff
from core.billing.objects import RecordUsage, UsageAck, UsageState
from core.billing.tables import billing_account, product_charge, usage
from core.messages.base import Money, as_json
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.money import rate
from core.unit_of_work import UnitOfWork

# An Amount has 18 digits, 9 of them decimal places.
_TOO_MUCH = Decimal(10) ** 9


class _Unrated(Exception):
    """Usage cannot be rated; the text says why."""


@dataclass(frozen=True, slots=True)
class Usages:
    """The handler for usage, with the tariffs it rates by."""

    tariffs: Mapping[str, Tariff]

    def record(self, envelope: Envelope[RecordUsage], uow: UnitOfWork) -> UsageAck:
        """Rate usage and keep it for the next bill, or reject it with the reason. The same report gets the same answer; but what was
        rejected is recycled: rated now, when it can be now.

        Raises Failure(CONFLICT) when what was reported under the same source and usageId was other usage.
        """
        report = envelope.body
        known = uow.execute(select(usage).where(usage.c.source == report.source, usage.c.usage_id == report.usageId)).first()
        if known is not None:
            date = known.date if known.date.tzinfo is not None else known.date.replace(tzinfo=UTC)
            if (known.account, known.type, date, known.quantity) != (
                    report.account, report.usageType, report.usageDate.astimezone(UTC), report.quantity):
                raise Failure(Kind.CONFLICT, f"{report.source} has reported other usage as {report.usageId}", "usageId")
            if known.state != UsageState.REJECTED:
                return UsageAck.model_validate_json(known.answer)
        product, rated = None, None
        head = {"id": known.id if known is not None else uow.new_id(), "source": report.source, "usageId": report.usageId}
        try:
            product, tariff = self._guide(uow, report)
            rated = _rated(report, tariff)
        except _Unrated as reason:
            answer = UsageAck(**head, state=UsageState.REJECTED, reason=str(reason))
        else:
            net, tax = _split(rated, tariff)
            answer = UsageAck(**head, state=UsageState.RATED, ratedAmount=Money(unit=tariff.currency, value=net),
                              taxAmount=Money(unit=tariff.currency, value=tax))
        told = {"product": product, "state": answer.state, "rated": rated, "answer": as_json(answer)}
        if known is None:
            uow.insert(usage, source=report.source, usage_id=report.usageId, id=answer.id, account=report.account, type=report.usageType,
                       date=report.usageDate.astimezone(UTC), quantity=report.quantity, bill=None, **told)
        else:
            uow.execute(update(usage).where(usage.c.source == report.source, usage.c.usage_id == report.usageId).values(told))
        return answer

    def _guide(self, uow: UnitOfWork, report: RecordUsage) -> tuple[str, Tariff]:
        """Find the product that the usage is of: the first of the account's, active at that time, with a rate for it."""
        if uow.execute(select(billing_account.c.id).where(billing_account.c.id == report.account)).first() is None:
            raise _Unrated(f"unknown account {report.account}")
        date = report.usageDate.astimezone(UTC)
        rows = uow.execute(select(product_charge.c.product, product_charge.c.tariff).where(
            product_charge.c.account == report.account, product_charge.c.active_from <= date,
            or_(product_charge.c.active_to.is_(None), product_charge.c.active_to > date),
        ).order_by(product_charge.c.active_from, product_charge.c.product)).all()
        if not rows:
            raise _Unrated(f"account {report.account} had no active product at {report.usageDate.isoformat()}")
        for row in rows:
            tariff = self.tariffs.get(row.tariff)
            if tariff is not None and report.usageType in tariff.usage:
                return row.product, tariff
        raise _Unrated(f"no rate for usage type {report.usageType}")


def _rated(report: RecordUsage, tariff: Tariff) -> Decimal:
    with localcontext(prec=60):
        amount = rate(report.quantity * tariff.usage[report.usageType].rate)
    if amount >= _TOO_MUCH:
        raise _Unrated("the rated amount is out of bounds")
    return amount


def _split(amount: Decimal, tariff: Tariff) -> tuple[Decimal, Decimal]:
    """Net and tax of one usage, unrounded to 9 places: rounding waits for the bill's line, the sum of many."""
    with localcontext(prec=60):
        if tariff.taxIncluded:
            net = rate(amount * 100 / (100 + tariff.taxRate))
            return net, amount - net
        return amount, rate(amount * tariff.taxRate / 100)
