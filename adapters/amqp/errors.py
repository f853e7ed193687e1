"""What can become of a message we publish, beside being taken for good."""

from __future__ import annotations


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
