"""Why there is no broker is told in an operator's words, and in the driver's."""

from __future__ import annotations

import pytest
from pika.exceptions import ProbableAccessDeniedError, ProbableAuthenticationError
from twisted.internet.error import ConnectionRefusedError as NobodyListens
from twisted.internet.error import DNSLookupError

from adapters.amqp.errors import reason_of


@pytest.mark.parametrize(("error", "told"), [
    (ProbableAuthenticationError("(403)"), "the broker refuses the user or the password of `url` ((403))"),
    (ProbableAccessDeniedError("(530)"), "the broker has no such vhost as `url` names, or does not let the user in there ((530))"),
    (NobodyListens(), "no broker answers there; is it running, and does `url` name its address? (Connection was refused by other side.)"),
    (DNSLookupError("none"), "`url` names a host that there is not (DNS lookup failed: none.)"),
    (ConnectionError("the broker went away"), "the broker went away"),
    (ConnectionError(), "ConnectionError()"),
])
def test_the_reasons(error, told):
    assert reason_of(error) == told
