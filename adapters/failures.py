"""The one table that maps our failures to each protocol's way of saying them."""

from __future__ import annotations

from typing import NamedTuple

from core.messages.failures import Kind


class Said(NamedTuple):
    """A failure in each protocol: SOAP fault code (after the namespace prefix), MML RETCODE. AMQP says the kind itself."""

    soap: str
    retcode: int


FAILURES: dict[Kind, Said] = {
    Kind.MALFORMED: Said("Client.Malformed", 1001),
    Kind.INVALID: Said("Client.Invalid", 1002),
    Kind.UNKNOWN_OPERATION: Said("Client.UnknownOperation", 1003),
    Kind.AUTHENTICATION: Said("Client.Authentication", 1101),
    Kind.AUTHORIZATION: Said("Client.Authorization", 1102),
    Kind.CONFLICT: Said("Client.Conflict", 1201),
    Kind.NOT_FOUND: Said("Client.NotFound", 1202),
    Kind.STATE: Said("Client.State", 1203),
    Kind.BUSY: Said("Server.Busy", 2001),
    Kind.TIMEOUT: Said("Server.Timeout", 2002),
    Kind.UNAVAILABLE: Said("Server.Unavailable", 2003),
    Kind.INTERNAL: Said("Server.Internal", 2999),
}

BY_RETCODE: dict[int, Kind] = {said.retcode: kind for kind, said in FAILURES.items()}
BY_SOAP: dict[str, Kind] = {said.soap: kind for kind, said in FAILURES.items()}
