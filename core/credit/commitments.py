"""What a party has at risk: committed for a purpose when credit is approved, released when the purpose has gone."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import ColumnElement, and_, delete, insert, select, update

from core.credit.objects import ReleaseCredit
from core.credit.tables import credit_commitment, credit_profile
from core.messages.envelope import Envelope
from core.unit_of_work import UnitOfWork


def committed(uow: UnitOfWork, party: str, purpose: str | None) -> Decimal:
    """Return what is committed for this purpose; nothing for no purpose."""
    if purpose is None:
        return Decimal(0)
    amount: Decimal | None = uow.execute(select(credit_commitment.c.amount).where(_of(party, purpose))).scalar()
    return amount if amount is not None else Decimal(0)


def commit(uow: UnitOfWork, party: str, purpose: str, amount: Decimal) -> None:
    """Make `amount` what is committed for this purpose. The caller holds the party's profile locked."""
    before = committed(uow, party, purpose)
    if before == amount:
        return
    uow.execute(delete(credit_commitment).where(_of(party, purpose)))
    if amount:
        uow.execute(insert(credit_commitment).values(party=party, purpose=purpose, amount=amount))
    exposure: Decimal = uow.execute(select(credit_profile.c.exposure).where(credit_profile.c.party == party)).scalar_one()
    uow.execute(update(credit_profile).where(credit_profile.c.party == party).values(exposure=exposure - before + amount))


def release(command: Envelope[ReleaseCredit], uow: UnitOfWork) -> None:
    """Take back what was committed, or a part of it; never more than there is."""
    asked = command.body
    profile = select(credit_profile.c.party).where(credit_profile.c.party == asked.party).with_for_update()
    if uow.execute(profile).first() is None:
        return
    left = committed(uow, asked.party, asked.purpose) - asked.amount.value if asked.amount is not None else Decimal(0)
    commit(uow, asked.party, asked.purpose, max(left, Decimal(0)))


def _of(party: str, purpose: str) -> ColumnElement[bool]:
    return and_(credit_commitment.c.party == party, credit_commitment.c.purpose == purpose)
