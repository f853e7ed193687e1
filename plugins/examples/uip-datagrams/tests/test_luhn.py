"""The check digit."""

from __future__ import annotations

import pytest
from uip_datagrams.luhn import checked, with_check_digit


@pytest.mark.parametrize(("number", "digit"), [("7992739871", "3"), ("49015420323751", "8"), ("0", "0")])
def test_known_numbers(number: str, digit: str) -> None:
    assert with_check_digit(number) == number + digit
    assert checked(number + digit) == number + digit


@pytest.mark.parametrize("wrong", ["79927398710", "490154203237517", "", "1", "12x", "\uff11\uff12"])
def test_what_is_wrong_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="digit"):
        checked(wrong)


def test_every_single_wrong_digit_is_found() -> None:
    right = with_check_digit("893101000000000000")
    for place, digit in enumerate(right):
        for other in "0123456789":
            if other != digit:
                with pytest.raises(ValueError, match="check digit"):
                    checked(right[:place] + other + right[place + 1:])
