"""Finds what packages offer through entry points: ours and third parties' alike."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from protocols.mapping import functions

GROUP = "uip.adapters"
FUNCTIONS = "uip.functions"
"""Functions that the fields of protocol files may name under `apply:`."""


class PluginError(Exception):
    """A plug-in cannot be used; the text names it and says why."""


def load(group: str = GROUP) -> Mapping[str, Any]:
    """Load everything offered in an entry-point group, by name.

    Raises PluginError when something offered cannot be imported, or when two packages offer the same name.
    """
    found: dict[str, Any] = {}
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        where = f"{entry.value} ({entry.dist.name if entry.dist else 'unknown package'})"
        if entry.name in found:
            raise PluginError(f"two packages offer {entry.name} in {group}; the second is {where}")
        try:
            found[entry.name] = entry.load()
        except Exception as error:
            raise PluginError(f"{entry.name} of {group}, {where}, cannot be loaded: {type(error).__name__}: {error}") from error
    return found


def load_functions() -> None:
    """Make the functions of plug-ins known to protocol files; again does no harm.

    Raises PluginError as `load` does, and when a function has the name of another.
    """
    for name, function in load(FUNCTIONS).items():
        try:
            functions.add(name, function)
        except ValueError as error:
            raise PluginError(str(error)) from None
