"""What listeners and connectors refer to outside themselves: a dialect, an address of their own, files of a certificate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from config.documents import Where
from config.settings import Tls
from protocols.wording import nearest

Made = Iterable[tuple[Where, Any]]
"""Each section's place in uip.yaml and its settings."""


def wrong_references(folder: Path, sections: Made, dialects: Iterable[str]) -> Iterator[tuple[Where, str]]:
    """Find dialects that are not there, and files of `tls` that cannot be read, with the place of each."""
    known = [*dialects]
    for where, settings in sections:
        dialect, tls = getattr(settings, "dialect", None), getattr(settings, "tls", None)
        if dialect is not None and dialect not in known:
            yield (*where, "dialect"), f"no dialect {dialect}{nearest(dialect, known)}"
        if isinstance(tls, Tls):
            for key in ("certificate", "key", "authority"):
                file = getattr(tls, key)
                if file is not None and not (folder / file).is_file():
                    yield (*where, "tls", key), f"{file} cannot be read"


def taken_ports(listeners: Made) -> Iterator[tuple[Where, str]]:
    """Find listeners at the address of another one: they would share its connections, each peer let in by either."""
    seen: dict[tuple[str, int], Where] = {}
    for where, settings in listeners:
        host, port = getattr(settings, "host", ""), getattr(settings, "port", 0)
        other = seen.get((host, port))
        if port and other is not None:
            yield (*where, "port"), f"{host}:{port} is also that of {'.'.join(map(str, other))}"
        seen.setdefault((host, port), where)
