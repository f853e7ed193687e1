"""`uip call` finds the demo site where the environment has put it."""

from __future__ import annotations

import pytest

from gateway.commands.call import default_at


@pytest.mark.parametrize(("by", "environment", "address"), [
    ("soap", {}, "http://127.0.0.1:8000/soap"), ("soap", {"UIP_SOAP_PORT": "9"}, "http://127.0.0.1:9/soap"),
    ("mml-framed", {"UIP_MML_FRAMED_PORT": "7", "UIP_MML_PORT": "8"}, "127.0.0.1:7"), ("mml", {"UIP_MML_PORT": ""}, "127.0.0.1:7776"),
    ("amqp", {}, "amqp://guest:guest@127.0.0.1:5672/%2F"), ("amqp", {"UIP_AMQP_URL": "amqp://b/v"}, "amqp://b/v")])
def test_the_environment_says_where_the_demo_site_is(by: str, environment: dict[str, str], address: str) -> None:
    assert default_at(by, environment) == address
