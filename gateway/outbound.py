"""Between the bus and a connector: perform the command, then hand what came of it to the core that asked, durably."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from core.bus import Bus, Receiver
from core.messages.base import BusinessObject
from core.messages.envelope import Envelope, answer_id
from core.messages.failures import Failure


def address_of(connector_name: str) -> str:
    """Return the bus address of a connector."""
    return f"connector.{connector_name}"


Perform = Callable[[Envelope[Any]], Awaitable[BusinessObject]]
"""Carries out one outbound command: see `plugins.api.Connector.perform`."""


def receiver_for(perform: Perform, bus: Bus, utcnow: Callable[[], datetime]) -> Receiver:
    """Make the bus receiver of a connector.

    The command counts as taken only when its outcome has been committed by the core that asked. A crash before that
    performs it again, with `attempt` > 0, and the answer carries the same message id, so the core takes it once.
    """

    async def receive(envelope: Envelope[Any]) -> None:
        outcome: BusinessObject
        try:
            outcome = await perform(envelope)
        except Failure as failure:
            outcome = failure.fault(envelope.correlation_id)
        if envelope.reply_to:
            await bus.send(envelope.reply_to, answer_to(envelope, outcome, utcnow()))

    return receive


def answer_to(request: Envelope[Any], outcome: BusinessObject, now: datetime) -> Envelope[Any]:
    """Wrap the outcome of an outbound command as the message that goes back. Its id follows from the request's."""
    return Envelope(body=outcome, message_id=answer_id(request.message_id), correlation_id=request.correlation_id,
                    causation_id=request.message_id, occurred_at=now, party=request.party, session=request.session,
                    key=request.key)
