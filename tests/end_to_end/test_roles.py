"""One site as three processes that RabbitMQ connects: `uip serve SITE --role gateway|core|connector`."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.broker import vhost
from tests.end_to_end.running import MmlClient, Process, World, element, field, soap, submit_body, until_final, world

pytestmark = pytest.mark.timeout(120)


def serve(made: World, role: str, url: str) -> Process:
    return Process("serve", made.site, "--role", role, log=made.folder / f"{role}.log", UIP_BUS_URL=url)


def test_an_order_through_three_processes_is_completed_once_although_the_core_is_killed_in_its_midst(tmp_path: Path):
    with vhost() as url, world(tmp_path) as made, ExitStack() as running:
        processes = {}
        for role in ("core", "connector", "gateway"):
            processes[role] = serve(made, role, url)
            running.callback(processes[role].kill)
        gateway = processes["gateway"]
        status, answer = soap(gateway.port("soap"), submit_body("R-1", IMSI="240010000001555"), key="R-1")
        assert status == 200, answer
        order = element(answer, "id")
        deadline = time.monotonic() + 15
        while not made.report("hlr") and time.monotonic() < deadline:
            time.sleep(0.005)
        processes["core"].kill()
        assert 1 <= len(made.report("hlr")) < 4, "not in mid-order"
        again = serve(made, "core", url)
        running.callback(again.kill)
        mml = MmlClient(gateway.port("mml"))
        assert field(until_final(mml, order, 20), "state") == "completed"
        assert len(made.report("hlr")) == 4, made.report("hlr")
        assert soap(gateway.port("soap"), submit_body("R-1", IMSI="240010000001555"), key="R-1") == (200, answer)
        mml.close()
        assert [process.stop() for process in (gateway, processes["connector"], again)] == [0, 0, 0]
