"""What can become of a message we publish, beside being taken for good; and of a connection, beside being made."""

from __future__ import annotations

from collections.abc import Mapping

from pika.exceptions import ProbableAccessDeniedError, ProbableAuthenticationError
from twisted.internet.error import ConnectionRefusedError as NobodyListens
from twisted.internet.error import DNSLookupError

_NOT_MADE: Mapping[type[Exception], str] = {
    NobodyListens: "no broker answers there; is it running, and does `url` name its address?",
    DNSLookupError: "`url` names a host that there is not",
    ProbableAuthenticationError: "the broker refuses the user or the password of `url`",
    ProbableAccessDeniedError: "the broker has no such vhost as `url` names, or does not let the user in there",
}


class PublishError(Exception):
    """The message was not taken, or nobody knows whether it was. The text names no body and no password."""


class NotConnected(PublishError):
    """There is no connection to the broker, or no room to wait for it; nothing was sent."""


class Unroutable(PublishError):
    """The broker gave the message back: no queue takes it."""


class Refused(PublishError):
    """The broker would not take the message (basic.nack): a full queue, say."""


class Unconfirmed(PublishError):
    """The message was sent and no confirm came, in time or ever: the broker may have it."""


def reason_of(error: Exception) -> str:
    """Say why there is no connection: what is wrong with the setting where that is known, and what the driver says."""
    said = str(error) or repr(error)
    words = next((words for kind, words in _NOT_MADE.items() if isinstance(error, kind)), None)
    return f"{words} ({said})" if words else said
