"""Every way a request can fail, in our own words. How each protocol says it is one table in `adapters.failures`."""

from __future__ import annotations

from enum import StrEnum

from core.messages.base import BusinessObject, Identifier, Text, one_line


class Kind(StrEnum):
    """Whose fault it is and what the asker may do about it."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    UNKNOWN_OPERATION = "unknownOperation"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    CONFLICT = "conflict"
    NOT_FOUND = "notFound"
    STATE = "state"
    BUSY = "busy"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class Fault(BusinessObject):
    """A failure as a message: what the asker is told. Never a stack trace."""

    code: Kind
    message: Text
    field: Text | None = None
    correlationId: Identifier | None = None


class Failure(Exception):
    """Raised anywhere on a request's way to answer it with a fault.

    `field` is the path of the offending field in the business object (`productOrderItem[0].action`), where one is known;
    `message` names what is allowed. Both reach the asker, so neither may hold a secret or an internal name.
    `correlation_id` is filled in where the request's is known, and goes into the fault.
    """

    def __init__(self, kind: Kind, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.field = field
        self.correlation_id: str | None = None

    def fault(self, correlation_id: str | None = None) -> Fault:
        """Turn the failure into the message the asker gets."""
        return Fault(code=self.kind, message=one_line(self.message), field=self.field and one_line(self.field),
                     correlationId=correlation_id or self.correlation_id)

    @classmethod
    def of(cls, fault: Fault) -> Failure:
        """Turn a fault message that came back into the failure it describes."""
        return cls(fault.code, fault.message, fault.field)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" + (f" (field {self.field})" if self.field else "")
