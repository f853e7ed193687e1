"""A site's database, for the commands that work on it beside the running gateway, or without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, inspect
from sqlalchemy.engine import URL, make_url

from adapters.store import migrations
from adapters.store.engine import open_engine
from adapters.store.tables import inbox
from adapters.store.troubles import in_words, shown
from config.documents import Unusable
from config.loader import Site
from gateway.app import database_url
from gateway.site import SiteError, adapters_for, load_site
from plugins.registry import PluginError


class NoDatabase(RuntimeError):
    """There is nothing to read: the site has mistakes, no gateway has run on it yet, or its database does not answer."""


def _site(folder: Path) -> Site:
    try:
        return load_site(folder, adapters_for())
    except (SiteError, PluginError) as error:
        raise NoDatabase(str(error)) from None


def url_of(folder: Path) -> URL:
    """Return where the database of a site is. Raises NoDatabase when the site does not say."""
    return make_url(database_url(_site(folder)))


@contextmanager
def database_of(folder: Path, *, make: bool = False) -> Iterator[Engine]:
    """Open the database of a site; `make` brings its tables up to date, making what is not there.

    Raises NoDatabase, also for what the database refuses while it is in use.
    """
    site = _site(folder)
    engine = open_engine(database_url(site))
    where = shown(engine)
    try:
        with in_words(engine):
            if make:
                migrations.upgrade(engine)
            elif engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).is_file():
                raise NoDatabase(f"{where} is not there: no gateway has run on {folder} yet")
            elif not inspect(engine).has_table(inbox.name):
                raise NoDatabase(f"{where} has no tables yet: no gateway has run on it")
            yield engine
    except Unusable as error:
        raise NoDatabase(str(site.main.problem(("database", *error.key), str(error)))) from None
    finally:
        engine.dispose()
