from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability import _SECRET_VALUES, mask


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


@given(st.lists(st.sampled_from(["4" * 9, "4", "a", "://", "u:p", "@", 'PWD="', 'PSWD="', '"', " ", "é", "٣" * 10])).map("".join))
def test_the_quick_look_lets_no_secret_through(text):
    assert mask(None, "", {"event": text})["event"] == _SECRET_VALUES.sub("***", text)


def test_secrets_in_nested_values_are_hidden_too():
    assert mask(None, "", {"request": {"password": "p", "n": 1}}) == {"request": {"password": "***", "n": 1}}


def test_a_traceback_in_the_log_shows_no_values(tmp_path):
    script = tmp_path / "log.py"
    script.write_text("from gateway.observability import start_logging\nlog = start_logging()\n"
                      "def fails(password):\n    raise ValueError('no')\n"
                      "try:\n    fails('very-secret')\nexcept ValueError:\n    log.exception('it failed')\n")
    told = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": str(Path(__file__).parents[2])})
    assert "it failed" in told.stderr
    assert "ValueError" in told.stderr
    assert "very-secret" not in told.stderr.replace("fails('very-secret')", "")
