"""`kill -9` at any moment of an order: started again, the gateway completes it once."""

from __future__ import annotations

import http.client
import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.running import MmlClient, World, element, field, soap, submit_body, until_final, world

STATES = r"^(acknowledged|inProgress|pending|held|completed|failed|partial) "
pytestmark = pytest.mark.timeout(180)
MILESTONES = ("creditApproved", "serviceOrderIssued", "serviceActivated", "billingStarted")


def test_killed_in_mid_order_and_started_again_it_is_completed_once(tmp_path: Path):
    with world(tmp_path) as made:
        gateway = made.start()
        _, answer = soap(gateway.port("soap"), submit_body("K-1", IMSI="240010000001444"), key="K-1")
        order = element(answer, "id")
        deadline = time.monotonic() + 20
        while not made.report("hlr") and time.monotonic() < deadline:
            time.sleep(0.005)
        gateway.kill()
        gateway = made.start()
        mml = MmlClient(gateway.port("mml"))
        assert field(until_final(mml, order, 60), "state") == "completed"
        assert len(made.report("hlr")) == 4, made.report("hlr")
        _, again = soap(gateway.port("soap"), submit_body("K-1", IMSI="240010000001444"), key="K-1")
        assert again == answer
        mml.close()
        assert gateway.stop() == 0


KILLS = range(3, 15, 2)
"""The first commits of a process are its start; an order takes about a dozen."""


def customer_of(number: int) -> dict[str, str]:
    return {"customer": f"KC{number}", "IMSI": f"2400100{number:08}"}


def end_of(made: World, mml: MmlClient, port: int, number: int) -> dict[str, object]:
    """Everything that counts about an order's end, with what differs from order to order taken out."""
    customer = customer_of(number)
    _, answer = soap(port, submit_body(f"KK-{number}", **customer), key=f"KK-{number}")
    order = until_final(mml, element(answer, "id"), 60)
    bill = mml.ask(f'RUN BILL:ACCOUNT="ACC-{customer["customer"]}";')
    applied = [line for line in made.report("hlr") if customer["IMSI"] in json.dumps(line)]
    return {
        "state": field(order, "state"),
        "milestones": [name for name in MILESTONES if re.search(rf"^{name} ", order, re.MULTILINE)],
        "history": re.findall(STATES, order.partition("stateChange")[2], re.MULTILINE),
        "commands": [line["command"] for line in applied],
        "total": field(bill, "taxIncludedAmount.value"),
        "charges": len(re.findall(r"^.*(?:Activation|Monthly) fee", bill, re.MULTILINE)),
    }


def survives_kills(when: str, folder: Path) -> None:
    """Kill the gateway before (or after) one commit after the other, each time with a new order; then see how they all ended."""
    folder.mkdir()
    with world(folder) as made:
        gateway = made.start()
        mml = MmlClient(gateway.port("mml"))
        undisturbed = end_of(made, mml, gateway.port("soap"), 0)
        assert undisturbed["state"] == "completed"
        assert len(undisturbed["commands"]) == 4
        assert gateway.stop() == 0
        answered: dict[int, str] = {}
        for number, kill in enumerate(KILLS, 1):
            gateway = made.start(killed=(when, kill))
            # Where it dies before it has answered: accepted or not, the same key asks again below.
            with suppress(OSError, http.client.HTTPException):
                _, answered[number] = soap(gateway.port("soap"), submit_body(f"KK-{number}", **customer_of(number)), key=f"KK-{number}")
            assert gateway.popen.wait(60) == -signal.SIGKILL, f"{kill} was not reached"
        gateway = made.start()
        mml = MmlClient(gateway.port("mml"))
        for number, kill in enumerate(KILLS, 1):
            assert end_of(made, mml, gateway.port("soap"), number) == undisturbed, (when, kill)
            if number in answered:
                _, again = soap(gateway.port("soap"), submit_body(f"KK-{number}", **customer_of(number)), key=f"KK-{number}")
                assert again == answered[number]
        assert len(made.report("hlr")) == 4 * (len(KILLS) + 1)
        mml.close()
        assert gateway.stop() == 0


def test_killed_before_and_after_each_commit_every_order_ends_as_if_undisturbed(tmp_path: Path):
    with ThreadPoolExecutor(2) as side_by_side:  # most of the time is the start of processes, and there are two cores
        for done in [side_by_side.submit(survives_kills, when, tmp_path / when) for when in ("before", "after")]:
            done.result()


def test_sigterm_drains_and_ends_with_zero(tmp_path: Path):
    with world(tmp_path) as made:
        gateway = made.start()
        status, answer = soap(gateway.port("soap"), submit_body("D-1"))
        assert status == 200
        assert gateway.stop() == 0
        gateway = made.start()
        mml = MmlClient(gateway.port("mml"))
        assert field(until_final(mml, element(answer, "id"), 30), "state") == "completed"
        mml.close()
