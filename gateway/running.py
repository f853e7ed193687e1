"""The note a running process keeps in its site (data/running*.json): its id and addresses, for `uip reload` and `uip bench`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


def ready_line(addresses: Mapping[str, str]) -> str:
    """Write the line by which a process of ours says that it is ready: `ready NAME=ADDRESS ...`."""
    return " ".join(("ready", *(f"{name}={address}" for name, address in addresses.items())))


def read_ready(line: str) -> dict[str, str] | None:
    """Read such a line: addresses by name; None for any other line, as when the process ended instead."""
    word, *rest = line.split() or [""]
    return dict(part.split("=", 1) for part in rest) if word == "ready" else None


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


def _file(site: Path, part: str) -> Path:
    return site / "data" / (f"running-{part}.json" if part else "running.json")


def write_running(site: Path, addresses: Mapping[str, str], part: str = "") -> None:
    """Leave the note. `part` names what of the site this process runs, "" for its listeners. Raises OSError."""
    file = _file(site, part)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"pid": os.getpid(), "addresses": dict(addresses)}) + "\n")


def remove_running(site: Path, part: str = "") -> None:
    """Take the note away; no error when it is gone or another process's."""
    with suppress(NotRunning, OSError):
        if _read(site, _file(site, part)).pid == os.getpid():
            _file(site, part).unlink()


def read_running(site: Path) -> Running:
    """Read the note of the process with the listeners. Raises NotRunning when there is none or its process has ended."""
    return _read(site, _file(site, ""))


def read_all(site: Path) -> list[Running]:
    """Read the notes of every process of a site. Raises NotRunning when there is none."""
    found = []
    for file in sorted((site / "data").glob("running*.json")):
        with suppress(NotRunning):
            found.append(_read(site, file))
    if not found:
        raise NotRunning(f"nothing runs the site {site}")
    return found


def _read(site: Path, file: Path) -> Running:
    try:
        noted = json.loads(file.read_text())
        running = Running(int(noted["pid"]), noted["addresses"])
        os.kill(running.pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        raise NotRunning(f"no gateway runs the site {site}") from None
    return running
