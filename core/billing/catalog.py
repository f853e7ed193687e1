"""What an operator writes for billing: tariffs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from core.messages.base import Currency, Identifier, Text


def _exact(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("write it in quotes: a decimal number, never a binary float")  # noqa: TRY004 (pydantic wants ValueError)
    return value


Rate = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, max_digits=18, decimal_places=9)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fee(_Entry):
    """An amount in the tariff's currency."""

    name: Text
    amount: Rate


class UsageRate(_Entry):
    """What one unit of a usage type costs."""

    name: Text
    rate: Rate


class Tariff(_Entry):
    """What a product of the offering `id` costs: once, a calendar month in advance, and by use. With `taxIncluded` every
    amount contains its tax. `taxCategory` is a UNCL 5305 code (S, Z, E, ...); `taxRate` is in percent.
    """

    id: Identifier
    currency: Currency
    taxCategory: Identifier = "S"
    taxRate: Rate
    taxIncluded: bool = False
    oneTime: tuple[Fee, ...] = ()
    recurring: tuple[Fee, ...] = ()
    usage: Mapping[Identifier, UsageRate] = Field(default_factory=dict)
