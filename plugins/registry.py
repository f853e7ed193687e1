"""Finds what packages offer through entry points: ours and third parties' alike."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

GROUP = "uip.adapters"


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
