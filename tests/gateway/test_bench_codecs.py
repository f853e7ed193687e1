"""The bench of the codecs measures what it says: whole commands, understood, checked and answered, in every bundled dialect."""

from __future__ import annotations

import sys

import pytest

from config.loader import BUNDLED
from gateway.bench.codecs import DEPTH, PARAMETERS, CodecRow, Exchange, bundled, table
from protocols.dialects import client_codec
from protocols.mapping import MappingError

NAMES = sorted(file.stem for file in (BUNDLED / "dialects").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_answered_with_what_was_asked(name):
    dialect = bundled(name)
    answers = Exchange(dialect).answered(Exchange(dialect).asked(DEPTH))
    assert len(answers) == DEPTH
    reports = [r for r in client_codec(dialect).receive_data(b"".join(answers)) if hasattr(r, "retcode")]
    assert len(reports) == DEPTH
    for report in reports:
        assert dialect.results.means(report.retcode) == "success"
        assert {"ORDERNO": "PO0197f2a4c3b1", "STATUS": "acknowledged", "REF": "R-1000234"}.items() <= dict(report.fields).items()


@pytest.mark.parametrize("name", NAMES)
def test_a_command_can_be_as_long_as_is_wanted(name):
    exchange = Exchange(bundled(name, 64_000))
    assert 64_000 <= len(exchange.asked(1, 64_000)) <= 64_010
    assert len(exchange.answered(exchange.asked(1, 64_000))) == 1


def test_what_is_asked_is_checked():
    exchange = Exchange(bundled("huawei-text"))
    assert len(PARAMETERS) == 15
    with pytest.raises(MappingError, match="quantity: must be at most 10"):
        exchange.answered(exchange.asked(1).replace(b"COUNT=1,", b"COUNT=11,"))


@pytest.mark.parametrize("name", NAMES)
def test_a_map_of_2000_commands_costs_no_more_work_than_one_of_10(name):
    dialect = bundled(name)
    few, many = (calls_of(Exchange(dialect, commands)) for commands in (10, 2_000))
    assert few == many


def test_the_table_sets_each_beside_the_floor():
    shown = table([CodecRow("split", 200_000, 5.0), CodecRow("huawei-text", 40_000, 25.0, (50.0, 20.0, 10.0), (25.0, 26.0))])
    assert shown.splitlines()[2].split() == ["huawei-text", "40,000", "25.0", "50.0", "20.0", "10.0", "25.0", "26.0", "0.20", "x", "split"]


def calls_of(exchange: Exchange) -> int:
    """How many functions, Python's and C's, a command takes once all caches know it."""
    data = exchange.asked(1)
    exchange.answered(data)
    count = 0

    def profile(_frame, event, _argument):
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        exchange.answered(data)
    finally:
        sys.setprofile(None)
    return count
