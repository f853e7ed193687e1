from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.commands.export import moment


def test_moments_of_the_command_line():
    assert moment("2026-11-01") == datetime(2026, 11, 1, tzinfo=UTC)
    assert moment("2026-11-01T08:00:00+01:00") == datetime(2026, 11, 1, 8, tzinfo=timezone(timedelta(hours=1)))
    assert moment("2026-11-01T08:00:00Z") == datetime(2026, 11, 1, 8, tzinfo=UTC)
    for wrong, says in (("tomorrow", "tomorrow is no time"), ("2026-11-01T08:00:00", "lacks its offset"), ("2026-13-01", "is no time")):
        with pytest.raises(argparse.ArgumentTypeError, match=says):
            moment(wrong)
