"""An answer in parts: taken apart, written, read and joined it is what it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.mml import Dialect, Joiner, MmlClientCodec, MmlServerCodec, Report, parted
from tests.protocols.mml.speaking import DIALECTS

ROWS = st.lists(st.just({"A": "1", "B": "x"}), min_size=2, max_size=9).map(tuple)


def joined(parts: list[Report]) -> Report | None:
    joiner = Joiner()
    whole = [joiner.add(part) for part in parts]
    assert whole[:-1] == [None] * (len(whole) - 1)
    return whole[-1]


@given(tables=st.dictionaries(st.sampled_from("TUV"), ROWS, max_size=3), most=st.integers(1, 5))
@settings(deadline=None)
def test_parts_are_small_enough_and_add_up(tables: dict[str, Any], most: int) -> None:
    report = Report("0", "fine", {"X": "1"}, tuple(tables.items()), "LST SUB")
    parts = parted(report, most)
    assert all(sum(len(rows) for _, rows in part.tables) <= most for part in parts)
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert joined(parts) == report


@pytest.mark.parametrize("name", ["huawei-text", "tl1"])
def test_parts_go_over_the_wire(name: str) -> None:
    dialect: Dialect = DIALECTS[name]
    rows = tuple({"A": str(number), "B": "x"} for number in range(7))
    report = Report(dialect.results.ok, "Operation succeeded" if name == "huawei-text" else "", {}, (("rows", rows),), transaction="C7",
                    source="NE", time="26-11-24 08:54:14")
    wire = b"".join(map(MmlServerCodec(dialect).send, parted(report, 3)))
    heard = [event for event in MmlClientCodec(dialect).receive_data(wire) if isinstance(event, Report)]
    assert len(heard) == 3
    whole = joined(heard)
    assert whole is not None
    assert whole.tables == report.tables
