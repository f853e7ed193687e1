"""A reply in plain values, before a transport gives it its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """A result code, a text for people, fields, and tables by title. `ok` is true when the command succeeded."""

    code: str
    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    ok: bool = True
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
