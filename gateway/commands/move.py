"""`uip move DIR URL`: copy everything in a site's database into another, empty one - from SQLite to PostgreSQL, or back.

Stop the gateway first, and start it again when `database.url` in DIR/uip.yaml names the new database: it goes on where it was. The old
database stays as it is. All of it is copied, or nothing. A password belongs in PostgreSQL's own places (PGPASSWORD, ~/.pgpass), not here.
Exit codes: 0 copied, 1 not.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path

HELP = "copy a site's whole database into an empty one, from SQLite to PostgreSQL or back"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="the site; its gateway must not run")
    parser.add_argument("url", metavar="URL", help="where to: postgresql://user@host/name, or sqlite:////an/absolute/path")


def run(args: argparse.Namespace) -> int:
    """Copy, and say how many rows each table has."""
    from adapters.store.engine import open_engine
    from adapters.store.moving import NotEmpty, copy_all
    from config.documents import Unusable
    from gateway.database import NoDatabase, database_of
    from gateway.running import NotRunning, read_all

    with suppress(NotRunning):
        pids = ", ".join(str(running.pid) for running in read_all(args.site))
        print(f"uip: {args.site} is being run by process {pids}: stop it first", file=sys.stderr)
        return 1
    try:
        target = open_engine(args.url)
    except ValueError as error:
        print(f"uip: URL {error}", file=sys.stderr)
        return 1
    try:
        with database_of(args.site) as source:
            try:
                copy_all(source, target, lambda table, rows: print(f"{rows:>12,} {table}"))
            except Unusable as error:  # either of the two, which the text names
                raise NoDatabase(str(error)) from None
    except (NoDatabase, NotEmpty) as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1
    finally:
        target.dispose()
    print(f"copied; let database.url in {args.site / 'uip.yaml'} name it now")
    return 0
