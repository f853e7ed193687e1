"""Processes under load, read from /proc. Linux only, as the whole bench is."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_AVAILABLE = sorted(os.sched_getaffinity(0))  # at the start: the bench then keeps itself to one of them


def cores() -> tuple[int, int]:
    """Return the core for what is measured and the core for the load (the same one where there is only one)."""
    return _AVAILABLE[0], _AVAILABLE[-1]


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that a process and its workers have used. Raises OSError when one is gone."""
    total = 0
    for process in _with_workers(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def resident_bytes(pid: int) -> int:
    """Return the memory of a process and its workers that is in use. Raises OSError when one is gone."""
    return sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in _with_workers(pid)) * _PAGE


def _with_workers(pid: int) -> list[int]:
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
