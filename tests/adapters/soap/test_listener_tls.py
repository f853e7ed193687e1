"""Mutual TLS: the certificate says who asks, and no certificate of our authority is no connection."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

import pytest
from pytest_twisted import ensureDeferred

from config.settings import Tls
from tests.adapters.soap.conftest import BASIC
from tests.adapters.test_endpoints import certificate
from tests.protocols.soap.messages import SUBMIT, soap


@pytest.fixture
def settings(tmp_path):
    certificate(tmp_path, "authority")
    certificate(tmp_path, "localhost", signed_by="authority")
    certificate(tmp_path, "partner-7", signed_by="authority")
    certificate(tmp_path, "stranger")
    return {"tls": Tls(certificate=tmp_path / "localhost.pem", key=tmp_path / "localhost.key", authority=tmp_path / "authority.pem"),
            "certificates": {"partner-7": "crm"}}


def ask(port, folder, name: str | None, **headers: str) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    if name:
        context.load_cert_chain(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    asking = urllib.request.Request(f"https://127.0.0.1:{port.number}/soap", soap(SUBMIT).encode(), {"Content-Type": "text/xml", **headers})
    try:
        with urllib.request.urlopen(asking, context=context, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@ensureDeferred
async def test_a_certificate_logs_in(port, tmp_path):
    status, answer = await port.in_thread(ask, port, tmp_path, "partner-7")
    assert (status, "<id>PO1</id>" in answer) == (200, True)
    assert port.gateway.calls[0][0].party == "crm"


@ensureDeferred
async def test_a_certificate_nobody_maps_may_still_log_in_by_name(port, tmp_path):
    assert (await port.in_thread(ask, port, tmp_path, "localhost"))[0] == 401
    assert (await port.in_thread(lambda: ask(port, tmp_path, "localhost", Authorization=BASIC)))[0] == 200


@ensureDeferred
@pytest.mark.parametrize("name", [None, "stranger"])
async def test_without_a_certificate_of_the_authority_nobody_comes_in(port, tmp_path, name):
    with pytest.raises(OSError):  # noqa: PT011  # how TLS says no differs by version
        await port.in_thread(lambda: ask(port, tmp_path, name, Authorization=BASIC))
    assert not port.gateway.calls
