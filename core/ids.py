"""Message ids that sort by time, so that an index on them grows at its end and a row costs the same however many there are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Lock

_RANDOM_BITS = 80


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


class TimeOrderedIds:
    """Makes ids of 32 hexadecimal digits: 48 bits of Unix milliseconds and 80 random bits, as in a ULID.

    Every id is greater than the one before, also when the clock steps back; `after` is the last id of an earlier run.
    """

    def __init__(self, milliseconds: Callable[[], int] = _milliseconds, after: str = "") -> None:
        self._milliseconds = milliseconds
        self._last = int(after, 16) if after else 0
        self._lock = Lock()

    def __call__(self) -> str:
        """Return the next id. Safe to call from any thread."""
        now = self._milliseconds() << _RANDOM_BITS
        with self._lock:
            if now > self._last:
                # The lowest bits count up within a millisecond; the highest random bit starts at 0, so counting never runs into the time.
                self._last = now | int.from_bytes(os.urandom(_RANDOM_BITS // 8)) >> 1
            else:
                self._last += 1
            return f"{self._last:032x}"

    def pass_by(self, seen: str) -> None:
        """Let every id from now on be greater than this one, which may come from a clock ahead of ours."""
        with self._lock:
            self._last = max(self._last, int(seen, 16))


new_id = TimeOrderedIds()
"""The process's own source of ids."""
