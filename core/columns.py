"""Column types the cores share, and what the databases keep differently."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import String, TypeDecorator


class DecimalText(TypeDecorator[Decimal]):
    """A Decimal, kept digit for digit: SQLite would make a binary float of a number."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> str | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """Write it without an exponent. Raises TypeError for anything but a Decimal."""
        if value is not None and not isinstance(value, Decimal):
            raise TypeError(f"money is Decimal, not {type(value).__name__}")
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Any) -> Decimal | None:  # noqa: ARG002 (as above)
        """Read it back."""
        return None if value is None else Decimal(value)


def utc(instant: datetime) -> datetime:
    """Return an instant read from a table with its zone: what is written is UTC, but SQLite keeps no zone."""
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
