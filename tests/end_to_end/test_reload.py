"""A site's files change under a running gateway: open sessions go on, new ones find the new, a bad file changes nothing."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.end_to_end.running import MmlClient, environment, json_lines, retcode, uip, world

pytestmark = pytest.mark.timeout(120)


def logged(log: Path, event: str) -> list[dict[str, object]]:
    return [line for line in json_lines(log) if line["event"].startswith(event)]


def wait_for(log: Path, event: str, number: int = 1) -> None:
    end = time.monotonic() + 20
    while len(logged(log, event)) < number:
        assert time.monotonic() < end, log.read_text()[-2000:]
        time.sleep(0.02)


def reload(site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(uip("reload", site), env=environment(), capture_output=True, text=True)


def test_reload(tmp_path: Path):
    with world(tmp_path) as made:
        gateway = made.start()
        log = tmp_path / "gateway.log"
        old = MmlClient(gateway.port("mml"))
        file = made.site / "uip.yaml"
        text = file.read_text()

        changed = text.replace("secret: crm-secret", "secret: changed")
        file.write_text(changed.replace("dialect: huawei-text", "window: 4, dialect: huawei-text"))
        told = reload(made.site)
        assert told.returncode == 0, told.stderr
        wait_for(log, "reloaded")
        assert [line["listener"] for line in logged(log, "listener reloaded")] == ["mml"]
        assert retcode(old.ask("DSP STATUS:;")) == 0, "an open session goes on"
        new = MmlClient(gateway.port("mml"), login=False)
        assert retcode(new.ask('LGI:OPNAME="crm",PWD="crm-secret";')) == 1101
        assert retcode(new.ask('LGI:OPNAME="crm",PWD="changed";')) == 0

        file.write_text(text.replace("dialect: framed", "dialekt: framed"))
        told = reload(made.site)
        assert told.returncode == 1
        assert "listeners.mml-framed.dialekt: is not known here; did you mean dialect?" in told.stderr
        assert retcode(new.ask("DSP STATUS:;")) == 0
        assert len(logged(log, "reloaded")) == 1

        old.close()
        new.close()
        assert gateway.stop() == 0
        assert reload(made.site).returncode == 1, "nothing runs any more"
