"""`kill -9` at any moment of an order: started again, the gateway completes it once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.end_to_end.running import MmlClient, element, field, soap, submit_body, until_final, world

pytestmark = pytest.mark.timeout(180)


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
