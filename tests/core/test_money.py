"""Money: nothing is lost or made by rounding, splitting and summing."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import Period, local_day, minor_units, month_of, net_of, prorated, rounded, tax_groups, tax_on

D = Decimal
AMOUNTS = st.decimals(min_value=D("-1000000"), max_value=D("1000000"), places=2)
PERCENTS = st.sampled_from([D(0), D(4), D("7.7"), D(12), D(25)])
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])


def test_the_examples_of_the_contract() -> None:
    march = Period(date(2026, 3, 1), date(2026, 4, 1))
    assert prorated(D("30.00"), Period(date(2026, 3, 15), date(2026, 4, 1)), march, "EUR") == D("16.45")
    assert net_of(D("2.99"), D(4), "EUR") == (D("2.88"), D("0.11"))


@pytest.mark.parametrize(("amount", "currency", "expected"), [
    ("0.005", "EUR", "0.01"), ("-0.005", "EUR", "-0.01"), ("2.5", "JPY", "3"), ("1.0005", "KWD", "1.001"),
    ("-0.001", "EUR", "0.00"),
])
def test_rounding_is_half_up_to_the_minor_unit(amount: str, currency: str, expected: str) -> None:
    assert str(rounded(D(amount), currency)) == expected
    assert -rounded(D(amount), currency).as_tuple().exponent == minor_units(currency)


@pytest.mark.parametrize("value", [1.5, 1, "1"])
def test_money_is_never_anything_but_decimal(value: Any) -> None:
    with pytest.raises(TypeError):
        rounded(value, "EUR")


def test_a_float_rate_is_refused() -> None:
    with pytest.raises(TypeError):
        tax_on(D(1), 25.0, "EUR")  # type: ignore[arg-type]


@given(amount=AMOUNTS, days=st.integers(1, 400), data=st.data(), currency=CURRENCIES)
def test_prorations_of_a_period_cut_anywhere_add_up(amount: Decimal, days: int, data: Any, currency: str) -> None:
    start = date(2026, 1, 10)
    whole = Period(start, start + timedelta(days=days))
    cuts = sorted(data.draw(st.sets(st.integers(0, days), max_size=8)) | {0, days})
    parts = [Period(start + timedelta(days=a), start + timedelta(days=b)) for a, b in itertools.pairwise(cuts)]
    assert sum(prorated(amount, p, whole, currency) for p in parts) == rounded(amount, currency)


@given(gross=AMOUNTS, percent=PERCENTS, currency=CURRENCIES)
def test_net_and_tax_add_up_to_the_price_and_a_reversal_cancels_it(gross: Decimal, percent: Decimal, currency: str) -> None:
    net, tax = net_of(gross, percent, currency)
    assert net + tax == rounded(gross, currency)
    assert net_of(-gross, percent, currency) == (-net, -tax)


@given(st.lists(st.tuples(st.sampled_from("SZ"), PERCENTS, AMOUNTS, st.one_of(st.none(), AMOUNTS)), max_size=20))
def test_tax_groups_hold_every_line_once(lines: list[tuple[str, Decimal, Decimal, Decimal | None]]) -> None:
    groups = tax_groups(lines, "EUR")
    assert sum(g.net for g in groups) == sum(line[2] for line in lines)
    assert [(g.category, g.percent) for g in groups] == sorted({(c, p) for c, p, _, _ in lines})
    assert tax_groups(reversed(lines), "EUR") == groups
    for g in groups:
        if all(t is None for c, p, _, t in lines if (c, p) == (g.category, g.percent)):
            assert g.tax == tax_on(g.net, g.percent, "EUR")


def test_days_and_months_are_the_accounts_own() -> None:
    oslo, instant = ZoneInfo("Europe/Oslo"), datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
    assert local_day(instant, oslo) == date(2026, 4, 1)
    assert month_of(instant, oslo) == Period(date(2026, 4, 1), date(2026, 5, 1))
    assert Period(date(2026, 3, 1), date(2026, 4, 1)).instants(oslo) == (
        datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))
    with pytest.raises(ValueError, match="time zone"):
        local_day(datetime(2026, 3, 1), oslo)  # noqa: DTZ001 (that is the point)


def test_a_part_outside_its_period_is_refused() -> None:
    march = Period(date(2026, 3, 1), date(2026, 4, 1))
    with pytest.raises(ValueError, match="not within"):
        prorated(D(30), Period(date(2026, 2, 28), date(2026, 4, 1)), march, "EUR")
