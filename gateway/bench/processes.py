"""Processes under load: started, pinned to a core, and read from /proc. Linux only, as the whole bench is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cores() -> tuple[int, int]:
    """Return the core for what is measured and the core for the load (the same one where there is only one)."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that a process has used. Raises OSError when it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that is in use. Raises OSError when it is gone."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


class Started:
    """A process of ours that prints a `ready` line, on a core of its own; ended by `stop`."""

    def __init__(self, arguments: list[str], *, core: int, env: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        errors = log.open("wb") if log is not None else subprocess.DEVNULL
        self._process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(env or {})})
        os.sched_setaffinity(self._process.pid, {core})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready"):
            self.stop()
            raise RuntimeError(f"{' '.join(arguments)} did not start")
        self.addresses = dict(part.split("=", 1) for part in line.split()[1:])

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def address(self, name: str) -> tuple[str, int]:
        """Return host and port of one of its listeners."""
        host, _, port = self.addresses[name].rpartition(":")
        return host, int(port)

    def stop(self) -> None:
        """End it, kindly first."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
