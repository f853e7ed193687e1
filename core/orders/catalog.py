"""What an operator writes for ordering: the offerings a party may ask for."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from core.messages.base import Identifier, Money, Text


class Offering(BaseModel):
    """A product offering (TMF620). `serviceSpecification` names the recipe that delivers it; `exposure` is what one of it
    puts at risk and credit has to be authorised for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Identifier
    name: Text
    description: Text | None = None
    serviceSpecification: Identifier
    exposure: Money
