"""A protocol that an operator has defined in one file is served, carried out, tried and reloaded like a native one."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.end_to_end.running import MmlClient, World, environment, field, uip, world

pytestmark = pytest.mark.timeout(120)
LOGIN = 'LGI:OPNAME="crm",PWD="crm-secret";'


def with_own_protocol(made: World) -> Path:
    subprocess.run(uip("new-protocol", "legacy-crm", "--into", made.site / "protocols"), check=True, env=environment(), capture_output=True)
    file = made.site / "uip.yaml"
    file.write_text(file.read_text().replace("listeners:\n", "listeners:\n  legacy: {protocol: legacy-crm, port: 0}\n"))
    return made.site / "protocols" / "legacy-crm.yaml"


def test_an_order_by_a_foreign_command_is_completed_and_the_file_reloaded(tmp_path: Path):
    with world(tmp_path) as made:
        file = with_own_protocol(made)
        gateway = made.start()
        old = MmlClient(gateway.port("legacy"), login=False)
        assert "RETCODE = 0 " in old.ask(LOGIN)
        new = 'NEW SUBSCRIBER:REF="R-1",CUSTOMER="C1",NAME="Ann Lee",PLAN="01",MSISDN=4790000007;'
        answer = old.ask(new)
        order = field(answer, "ORDERNO")
        assert f"RETCODE = 0  Order {order}" in answer
        assert field(old.ask(new), "ORDERNO") == order, "the reference is the idempotency key"
        end = time.monotonic() + 30
        while field(old.ask(f'SHOW SUBSCRIBER:ORDERNO="{order}";'), "STATUS") != "completed":
            assert time.monotonic() < end
            time.sleep(0.05)
        assert len([line for line in made.report("hlr") if "4790000007" in str(line)]) == 1, "the element was told the number once"
        assert "RETCODE = 100  PLAN: must be one of 01, 02" in old.ask('NEW SUBSCRIBER:REF="R-2",CUSTOMER="C1",NAME="N",PLAN="09";')
        assert "RETCODE = 404  Not found" in old.ask('SHOW SUBSCRIBER:ORDERNO="nope";')
        assert "RETCODE = 1003" in old.ask('LST ORDER:ORDERID="x";')

        file.write_text(file.read_text().replace('code: "404"', 'code: "777"'))
        gateway.popen.send_signal(signal.SIGHUP)
        end = time.monotonic() + 20
        while True:
            fresh = MmlClient(gateway.port("legacy"), login=False)
            fresh.ask(LOGIN)
            said = fresh.ask('SHOW SUBSCRIBER:ORDERNO="nope";')
            fresh.close()
            if "RETCODE = 777" in said:
                break
            assert time.monotonic() < end, said
            time.sleep(0.1)
        assert "RETCODE = 404" in old.ask('SHOW SUBSCRIBER:ORDERNO="nope";'), "who is connected stays on what it began with"

        file.write_text(file.read_text().replace("request: GetProductOrder", "request: GetProductOder"))
        gateway.popen.send_signal(signal.SIGHUP)
        end = time.monotonic() + 20
        while "did you mean GetProductOrder" not in gateway.log.read_text():
            assert time.monotonic() < end
            time.sleep(0.1)
        fresh = MmlClient(gateway.port("legacy"), login=False)
        assert "RETCODE = 0 " in fresh.ask(LOGIN)
        assert "RETCODE = 777" in fresh.ask('SHOW SUBSCRIBER:ORDERNO="nope";'), "a bad file changes nothing"
        old.close()
        fresh.close()
        assert gateway.stop() == 0
