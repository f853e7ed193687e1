"""The note a running gateway keeps in its site (data/running.json): its process and addresses, for `uip reload` and `uip bench`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class NotRunning(RuntimeError):
    """No gateway runs this site, as far as its note tells."""


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that runs: its process id and its listeners' addresses by name."""

    pid: int
    addresses: Mapping[str, str]

    def address(self, name: str) -> tuple[str, int] | None:
        """Return host and port of a listener, None when there is none of that name."""
        host, _, port = self.addresses.get(name, "").rpartition(":")
        return (host, int(port)) if port else None


def _file(site: Path) -> Path:
    return site / "data" / "running.json"


def write_running(site: Path, addresses: Mapping[str, str]) -> None:
    """Leave the note. Raises OSError."""
    file = _file(site)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"pid": os.getpid(), "addresses": dict(addresses)}) + "\n")


def remove_running(site: Path) -> None:
    """Take the note away; no error when it is gone or another process's."""
    try:
        if read_running(site).pid == os.getpid():
            _file(site).unlink()
    except (NotRunning, OSError):
        pass


def read_running(site: Path) -> Running:
    """Read the note. Raises NotRunning when there is none or its process has ended."""
    try:
        noted = json.loads(_file(site).read_text())
        running = Running(int(noted["pid"]), noted["addresses"])
        os.kill(running.pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        raise NotRunning(f"no gateway runs the site {site}") from None
    return running
