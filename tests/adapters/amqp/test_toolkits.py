"""A client of another language, as partners have it: npm amqplib. (pika, blocking, is the one of all other tests.)"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

CLIENT = Path(__file__).parents[2] / "toolkits" / "clients" / "amqplib_client.js"
MODULES = Path(__file__).parents[3] / ".make" / "toolkits" / "node" / "node_modules"


@pytest_twisted.ensureDeferred
async def test_a_call_and_a_fault_with_amqplib(gate):
    if not shutil.which("node") or not (MODULES / "amqplib").exists():
        missing = "npm amqplib is not installed (tests/toolkits/install)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    _, prefix = await gate.listen()
    ran = await deferToThread(subprocess.run, ["node", CLIENT, gate.url, f"{prefix}.requests", "N-1"], capture_output=True, text=True,
                              timeout=30, check=False, env={**os.environ, "NODE_PATH": str(MODULES)})
    assert ran.stdout.splitlines() == ["call ProductOrder PO1 acknowledged", "fault Fault invalid"], ran.stdout + ran.stderr
    assert [envelope.idempotency_key for envelope in gate.taken] == ["N-1"]
