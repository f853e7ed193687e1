"""What an operator writes for credit: whom to ask, and what to make of the answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from core.credit.objects import Decision
from core.messages.base import Identifier, Money, Text


class Band(BaseModel):
    """From this score up (0 to 1000), this decision and these terms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_score: Annotated[int, Field(ge=0, le=1000)]
    decision: Decision
    terms: tuple[Text, ...] = ()


class CreditPolicy(BaseModel):
    """How credit is decided.

    `bureaus` are connectors in the order of asking: the next is asked when one is out of reach or silent for
    `bureau_timeout` seconds. `bands` turn a score into a decision where the bureau itself neither refused nor referred.
    Where no bureau answers, our own record decides, and the decision says that it is degraded: a bureau's report not older
    than `report_valid` hours counts as if it came now; without one, up to `degraded_limit` is approved for a party whose
    record is clean, and the rest is referred. More than `exposure_limit` for one party in all is referred.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bureaus: tuple[Identifier, ...] = ()
    bureau_timeout: Annotated[float, Field(gt=0, le=600)] = 5.0
    report_valid: Annotated[float, Field(ge=0, le=24 * 366)] = 24
    bands: Annotated[tuple[Band, ...], Field(min_length=1)]
    degraded_limit: Money
    exposure_limit: Money

    def band(self, score: int) -> Band:
        """Return the band a score falls in: the highest that begins at or below it, or the lowest of all."""
        ordered = sorted(self.bands, key=lambda band: band.from_score)
        return next((band for band in reversed(ordered) if band.from_score <= score), ordered[0])
