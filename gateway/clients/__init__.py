"""Plain clients of the three native protocols, for `uip call` and `uip demo`: what a party's own program would do.

Each has `call(request, key)` returning the reply as a business object or raising the Failure it was answered with, and
`said`, the conversation as it went over the wire.
"""

from __future__ import annotations

from typing import Protocol

from core.messages.base import BusinessObject
from core.messages.catalogue import OPERATIONS, Operation
from core.messages.failures import Failure, Kind


class Unreachable(Exception):
    """The gateway cannot be talked to at all; the text says where it was looked for and why not."""


class Client(Protocol):
    """One party's way to a gateway."""

    said: list[tuple[str, str]]
    """What went over the wire: `>` sent, `<` received, and the text."""

    def call(self, request: BusinessObject, key: str | None = None) -> BusinessObject:
        """Ask. Raises Failure with what the gateway answered, Unreachable when it cannot be asked."""

    def close(self) -> None:
        """End the conversation."""


def operation_of(request: BusinessObject) -> Operation:
    """Return the catalogue's row of a request. Raises Failure(UNKNOWN_OPERATION)."""
    name = type(request).__name__
    for operation in OPERATIONS:
        if operation.name == name:
            return operation
    raise Failure(Kind.UNKNOWN_OPERATION, f"unknown operation {name}")
