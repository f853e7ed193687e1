"""What there is to say about a sample that is tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from protocols.mapping.engine import text_of


class Told:
    """Lines for people. `failed` is true as soon as a check has failed."""

    def __init__(self) -> None:
        self.failed = False
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        """All that was said."""
        return "\n".join(self._lines).strip() + "\n"

    def say(self, what: str, text: Any = "") -> None:
        """Say something: a text, or plain data, which becomes YAML."""
        if not isinstance(text, str):
            text = yaml.safe_dump(_plain(text), sort_keys=False, allow_unicode=True, width=120).strip() if text else "(nothing)"
        lines = text.splitlines()
        if len(lines) <= 1:
            self._lines.append(f"{what}: {text}".rstrip())
        else:
            self._lines += [f"{what}:", *(f"    {line}".rstrip() for line in lines)]

    def fail(self, text: str) -> None:
        """Say that a check has failed."""
        self.failed = True
        self._lines.append(f"FAILED: {text}")

    def gap(self) -> None:
        """End what belongs together."""
        self._lines.append("")


def _plain(value: Any) -> Any:
    """A value in the plain types that YAML has."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value if type(value) in {int, bool, type(None)} else str(text_of(value))
