"""The wall clock is set while the gateway runs."""

from __future__ import annotations

import time

import pytest
from twisted.internet.selectreactor import SelectReactor

from gateway.__main__ import steady


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_clock_that_is_set_moves_no_timeout(monkeypatch, step):
    reactor = steady(SelectReactor())
    fired: list[int] = []
    reactor.callLater(60, fired.append, 1)
    monkeypatch.setattr(SelectReactor, "seconds", staticmethod(lambda: time.time() + step))  # where Twisted looks, left to itself
    reactor.runUntilCurrent()
    assert not fired
    assert 59 < reactor.timeout() <= 60
