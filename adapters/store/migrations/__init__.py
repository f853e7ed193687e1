"""Schema migrations of the store and all cores. Revisions are in `versions/`; `upgrade` runs at every start.

A new revision after changing tables: `python -m adapters.store.migrations "what changed"`. It builds a scratch database
from the revisions there are, compares it with the tables as declared, and writes the difference for review.
`--initial` replaces all revisions by one (before the first release only).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, MetaData, inspect, text

from adapters.store import tables
from adapters.store.engine import open_engine
from adapters.store.troubles import unusable

if TYPE_CHECKING:
    from alembic.config import Config

HERE = Path(__file__).parent
VERSIONS = HERE / "versions"
CORES = ("orders", "credit", "provisioning", "billing", "monitor")
_VERSION = "alembic_version"  # Alembic's table
_REVISION = text("SELECT version_num FROM alembic_version")
_LOCK = 0x75697000  # any number that nobody else in the database takes for an advisory lock


def all_metadata() -> list[MetaData]:
    """Return the declared tables: the store's and those of every core that has a module `tables`."""
    owners = [f"core.{name}.tables" for name in CORES]
    return [tables.metadata, *(import_module(owner).metadata for owner in owners if find_spec(owner))]


def newest() -> str:
    """Return the last revision's name. Revisions are numbered in a row, one file each."""
    return max(_numbers())


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest revision, in one transaction; of several processes starting, one does it.

    Alembic, a tenth of a start's time, is loaded only where there is something to do. Raises Unusable for what a newer program made.
    """
    with engine.begin() as connection:  # on SQLite this takes the write lock, which waits for another process
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # another process's migration takes as long as it takes
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        revision = connection.scalar(_REVISION) if inspect(connection).has_table(_VERSION) else None
        if revision is not None and revision not in _numbers():
            raise unusable(engine, f"it is not for this UIP, which knows revisions up to {newest()}: this is {revision}, so a newer "
                           "UIP, or another program, made it; start that, or restore a backup from before")
        if revision != newest():
            from alembic import command

            command.upgrade(_config(connection), "head")


def create(message: str, *, initial: bool = False, metadata: Sequence[MetaData] | None = None) -> None:
    """Write a revision with what the declared tables have and the revisions do not make."""
    from alembic import command

    if initial:
        for old in VERSIONS.glob("[0-9]*.py"):
            old.unlink()
    number = max((int(made) for made in _numbers()), default=0) + 1
    with tempfile.TemporaryDirectory() as scratch:
        engine = open_engine(f"sqlite:///{scratch}/scratch.db")
        if not initial:
            upgrade(engine)
        with engine.begin() as connection:
            config = _config(connection)
            config.attributes["metadata"] = metadata or all_metadata()
            command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")
        engine.dispose()


def _numbers() -> list[str]:
    return [made.name.partition("_")[0] for made in VERSIONS.glob("[0-9]*.py")]


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
