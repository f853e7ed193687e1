"""A copy of a SQLite database as it is at one moment, made while a gateway writes to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


class BackupFailed(RuntimeError):
    """The copy could not be made, or is not sound; nothing was left."""


def back_up(database: Path, copy: Path) -> int:
    """Copy the database; returns the copy's size in bytes. Raises BackupFailed, and FileExistsError for a copy that is there.

    All is read in one transaction: what was committed before is in the copy and nothing else is, and in WAL mode no writer waits.
    (In steps, SQLite would begin again after each commit of another process.) The copy is checked, and has its name only when it
    is on the disk.
    """
    unfinished = copy.with_name(copy.name + ".part")
    if copy.exists():
        raise FileExistsError(copy)
    if not copy.absolute().parent.is_dir():
        raise BackupFailed(f"{copy}: there is no folder {copy.parent}")
    try:
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as source, \
                closing(sqlite3.connect(unfinished)) as target:
            source.backup(target)
            # As one file: with the mode of the original it would have companions.
            target.execute("PRAGMA journal_mode=DELETE")
            found = [text for (text,) in target.execute("PRAGMA quick_check(3)")]
            if found != ["ok"]:
                raise BackupFailed(f"{database} is damaged: {'; '.join(found)}")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.rename(copy)
        _sync_folder(copy.absolute().parent)
        return copy.stat().st_size
    except (sqlite3.Error, OSError) as error:
        raise BackupFailed(f"{database} to {copy}: {error}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
