"""A SQLite file is for one process: the lock beside it is held as long as that lives, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


class InUse(OSError):
    """Another process has the database."""


class LockFile:
    """The lock of a database file. Linux takes it back when the process ends, `kill -9` or not."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Take it and keep it. Raises InUse; OSError when the folder cannot be written."""
        self._database.parent.mkdir(parents=True, exist_ok=True)
        file = self._database.with_name(self._database.name + ".lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            file.close()
            raise InUse(f"database.url: {self._database} is in use by another process (pid {holder}); a SQLite file is for one, "
                        "several share a database on PostgreSQL: postgresql://user@host/name") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def give_back(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            self._file.close()
            self._file = None
