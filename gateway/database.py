"""A site's database, for the commands that work on it beside the running gateway, or without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from adapters.store import migrations
from adapters.store.engine import open_engine
from adapters.store.tables import inbox
from gateway.app import database_url
from gateway.site import SiteError, adapters_for, load_site
from plugins.registry import PluginError


class NoDatabase(RuntimeError):
    """There is nothing to read: the site has mistakes, no gateway has run on it yet, or its database does not answer."""


def url_of(folder: Path) -> URL:
    """Return where the database of a site is. Raises NoDatabase when the site does not say."""
    try:
        return make_url(database_url(load_site(folder, adapters_for())))
    except (SiteError, PluginError) as error:
        raise NoDatabase(str(error)) from None


@contextmanager
def database_of(folder: Path, *, make: bool = False) -> Iterator[Engine]:
    """Open the database of a site; `make` brings its tables up to date, making what is not there.

    Raises NoDatabase, also for what the database refuses while it is in use.
    """
    engine = open_engine(url_of(folder).render_as_string(hide_password=False))
    where = engine.url.render_as_string(hide_password=True)
    try:
        if make:
            migrations.upgrade(engine)
        elif engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).is_file():
            raise NoDatabase(f"{where} is not there: no gateway has run on {folder} yet")
        elif not inspect(engine).has_table(inbox.name):
            raise NoDatabase(f"{where} has no tables yet: no gateway has run on it")
        yield engine
    except DBAPIError as error:
        raise NoDatabase(f"{where}: {type(error).__name__}: {str(error.orig).partition(chr(10))[0]}") from None
    finally:
        engine.dispose()
