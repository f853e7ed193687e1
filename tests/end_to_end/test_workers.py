"""`uip serve SITE --workers 2`: one site in two processes behind the same ports, on one PostgreSQL database."""

from __future__ import annotations

import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.adapters.store.conftest import postgresql  # noqa: F401  # a fixture
from tests.end_to_end.running import MmlClient, Process, World, element, field, soap, submit_body, until_final, world

pytestmark = pytest.mark.timeout(120)


@contextmanager
def two_workers(made: World, database: str) -> Iterator[Process]:
    process = Process("serve", made.site, "--workers", "2", log=made.folder / "gateway.log", UIP_DATABASE_URL=database)
    try:
        yield process
    finally:
        left = children(process.popen.pid)
        process.kill()
        for pid in left:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def children(pid: int) -> set[int]:
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except FileNotFoundError:
        return set()


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def until(true: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def workers_with_figures(process: Process) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{process.port('console')}/metrics", timeout=10) as answer:
        return set(re.findall(r'^uip_sessions\{worker="(\d)"\}', answer.read().decode(), re.MULTILINE))


def order(process: Process, number: int) -> str:
    status, answer = soap(process.port("soap"), submit_body(f"W-{number}", customer=f"W{number}"), key=f"W-{number}")
    assert status == 200, answer
    return element(answer, "id")


def everything_once(made: World, orders: list[str]) -> None:
    """The element has had each order's four commands, and none of them twice."""
    applied = [(line["command"], line["key"]) for line in made.report("hlr")]
    assert len(applied) == 4 * len(orders)
    assert len(set(applied)) == len(applied)


def test_a_worker_killed_in_the_midst_of_orders_is_taken_over_and_replaced_and_nobody_is_turned_away(tmp_path: Path, postgresql: str):  # noqa: F811
    with world(tmp_path) as made, two_workers(made, postgresql) as process:
        before = children(process.popen.pid)
        assert len(before) == 2
        assert {os.sched_getscheduler(worker) for worker in before} == {os.SCHED_BATCH}
        until(lambda: workers_with_figures(process) == {"1", "2"})
        orders = [order(process, number) for number in range(8)]
        until(lambda: made.report("hlr"))
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        assert len(made.report("hlr")) < 4 * len(orders), "not in the midst of them"
        for _ in range(10):  # the other one lets them in
            MmlClient(process.port("mml")).close()
        until(lambda: len(children(process.popen.pid)) == 2 and victim not in children(process.popen.pid))
        orders.append(order(process, 8))
        mml = MmlClient(process.port("mml"))
        assert {field(until_final(mml, one), "state") for one in orders} == {"completed"}
        everything_once(made, orders)
        mml.close()
        left = children(process.popen.pid)
        assert process.stop() == 0
        assert not any(map(alive, left))


def test_a_rolling_restart_turns_nobody_away(tmp_path: Path, postgresql: str):  # noqa: F811
    with world(tmp_path) as made, two_workers(made, postgresql) as process:
        before = children(process.popen.pid)
        process.popen.send_signal(signal.SIGUSR1)
        orders = []
        end = time.monotonic() + 20
        while len(children(process.popen.pid)) < 2 or children(process.popen.pid) & before:
            assert time.monotonic() < end, "not restarted in time"
            orders.append(order(process, len(orders)))
            time.sleep(0.1)
        mml = MmlClient(process.port("mml"))
        assert {field(until_final(mml, one), "state") for one in orders} == {"completed"}
        everything_once(made, orders)
        mml.close()
        assert process.stop() == 0
