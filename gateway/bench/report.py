"""What came out: a table for people, JSON lines for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measured load. Times are milliseconds, `cpu_us` microseconds of processor a request, `memory_slope` bytes a request
    (None where the run was too short to tell), `server_us` what a database server spent beside it; `ratio` is the rate over that
    of the row named in `floor`.
    """

    name: str
    requests: int
    rate: float
    p50: float
    p99: float
    p999: float
    cpu_us: float
    memory_slope: float | None = None
    server_us: float | None = None
    floor: str | None = None
    ratio: float | None = None

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON, with sensible places."""
        return {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out for reading."""
    heads = ("load", "requests", "a second", "p50 ms", "p99 ms", "p99.9 ms", "CPU us", "database us", "memory B/request", "ratio")
    lines = [(r.name, str(r.requests), f"{r.rate:,.0f}", f"{r.p50:.2f}", f"{r.p99:.2f}", f"{r.p999:.2f}", f"{r.cpu_us:.0f}",
              "-" if r.server_us is None else f"{r.server_us:.0f}", "-" if r.memory_slope is None else f"{r.memory_slope:.1f}",
              f"{r.ratio:.2f} x {r.floor}" if r.ratio is not None else "-") for r in rows]
    return laid_out([heads, *lines])


def laid_out(lines: Sequence[Sequence[str]]) -> str:
    """Lay out lines of cells, the first of them the heads: numbers to the right, names and what stands last to the left."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(_aligned(line, widths)).rstrip() for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    last = len(line) - 1
    return [cell.ljust(width) if i in {0, last} else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True))]
