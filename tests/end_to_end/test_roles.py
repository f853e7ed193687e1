"""One site as three processes that RabbitMQ connects: `uip serve SITE --role gateway|core|connector`."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.adapters.store.conftest import postgresql  # noqa: F401  # a fixture
from tests.broker import vhost
from tests.end_to_end.running import MmlClient, Process, World, element, field, soap, submit_body, until_final, world

pytestmark = pytest.mark.timeout(120)


def serve(made: World, role: str, url: str, **env: str) -> Process:
    return Process("serve", made.site, "--role", role, log=made.folder / f"{role}.log", UIP_BUS_URL=url, **env)


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


def test_of_two_cores_on_one_database_one_is_killed_and_the_other_goes_on(tmp_path: Path, postgresql: str):  # noqa: F811
    with vhost() as url, world(tmp_path) as made, ExitStack() as running:
        env = {"UIP_DATABASE_URL": postgresql}
        processes = [serve(made, role, url, **env) for role in ("core", "core", "connector", "gateway")]
        for process in processes:
            running.callback(process.kill)
        *cores, connector, gateway = processes
        orders = []
        for number in range(6):
            status, answer = soap(gateway.port("soap"), submit_body(f"N-{number}", customer=f"N{number}"), key=f"N-{number}")
            assert status == 200, answer
            orders.append(element(answer, "id"))
        deadline = time.monotonic() + 15
        while not made.report("hlr") and time.monotonic() < deadline:
            time.sleep(0.005)
        cores[0].kill()
        assert 1 <= len(made.report("hlr")) < 4 * len(orders), "not in the midst of the orders"
        mml = MmlClient(gateway.port("mml"))
        assert {field(until_final(mml, one, 40), "state") for one in orders} == {"completed"}
        applied = [(line["command"], line["key"]) for line in made.report("hlr")]
        assert len(applied) == len(set(applied)) == 4 * len(orders)
        mml.close()
        assert [process.stop() for process in (gateway, connector, cores[1])] == [0, 0, 0]


def test_an_alarm_goes_from_the_connectors_process_to_the_core_s_and_is_read_through_the_gateway_s(tmp_path: Path):
    with vhost() as url, world(tmp_path) as made, ExitStack() as running:
        made.say_alarms("cpu-overload")
        processes = [serve(made, role, url) for role in ("core", "connector", "gateway")]
        for process in processes:
            running.callback(process.kill)
        mml = MmlClient(processes[2].port("mml"))
        deadline = time.monotonic() + 30
        while "CPU overload" not in mml.ask("LST ALARM:SOURCE=hlr;"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        mml.close()
        assert [process.stop() for process in processes[::-1]] == [0, 0, 0]
