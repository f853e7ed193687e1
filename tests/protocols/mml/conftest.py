"""Property tests with parameters: pytest-twisted wraps a test's inner function at every call and never takes the wrapping off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> Iterator[Any]:
    handle = getattr(pyfuncitem.obj, "hypothesis", None)
    inner = handle.inner_test if handle is not None else None
    try:
        return (yield)
    finally:
        if handle is not None:
            handle.inner_test = inner
