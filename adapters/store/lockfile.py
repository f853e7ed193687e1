"""A SQLite file is for one process: the lock beside it is held as long as that lives, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from adapters.store.troubles import make_folder, unwritable
from config.documents import Unusable


class InUse(Unusable):
    """Another process has the database."""


class LockFile:
    """The lock of a database file. Linux takes it back when the process ends, `kill -9` or not."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Take it and keep it. Raises InUse; Unusable when the folder cannot be written."""
        make_folder(self._database)
        try:
            file = self._database.with_name(self._database.name + ".lock").open("a+")
        except OSError as error:
            raise unwritable(self._database, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            file.close()
            raise InUse(("url",), f"{self._database} is in use by another process (pid {holder}); a SQLite file is for one, "
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
