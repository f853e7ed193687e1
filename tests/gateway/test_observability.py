from __future__ import annotations

import pytest

from gateway.observability import mask


@pytest.mark.parametrize("key", ["password", "PWD", "secret", "token", "msisdn", "IMSI", "isdn", "Authorization"])
def test_a_secret_s_value_is_hidden_by_its_key(key):
    assert mask(None, "", {key: "abc"}) == {key: "***"}


@pytest.mark.parametrize(("text", "masked"), [
    ("ADD SUB:IMSI=460001234567890", "ADD SUB:IMSI=***"),
    ('LGI:OPNAME="crm",PWD="crm-secret";', 'LGI:OPNAME="crm",PWD="***";'),
    ("amqp://guest:guest@127.0.0.1:5672/", "amqp://***@127.0.0.1:5672/"),
    ("order 01JD0000000000000000000000 took 1234 ms", "order 01JD0000000000000000000000 took 1234 ms"),
])
def test_a_secret_is_hidden_by_what_it_looks_like(text, masked):
    assert mask(None, "", {"event": text})["event"] == masked


def test_secrets_in_nested_values_are_hidden_too():
    assert mask(None, "", {"request": {"password": "p", "n": 1}}) == {"request": {"password": "***", "n": 1}}
