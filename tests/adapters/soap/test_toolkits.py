"""The toolkits partners bring: each makes a call, reads a typed fault, and sends the Context header. (zeep: test_listener.py.)"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred

from tests.adapters.soap.standin import DOCUMENTS

CLIENTS = Path(__file__).parents[2] / "toolkits" / "clients"
MODULES = Path(__file__).parents[3] / ".make" / "toolkits" / "node" / "node_modules"
TOOLKITS = {
    "suds-community": ([sys.executable, CLIENTS / "suds_client.py"], lambda: importlib.util.find_spec("suds")),
    "npm soap": (["node", CLIENTS / "node_soap.js"], lambda: shutil.which("node") and (MODULES / "soap").exists()),
    "npm strong-soap": (["node", CLIENTS / "strong_soap.js"], lambda: shutil.which("node") and (MODULES / "strong-soap").exists()),
    "PHP SoapClient": (["php", CLIENTS / "php_soap.php"],
                       lambda: shutil.which("php") and _runs("php", "-r", "class_exists('SoapClient') or exit(1);")),
    "gSOAP": ([CLIENTS / "gsoap.sh"], lambda: all(map(shutil.which, ("wsdl2h", "soapcpp2", "gcc")))),
    "JAX-WS RI": ([CLIENTS / "jax_ws.sh"], lambda: all(map(shutil.which, ("wsimport", "javac", "java")))),
    "Perl SOAP::Lite": (["perl", CLIENTS / "soap_lite.pl"], lambda: shutil.which("perl") and _runs("perl", "-MSOAP::Lite", "-e", "1")),
}

DOCUMENTED = {"suds-community": 1, "PHP SoapClient": 1, "gSOAP": 1, "JAX-WS RI": 2}
"""Those that read a bill's documents too, and how often: in the message, attached (gSOAP), or both ways (JAX-WS)."""


def _runs(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@ensureDeferred
@pytest.mark.parametrize("toolkit", TOOLKITS)
async def test_a_call_a_fault_and_a_header(port, toolkit):
    command, there = TOOLKITS[toolkit]
    if not there():
        missing = f"{toolkit} is not installed (tests/toolkits/install)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, port.url + "?wsdl", "T-1"], capture_output=True, text=True, timeout=40, check=False,
                              env={**os.environ, "NODE_PATH": str(MODULES)})
    ran = await port.in_thread(run)
    call, fault, *bill = [*ran.stdout.splitlines(), "", ""]
    assert call == "call PO1 acknowledged", ran.stdout + ran.stderr
    assert fault.split(maxsplit=1)[0] == "fault"
    assert fault.split()[1].endswith("Client.NotFound")
    assert fault.split()[2] == "notFound"
    if toolkit in DOCUMENTED:
        documents = [document.hex() for document in DOCUMENTS]
        assert bill[0].split() == ["bill", *documents * DOCUMENTED[toolkit]], ran.stdout + ran.stderr
    assert port.gateway.calls[0][2].idempotency_key == "T-1"
    assert port.gateway.calls[0][0].party == "crm"
