"""`uip sim` as people run it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def start(*arguments: str) -> subprocess.Popen[str]:
    def hear_interrupts() -> None:  # a shell's background job, which a test run may be, ignores them, and so would its children
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen([sys.executable, "-m", "gateway", "sim", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            cwd=ROOT, preexec_fn=hear_interrupts)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_ready_work_report_and_a_clean_end(tmp_path: Path, how: signal.Signals) -> None:
    report = tmp_path / "report.jsonl"
    process = start("hlr", "--port", "0", "--report", str(report))
    try:
        line = process.stdout.readline()
        assert line.startswith("ready hlr=127.0.0.1:")
        with socket.create_connection(("127.0.0.1", int(line.rpartition(":")[2])), timeout=10) as peer:
            peer.sendall(b'LGI:OPNAME="uip",PWD="uip-secret";ADD SUB:IMSI=240010000000001,ISDN=4790000001;')
            answer = b""
            while answer.count(b"---    END") < 2:
                answer += peer.recv(4096)
        assert json.loads(report.read_text())["command"] == "ADD SUB"
        process.send_signal(how)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("arguments", "told"), [(("nonsense",), "no such file"), (("hlr", "--fault", "dorp"), "is not a fault"),
                                                 (("hlr", "credit-bureau-mml", "--port", "0"), "--port is for one"),
                                                 (("hlr", "--alarm", "link-failure:in=3"), "NAME:after=SECONDS"),
                                                 (("hlr", "--alarm", "nothing"), "there is no alarm nothing")])
def test_what_is_wrong_is_said(arguments: tuple[str, ...], told: str) -> None:
    process = start(*arguments)
    _, errors = process.communicate(timeout=20)
    assert process.returncode != 0
    assert told in errors
    assert "Traceback" not in errors
