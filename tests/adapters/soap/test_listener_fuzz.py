"""The small fuzz run; `make fuzz` does the large one."""

from __future__ import annotations

from tests.fuzz import fuzz


def test_whatever_is_sent_gets_a_well_formed_answer_that_tells_nothing():
    outcome = fuzz(1_500, seed=20261124)
    assert sum(outcome.counts.values()) == 1_500
    for expected in ("200", "500 soap:Client.Malformed", "500 soap:Client.Invalid", "401 soap:Client.Authentication"):
        assert outcome.counts.get(expected, 0) > 5, outcome
