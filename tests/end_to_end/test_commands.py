"""The commands of README and --help, run as a newcomer would."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from gateway.__main__ import COMMANDS
from tests.end_to_end.running import Process, World, environment, free_port, json_lines, uip, world

pytestmark = pytest.mark.timeout(180)


def run(*arguments: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(uip(*arguments), cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=120)


def test_every_command_explains_itself(tmp_path):
    whole = run("--help", cwd=tmp_path)
    assert whole.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^    {command}\b", whole.stdout, re.MULTILINE)
        told = run(command, "--help", cwd=tmp_path)
        assert told.returncode == 0
        assert told.stdout.startswith(f"usage: uip {command}")


def test_a_wrong_command_is_refused(tmp_path):
    told = run("serv", cwd=tmp_path)
    assert told.returncode == 2
    assert "invalid choice: 'serv'" in told.stderr


def test_init_and_check(tmp_path):
    assert run("init", "site", cwd=tmp_path).returncode == 0
    told = run("check", "site", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "no parties, so nobody can log in yet" in told.stderr
    assert not (tmp_path / "site" / "data").exists(), "a check leaves nothing behind"
    assert run("init", "site", cwd=tmp_path).returncode == 1, "nothing is written over"
    (tmp_path / "site" / "uip.yaml").write_text("listeners: {soap: {transport: soap, prot: 8000}}\n")
    told = run("check", "site", cwd=tmp_path)
    assert told.returncode == 1
    assert "site/uip.yaml:1: listeners.soap.prot: is not known here; did you mean port?" in told.stderr
    told = run("serve", "site", cwd=tmp_path)
    assert told.returncode == 1
    assert "did you mean port?" in told.stderr


def test_serve_may_be_told_twice_to_stop(tmp_path):
    assert run("init", "site", "--demo", cwd=tmp_path).returncode == 0
    served = Process("serve", tmp_path / "site", log=tmp_path / "log")
    served.popen.send_signal(signal.SIGINT)
    assert served.stop() == 0
    logged = [line["event"] for line in json_lines(served.log)]
    assert logged[-1] == "stopped"
    assert "unhandled error" not in logged


def test_the_demo_once(tmp_path):
    ports = {f"UIP_{name}_PORT": str(free_port()) for name in ("CREDIT_BUREAU_SOAP", "CREDIT_BUREAU_MML", "HLR")}
    told = run("demo", "--once", cwd=tmp_path, UIP_AMQP_URL="amqp://127.0.0.1:1/", **ports)
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr
    for protocol in ("SOAP", "MML"):
        assert f"A new subscription by {protocol}" in told.stdout
    assert told.stdout.count("is completed after") == 2
    assert "No RabbitMQ broker answers" in told.stdout
    assert "crm-secret;" not in told.stdout
    assert "Console: http://127.0.0.1:" in told.stdout
    assert len((tmp_path / "demo" / "hlr.jsonl").read_text().splitlines()) == 8


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with world(tmp_path_factory.mktemp("world")) as made:
        made.start()
        yield made


@pytest.mark.parametrize("by", ["soap", "mml", "mml-framed"])
def test_call_by_each_protocol(running: World, by: str):
    port = running.gateway.port(by)
    at = f"http://127.0.0.1:{port}/soap" if by == "soap" else f"127.0.0.1:{port}"
    fields = [f"externalId=CALL-{by}", "relatedParty.id=C1", "relatedParty.name=Ann Lee", "productOrderItem.0.productOffering=mobile-basic"]
    told = run("call", "SubmitProductOrder", *fields, "--by", by, "--at", at, "--key", f"CALL-{by}", cwd=running.folder)
    assert told.returncode == 0, told.stderr
    order = json.loads(told.stdout)
    assert order["externalId"] == f"CALL-{by}"
    again = run("call", "SubmitProductOrder", *fields, "--by", by, "--at", at, "--key", f"CALL-{by}", cwd=running.folder)
    assert json.loads(again.stdout) == order
    told = run("call", "GetProductOrder", "id=nope", "--by", by, "--at", at, cwd=running.folder)
    assert told.returncode == 1
    assert json.loads(told.stderr)["code"] == "notFound"
    told = run("call", "GetProductOrder", "idd=x", "--by", by, "--at", at, cwd=running.folder)
    assert json.loads(told.stderr)["code"] == "invalid"


@pytest.mark.parametrize("by", ["soap", "mml"])
def test_call_says_what_is_not_offered(running: World, by: str):
    port = running.gateway.port(by)
    at = f"http://127.0.0.1:{port}/soap" if by == "soap" else f"127.0.0.1:{port}"
    told = run("call", "AmendProductOrder", "id=PO1", "note=x", "--by", by, "--at", at, cwd=running.folder)
    assert told.returncode == 1
    assert json.loads(told.stderr)["code"] == "unknownOperation"


def test_call_says_when_nobody_is_there(tmp_path):
    for by, at in (("soap", f"http://127.0.0.1:{free_port()}/soap"), ("mml", f"127.0.0.1:{free_port()}"), ("amqp", "amqp://127.0.0.1:1/")):
        told = run("call", "GetSystemStatus", "--by", by, "--at", at, cwd=tmp_path)
        assert told.returncode == 2
        assert told.stderr.startswith("uip: no") or "does not answer" in told.stderr


def test_bench_measures_a_running_gateway(running: World):
    told = run("bench", "--site", running.site, "--only", "soap,mml", "--seconds", "0.3", "--requests", "30", "--connections", "2",
               "--json", "rows.jsonl", cwd=running.folder)
    assert told.returncode == 0, told.stderr
    rows = [json.loads(line) for line in (running.folder / "rows.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == ["soap submit", "soap get", "soap refused", "mml submit", "mml get"]
    assert all(row["requests"] > 0 for row in rows)
