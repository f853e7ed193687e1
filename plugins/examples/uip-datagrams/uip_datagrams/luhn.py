"""The check digit of ICCIDs and IMEIs (ISO/IEC 7812-1, annex B): a sum over all digits, which no pattern can express.

A function takes the value as text and returns what becomes of it; a ValueError's text tells the asker what is wrong.
"""

from __future__ import annotations


def check_digit(digits: str) -> str:
    """The digit that belongs behind `digits`."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def with_check_digit(text: str) -> str:
    """Add the check digit."""
    return _digits(text) + check_digit(text)


def checked(text: str) -> str:
    """Take a number whose check digit is right."""
    if len(_digits(text)) < 2 or check_digit(text[:-1]) != text[-1]:
        raise ValueError("the check digit is wrong")
    return text


def _digits(text: str) -> str:
    if not text.isascii() or not text.isdecimal():
        raise ValueError("must be digits")
    return text
