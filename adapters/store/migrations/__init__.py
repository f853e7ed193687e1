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

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, text

from adapters.store import tables
from adapters.store.engine import open_engine

HERE = Path(__file__).parent
CORES = ("orders", "credit", "provisioning", "billing", "monitor")
_LOCK = 0x75697000  # any number that nobody else in the database takes for an advisory lock


def all_metadata() -> list[MetaData]:
    """Return the declared tables: the store's and those of every core that has a module `tables`."""
    owners = [f"core.{name}.tables" for name in CORES]
    return [tables.metadata, *(import_module(owner).metadata for owner in owners if find_spec(owner))]


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest revision, in one transaction; of several processes starting, one does it."""
    with engine.begin() as connection:  # on SQLite this takes the write lock, which waits for another process
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # another process's migration takes as long as it takes
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config(connection)
        if MigrationContext.configure(connection).get_current_heads() != tuple(ScriptDirectory.from_config(config).get_heads()):
            command.upgrade(config, "head")


def create(message: str, *, initial: bool = False, metadata: Sequence[MetaData] | None = None) -> None:
    """Write a revision with what the declared tables have and the revisions do not make."""
    versions = HERE / "versions"
    if initial:
        for old in versions.glob("[0-9]*.py"):
            old.unlink()
    number = max((int(made.name.partition("_")[0]) for made in versions.glob("[0-9]*.py")), default=0) + 1
    with tempfile.TemporaryDirectory() as scratch:
        engine = open_engine(f"sqlite:///{scratch}/scratch.db")
        if not initial:
            upgrade(engine)
        with engine.begin() as connection:
            config = _config(connection)
            config.attributes["metadata"] = metadata or all_metadata()
            command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")
        engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
