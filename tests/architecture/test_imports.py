"""Imports point one way: the contracts of setup.cfg, and what they cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "adapters", "plugins", "config", "protocols", "core")


def test_the_import_contracts_hold():
    # In a process of its own: what Twisted puts in the place of its reactor module is nothing the linter can look at.
    command = [Path(sys.executable).with_name("lint-imports"), "--config", "setup.cfg", "--no-cache", "--no-logo"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 broken" in ran.stdout


def imported(source: str) -> set[str]:
    """Every dotted name that is imported anywhere in the text."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_imported_names_are_found_however_they_are_written():
    text = "import twisted.internet.reactor\ndef f():\n    from twisted.internet import defer, reactor as r\n"
    assert imported(text) == {"twisted.internet.reactor", "twisted.internet.defer"}


def test_the_reactor_is_an_argument_everywhere_but_in_the_entry_point():
    importing = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
                 if "tests" not in path.relative_to(ROOT).parts and "twisted.internet.reactor" in imported(path.read_text())}
    assert importing <= {"gateway/__main__.py"}


@pytest.mark.parametrize("forbidden", ["pickle", "shelve", "marshal"])
def test_nothing_is_unpickled(forbidden):
    assert not [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if forbidden in imported(path.read_text())]
