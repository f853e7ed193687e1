"""Bill runs: what an account owes becomes a numbered bill with its documents, account by account, each in a transaction of its own."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import Row, func, select, update

# SQLite understands the same `on conflict do nothing`, so PostgreSQL's insert serves both.
from sqlalchemy.dialects.postgresql import insert

from core.billing.calculation import Calculation
from core.billing.documents import documents
from core.billing.invoice_objects import BillAccount, BillRun, BillRunState, BillRunTotal, ContinueBillRun, ParkedAccount, RunBilling
from core.billing.objects import BillState, CustomerBill
from core.billing.products import Products
from core.billing.tables import bill, bill_document, bill_run, bill_run_account, bill_series, billing_account
from core.columns import utc
from core.messages.base import Money, one_line
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.money import local_day
from core.unit_of_work import ANSWER_LATER, AnswerLater, UnitOfWork

SERIES = "BILL"


@dataclass(frozen=True, slots=True)
class BillRuns:
    """The handlers of a run. A cycle ends at midnight before `cycleDate` begins, in the accounts' time zone: usage before that is
    billed; recurring fees are charged in advance to the end of the month that `cycleDate` is in. One step gives out `at_once`
    accounts.
    """

    calculation: Calculation
    products: Products
    at_once: int = 200

    def run(self, envelope: Envelope[RunBilling], uow: UnitOfWork) -> AnswerLater:
        """Begin a run; its answer comes when the last account is done. An account that has a bill of this cycle gets no other.

        Raises Failure(NOT_FOUND) for an unknown account, Failure(INVALID) for a cycle that has not ended: what it still brings
        would be on no bill of its.
        """
        asked, run = envelope.body, uow.new_id()
        today = local_day(uow.now, self.calculation.zone)
        if asked.cycleDate > today:
            raise Failure(Kind.INVALID, f"the cycle has not ended: the latest is that of {today}", "cycleDate")
        uow.insert(bill_run, id=run, request=envelope.message_id, cycle=asked.cycleDate, started=uow.now, completed=None, open=1)
        if asked.account is None:
            uow.send("billing", ContinueBillRun(run=run), key=run)
            return ANSWER_LATER
        if uow.execute(select(billing_account.c.id).where(billing_account.c.id == asked.account)).first() is None:
            raise Failure(Kind.NOT_FOUND, f"unknown account {asked.account}", "account")
        uow.send("billing", BillAccount(run=run, account=asked.account), key=asked.account)
        return ANSWER_LATER

    def go_on(self, envelope: Envelope[ContinueBillRun], uow: UnitOfWork) -> None:
        """Give out the next accounts of a run, a few at a time: however many there are, each step is short."""
        asked = envelope.body
        run = self._run(uow, asked.run)
        accounts = uow.execute(select(billing_account.c.id).where(billing_account.c.id > asked.after)
                               .order_by(billing_account.c.id).limit(self.at_once)).scalars().all()
        for account in accounts:
            uow.send("billing", BillAccount(run=run.id, account=account), key=account)
        if len(accounts) == self.at_once:
            uow.send("billing", ContinueBillRun(run=run.id, after=accounts[-1]), key=run.id)
            self._count(uow, run, len(accounts))
        else:
            self._count(uow, run, len(accounts) - 1)

    def account(self, envelope: Envelope[BillAccount], uow: UnitOfWork) -> None:
        """Bill one account, or park it with the reason; the last one ends the run."""
        asked = envelope.body
        run = self._run(uow, asked.run)
        number = reason = None
        try:
            number = self._issue(uow, asked.account, run.cycle)
        except Failure as failure:
            reason = one_line(failure.message)
        if number is not None or reason is not None:
            uow.insert(bill_run_account, run=asked.run, account=asked.account, bill=number, parked=reason)
        self._count(uow, run, -1)

    @staticmethod
    def _run(uow: UnitOfWork, run: str) -> Row[Any]:
        """The run, locked: its steps count themselves one after the other, and one bill at a time takes a number."""
        return uow.execute(select(bill_run).where(bill_run.c.id == run).with_for_update()).one()

    def _count(self, uow: UnitOfWork, run: Row[Any], more: int) -> None:
        """Count so many more steps that are open; answer when none is."""
        uow.execute(update(bill_run).where(bill_run.c.id == run.id).values(open=bill_run.c.open + more))
        if run.open + more == 0:
            uow.answer(run.request, self._completed(uow, run.id))

    def _issue(self, uow: UnitOfWork, account_id: str, cycle: date) -> str | None:
        """Issue the account's bill of a cycle; None when it has one, or owes nothing. Raises Failure before it takes a number."""
        account = uow.execute(select(billing_account).where(billing_account.c.id == account_id).with_for_update()).one()
        known = select(bill.c.number).where(bill.c.account == account_id, bill.c.cycle == cycle)
        if uow.execute(known).first() is not None:
            return None
        end = datetime.combine(cycle, time(), self.calculation.zone).astimezone(UTC)
        self.products.charge_ahead(uow, account_id, cycle)
        unbilled = self.calculation.unbilled(uow, account_id, before=end)
        if not unbilled.lines:
            return None
        number = self._number(uow)
        start = self._begun(uow, account_id, unbilled.lines, end)
        issued = self.calculation.bill(uow, account, unbilled, (start, end), BillState.VALIDATED, number)
        unbilled.mark(uow, account_id, number)
        uow.insert(bill, number=number, id=issued.id, account=account_id, cycle=cycle, period_end=end, currency=account.currency,
                   document=issued.model_dump_json(exclude_none=True))
        for made in documents(issued, self.calculation.zone, uow.new_id()):
            uow.insert(bill_document, id=made.id, bill=number, name=made.name, mime_type=made.mimeType, template=made.template,
                       sha256=made.sha256, content=made.content)
        return number

    @staticmethod
    def _number(uow: UnitOfWork) -> str:
        """The next number of the series: without a gap, since it is given back with the transaction."""
        uow.execute(insert(bill_series).values(series=SERIES, last=0).on_conflict_do_nothing())
        uow.execute(update(bill_series).where(bill_series.c.series == SERIES).values(last=bill_series.c.last + 1))
        return f"{SERIES}-{uow.execute(select(bill_series.c.last).where(bill_series.c.series == SERIES)).scalar_one():08d}"

    def _begun(self, uow: UnitOfWork, account: str, lines: Any, end: datetime) -> datetime:
        """When the period begins: where the last bill's ended, else with the month of the first charge."""
        last = uow.execute(select(func.max(bill.c.period_end)).where(bill.c.account == account)).scalar()
        if last is not None:
            return min(utc(last), end)
        first = min((line.periodStart for line, _, _ in lines if line.periodStart is not None), default=uow.now)
        day = local_day(first, self.calculation.zone).replace(day=1)
        return min(datetime.combine(day, time(), self.calculation.zone).astimezone(UTC), end)

    def _completed(self, uow: UnitOfWork, run_id: str) -> BillRun:
        uow.execute(update(bill_run).where(bill_run.c.id == run_id).values(completed=uow.now))
        run = uow.execute(select(bill_run).where(bill_run.c.id == run_id)).one()
        done = uow.execute(select(bill_run_account, bill.c.document)
                           .outerjoin(bill, bill.c.number == bill_run_account.c.bill)
                           .where(bill_run_account.c.run == run_id).order_by(bill_run_account.c.bill, bill_run_account.c.account)).all()
        bills = [row for row in done if row.bill is not None]
        return BillRun(
            id=run.id, cycleDate=run.cycle, state=BillRunState.COMPLETED, startDate=utc(run.started), completionDate=uow.now,
            billCount=len(bills), billNo=tuple(row.bill for row in bills), total=_totals(bills),
            parked=tuple(ParkedAccount(account=row.account, reason=row.parked) for row in done if row.bill is None))


def _totals(rows: list[Row[Any]]) -> tuple[BillRunTotal, ...]:
    by_currency: defaultdict[str, list[CustomerBill]] = defaultdict(list)
    for row in rows:
        issued = CustomerBill.model_validate_json(row.document)
        by_currency[issued.amountDue.unit].append(issued)

    def total(unit: str, amounts: list[Money]) -> Money:
        return Money(unit=unit, value=sum((a.value for a in amounts[1:]), amounts[0].value))

    return tuple(BillRunTotal(
        billCount=len(bills), taxExcludedAmount=total(unit, [b.taxExcludedAmount for b in bills]),
        taxAmount=total(unit, [b.taxAmount for b in bills]), taxIncludedAmount=total(unit, [b.taxIncludedAmount for b in bills]),
    ) for unit, bills in sorted(by_currency.items()))
