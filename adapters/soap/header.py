"""The Context header of the native contract, as a business object so that its schema is derived like all others."""

from __future__ import annotations

from core.messages.base import Identifier, Instant
from plugins.api import BusinessObject
from plugins.api import Context as Said


class Context(BusinessObject):
    """What an asker may say about a request: its idempotency key (the same key again gets the same answer), the id that goes
    through all that follows from it, and the instant after which nobody waits for the answer.
    """

    idempotencyKey: Identifier | None = None  # noqa: N815  # the element's name
    correlationId: Identifier | None = None  # noqa: N815  # the element's name
    deadline: Instant | None = None

    def said(self) -> Said:
        """In the words of the plug-in interface."""
        return Said(self.idempotencyKey, self.correlationId, self.deadline)
