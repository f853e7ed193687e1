"""The envelope round every message on the bus: who asks, why, by when, and where the answer goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson

from core.messages.base import BusinessObject, as_json

ModelOf = Callable[[str], type[BusinessObject]]
Body = TypeVar("Body", bound=BusinessObject)


@dataclass(slots=True)
class Envelope(Generic[Body]):
    """One message on the bus. Nobody changes one, as several may hold it; frozen, it would cost thrice as much to make.

    `message_id` is unique for ever; a receiver takes each id once. `correlation_id` is the same for everything that one
    outside request sets off; `causation_id` is the message that led to this one. `idempotency_key` is what the asker
    named the request, unique per `party`. Messages with the same `key` (an order's id, say) are handled in the order they
    were sent. `deadline` is when the asker stops waiting, not when work stops. `reply_to` is a bus address.
    """

    body: Body
    message_id: str
    correlation_id: str
    occurred_at: datetime
    causation_id: str | None = None
    idempotency_key: str | None = None
    party: str = ""
    session: str = ""
    deadline: datetime | None = None
    reply_to: str | None = None
    key: str = ""
    attempt: int = 0
    version: int = 1
    type: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not self.type:
            self.type = type(self.body).__name__

    def to_json(self) -> bytes:
        """Encode for a broker or a table. `attempt` is the carrier's, not the message's, and stays out."""
        head = {
            "messageId": self.message_id, "correlationId": self.correlation_id, "causationId": self.causation_id,
            "idempotencyKey": self.idempotency_key, "type": self.type, "version": self.version, "party": self.party,
            "session": self.session, "occurredAt": self.occurred_at, "deadline": self.deadline,
            "replyTo": self.reply_to, "key": self.key,
        }
        return b'{"head":%b,"body":%b}' % (orjson.dumps(head), as_json(self.body).encode())

    @classmethod
    def from_json(cls, data: bytes, model_of: ModelOf, *, attempt: int = 0) -> Envelope[Any]:
        """Decode what `to_json` made; `model_of` finds the body's class by type name.

        Raises ValueError (pydantic's ValidationError is one) or KeyError when the data is not such a message.
        """
        whole = orjson.loads(data)
        head = whole["head"]
        body: Any = model_of(head["type"]).model_validate(whole["body"])
        return cls(
            body=body, message_id=head["messageId"], correlation_id=head["correlationId"], causation_id=head["causationId"],
            idempotency_key=head["idempotencyKey"], type=head["type"], version=head["version"], party=head["party"],
            session=head["session"], occurred_at=datetime.fromisoformat(head["occurredAt"]),
            deadline=datetime.fromisoformat(head["deadline"]) if head["deadline"] else None,
            reply_to=head["replyTo"], key=head["key"], attempt=attempt,
        )


def answer_id(message_id: str) -> str:
    """Return the id of the message that brings back what came of an outbound command: the same, however often it was carried out."""
    return f"{message_id}.re"
