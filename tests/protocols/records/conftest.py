"""See tests/protocols/mml/conftest.py: property tests with parameters."""

from tests.protocols.mml.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
