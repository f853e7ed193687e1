"""The order of the tests, and that every asynchronous one comes to an end.

pytest-timeout interrupts what runs in a test's own frames. An asynchronous test that waits is in nobody's frame but the
reactor's, whose loop would log the interruption and go on: here its Deferred is cancelled instead, and the test fails where it waits.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from twisted.internet.defer import Deferred, ensureDeferred

settings.register_profile("house", settings(), deadline=None)  # the machine may be busy
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with tests that may take long come first, so that none of them is begun when the other processes have nothing left."""
    longest: dict[Path, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        longest[item.path] = max(longest.get(item.path, 0), mark.args[0] if mark else 0)
    items.sort(key=lambda item: -longest[item.path])


SECONDS = 45
"""Below pytest-timeout's, so that this one is first."""
_MARK = "_pytest_twisted_mark"


def bounded(waiting: Any) -> Deferred[Any]:
    from twisted.internet import reactor  # only now: pytest-twisted installs it

    return ensureDeferred(waiting).addTimeout(SECONDS, reactor)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    held = getattr(pyfuncitem.obj, "hypothesis", None)
    test = pyfuncitem.obj if held is None else held.inner_test
    if getattr(test, _MARK, None) != "async_test":
        return

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> Deferred[Any]:
        return bounded(test(*args, **kwargs))

    if held is None:
        pyfuncitem.obj = run
    else:
        held.inner_test = run


class Bounded:
    """An asynchronous fixture's generator, each step of which is bounded."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __anext__(self) -> Deferred[Any]:
        return bounded(self._generator.__anext__())


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: Any) -> None:
    make = fixturedef.func
    mark = getattr(make, _MARK, None)
    if mark is None or hasattr(make, "__wrapped__"):
        return

    @functools.wraps(make)
    def run(*args: Any, **kwargs: Any) -> Any:
        return Bounded(make(*args, **kwargs)) if mark == "async_yield_fixture" else bounded(make(*args, **kwargs))

    fixturedef.func = run
