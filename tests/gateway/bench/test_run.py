"""A load beside its floor: in turns, with numbers of their own, the ratio that of the turns."""

from __future__ import annotations

import os
from array import array

import pytest

from gateway.bench.load import Sample
from gateway.bench.run import Plan, measured


class Played:
    """A load that plays samples of so many requests in a second, and notes what it was asked for."""

    def __init__(self, *rates: int) -> None:
        self.rates = list(rates)
        self.asked: list[tuple[float, int, int]] = []

    def __call__(self, plan, first, tick):
        self.asked.append((plan.seconds, plan.requests, first))
        count = self.rates[(len(self.asked) - 1) % len(self.rates)]
        return Sample(array("d", [0.5] * count), 1.0)


def test_a_machine_that_is_slower_for_a_while_does_not_decide_the_ratio():
    load, floor = Played(200, 30, 30, 10, 30, 30), Played(10, 10, 1, 10, 10)
    row = measured("soap get", os.getpid(), Plan(seconds=10, requests=1000), load, floor=floor)
    assert (row.ratio, row.floor) == (3.0, "spyne")
    assert (row.requests, row.rate, row.p50) == (130, 26.0, 500.0)
    assert [asked[:2] for asked in load.asked] == [(10, 200), *[(2.0, 200)] * 5]
    assert [first for _, _, first in load.asked] == [0, 200, 230, 260, 270, 300], "a number comes twice"
    assert len(floor.asked) == 5


def test_without_a_floor_all_is_measured_at_once():
    load = Played(200, 50)
    row = measured("mml get", os.getpid(), Plan(seconds=10), load)
    assert (row.requests, row.ratio, row.floor) == (50, None, None)
    assert [first for _, _, first in load.asked] == [0, 200]


@pytest.mark.parametrize("requests", [1, 4, 7])
def test_few_requests_are_dealt_out_over_the_turns(requests):
    load = Played(1)
    measured("soap get", os.getpid(), Plan(requests=requests), load, floor=Played(1))
    assert sum(asked for _, asked, _ in load.asked[1:]) >= requests
