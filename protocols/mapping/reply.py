"""A reply in plain values, before a transport gives it its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Reply(NamedTuple):
    """A result code, a text for people, fields, and tables by title. `ok` is true when the command succeeded."""

    code: str
    text: str = ""
    fields: Mapping[str, Any] = NOTHING
    ok: bool = True
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = NOTHING
