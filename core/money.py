"""Money: decimal amounts in ISO 4217 currencies, rounded half up, and the sums and splits that bills are made of.

Rates carry 9 decimal places; an amount on a line is rounded to the currency's minor unit, and lines are summed after they
are rounded (EN 16931-1, BR-CO-10, BR-CO-14). A binary float is a TypeError everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import groupby
from zoneinfo import ZoneInfo

RATE_PLACES = 9
_HUNDRED = Decimal(100)
# ISO 4217 minor units that are not 2.
_MINOR_UNITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
                     "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def minor_units(currency: str) -> int:
    """Return how many decimal places amounts in this currency have (ISO 4217)."""
    return _MINOR_UNITS.get(currency, 2)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Round half up, away from zero at the half, to the currency's minor unit. Raises TypeError for anything but a Decimal."""
    return _to_places(amount, minor_units(currency))


def rate(value: Decimal) -> Decimal:
    """Round a rate half up to 9 places."""
    return _to_places(value, RATE_PLACES)


def _to_places(amount: Decimal, places: int) -> Decimal:
    if not isinstance(amount, Decimal):
        raise TypeError(f"money is Decimal, not {type(amount).__name__}")
    with localcontext(prec=60):
        quantized = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return quantized or quantized.copy_abs()  # no negative zero on a bill


def tax_on(net: Decimal, percent: Decimal, currency: str) -> Decimal:
    """Return the tax on a net amount."""
    with localcontext(prec=60):
        return rounded(net * percent / _HUNDRED, currency)


def net_of(gross: Decimal, percent: Decimal, currency: str) -> tuple[Decimal, Decimal]:
    """Split an amount that includes tax into net and tax; they add up to it exactly (2.99 at 4 % is 2.88 and 0.11)."""
    whole = rounded(gross, currency)
    with localcontext(prec=60):
        net = rounded(whole * _HUNDRED / (_HUNDRED + percent), currency)
    return net, whole - net


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `start` up to, but not including, `end`, in an account's time zone."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError("a period ends no earlier than it starts")

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days

    def instants(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return its bounds as instants in UTC."""
        start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (self.start, self.end))
        return start, end


def month_of(instant: datetime, zone: ZoneInfo) -> Period:
    """Return the calendar month an instant falls into, seen in that time zone."""
    first = local_day(instant, zone).replace(day=1)
    return Period(first, (first + timedelta(days=32)).replace(day=1))


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """Return the day of an instant in that time zone. Raises ValueError for a naive datetime."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(zone).date()


def prorated(amount: Decimal, part: Period, whole: Period, currency: str) -> Decimal:
    """Return the part's share of an amount for the whole period, by days (30.00 over 31 days: 17 days are 16.45).

    The share is the difference of two rounded running totals, so the shares of a period cut anywhere, any number of
    times, add up to the whole amount exactly. Raises ValueError when the part is not within the whole.
    """
    if part.start < whole.start or part.end > whole.end or not whole.days:
        raise ValueError("the part is not within the period")

    def up_to(day: date) -> Decimal:
        with localcontext(prec=60):
            # Counted back from the end: the commonest part, activation to the end of the month, is then rounded alone.
            return rounded(amount * (whole.end - day).days / whole.days, currency)

    return up_to(part.start) - up_to(part.end)


@dataclass(frozen=True, slots=True)
class TaxGroup:
    """Tax of one (category, rate) group: EN 16931 BG-23."""

    category: str
    percent: Decimal
    net: Decimal
    tax: Decimal


def tax_groups(lines: Iterable[tuple[str, Decimal, Decimal, Decimal | None]], currency: str) -> tuple[TaxGroup, ...]:
    """Sum lines (category, percent, rounded net, tax if it is fixed already) into groups, in order of category and rate.

    The tax of a group is reckoned once, on its net sum (BR-CO-17), so that it does not depend on how it was cut into
    lines; only tax that was fixed with a tax-inclusive price is added as it is, for the customer pays the price agreed.
    """
    ordered = sorted(lines, key=lambda line: (line[0], line[1]))
    groups = []
    for (category, percent), members in groupby(ordered, key=lambda line: (line[0], line[1])):
        open_net = fixed_net = fixed_tax = Decimal(0)
        for _, _, net, tax in members:
            if tax is None:
                open_net += net
            else:
                fixed_net, fixed_tax = fixed_net + net, fixed_tax + tax
        groups.append(TaxGroup(category, percent, open_net + fixed_net, tax_on(open_net, percent, currency) + fixed_tax))
    return tuple(groups)
