"""The example plug-in, installed from its folder as a stranger would: its own tests, and a gateway that has it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "plugins" / "examples" / "uip-datagrams"

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a process in which the package is installed. Neither the network nor this environment is touched."""
    where = tmp_path_factory.mktemp("site-packages")
    source = tmp_path_factory.mktemp("source") / "package"  # a build leaves its traces where it builds
    subprocess.run([sys.executable, "-c", "import shutil, sys; shutil.copytree(*sys.argv[1:])", EXAMPLE, source], check=True)
    made = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
                           "--disable-pip-version-check", "--target", where, source], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("UIP_")}
    return {**inherited, "PYTHONPATH": f"{where}{os.pathsep}{ROOT}"}


def uip(installed: Mapping[str, str], *arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "gateway", *map(str, arguments)], env=installed, input=given, capture_output=True,
                          text=True, check=False)


def test_its_own_tests_pass(installed: Mapping[str, str]) -> None:
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--reactor=default", "--rootdir", EXAMPLE,
                          "-c", os.devnull, EXAMPLE / "tests"], env=installed, cwd=EXAMPLE, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_without_it_its_names_are_not_known(tmp_path: Path) -> None:
    plain = {**os.environ, "PYTHONPATH": str(ROOT)}
    (tmp_path / "sim-cards.yaml").write_text(PROTOCOL)
    tried = uip(plain, "try", tmp_path / "sim-cards.yaml", given="X;")
    assert (tried.returncode, "there is no function luhn" in tried.stderr) == (1, True)


PROTOCOL = """\
protocol: sim-cards
transport: mml
dialect: huawei-text
serves:
  commands:
    ADD CARD:
      request: QualifyService
      takes:
        productOffering: {from: mobile-basic}
        serviceCharacteristic:
          list:
            of:
              - {name: {from: ICCID}, value: {from: $ICCID, apply: [luhn]}}
              - {name: {from: IMEI}, value: {from: $IMEI, apply: [luhn_checked]}}
"""


def test_a_protocol_file_uses_its_functions(installed: Mapping[str, str], tmp_path: Path) -> None:
    file = tmp_path / "sim-cards.yaml"
    file.write_text(PROTOCOL)
    right = uip(installed, "try", file, given="ADD CARD:ICCID=7992739871,IMEI=490154203237518;")
    assert right.returncode == 0, right.stdout + right.stderr
    assert "value: '79927398713'" in right.stdout
    wrong = uip(installed, "try", file, given="ADD CARD:ICCID=7992739871,IMEI=490154203237517;")
    assert (wrong.returncode, "FAILED: IMEI: the check digit is wrong" in wrong.stdout) == (1, True)


def test_a_gateway_listens_with_its_transport(installed: Mapping[str, str], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert uip(installed, "init", site).returncode == 0
    text = (site / "uip.yaml").read_text()
    text = re.sub(r"(?ms)^(parties|listeners|console):.*?(?=^\S|\Z)", "", text)
    (site / "uip.yaml").write_text(text + """
parties: [{name: crm, secret: crm-secret}]
listeners: {sensors: {transport: datagram, port: 0}}
console: {port: 0}
""")
    checked = uip(installed, "check", site)
    assert checked.returncode == 0, checked.stderr
    process = subprocess.Popen([sys.executable, "-m", "gateway", "serve", site], env=installed, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        ready = process.stdout.readline()
        found = re.search(r"sensors=127\.0\.0\.1:(\d+)", ready)
        assert found, ready + process.stderr.read()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(10)
            for secret, answered in (("crm-secret", "SystemStatus"), ("wrong", "Fault")):
                asked = {"party": "crm", "secret": secret, "operation": "GetSystemStatus"}
                peer.sendto(json.dumps(asked).encode(), ("127.0.0.1", int(found[1])))
                answer = json.loads(peer.recv(65_536))
                assert answer["type"] == answered, answer
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
