"""The quick faults of the table, in brief. `make chaos` runs all of them at length."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS, Fault, run
from tests.chaos.services import Missing

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS.values() if fault.quick], ids=lambda fault: fault.name)
def test_nothing_is_lost_doubled_or_stuck(fault: Fault, tmp_path: Path):
    try:
        verdict = run(fault, tmp_path, seed=1)
    except Missing as missing:
        pytest.fail(str(missing)) if os.environ.get("CI") == "true" else pytest.skip(str(missing))
    assert verdict.good, f"{verdict}\n{verdict.explained()}"
