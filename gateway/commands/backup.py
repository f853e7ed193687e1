"""`uip backup DIR FILE`: copy a site's SQLite database as it is now, while the gateway goes on.

Everything acknowledged before is in the copy. The site's text files are not: keep them in git. To restore, stop the gateway, put the
copy in the place of the database (DIR/data/uip.db, if database.url does not say otherwise), remove the -wal and -shm files beside it,
and start: what was under way goes on. A PostgreSQL database is backed up by its own tools; how is told in adapters/store/README.md.
Exit codes: 0 copied and checked, 1 not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "copy the SQLite database of a site while its gateway runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="the site")
    parser.add_argument("file", type=Path, metavar="FILE", help="where the copy goes; must not exist yet")


def run(args: argparse.Namespace) -> int:
    """Copy; 1 when there is no sound copy."""
    from adapters.store.backup import BackupFailed, back_up
    from gateway.database import NoDatabase, database_of, url_of

    try:
        url = url_of(args.site)
        if url.get_backend_name() != "sqlite":
            print(f"uip: the database is PostgreSQL's to copy: `pg_dump --format=custom --file={args.file} "
                  f"{url.set(drivername='postgresql').render_as_string(hide_password=True)}`", file=sys.stderr)
            return 1
        with database_of(args.site) as engine:
            size = back_up(Path(str(engine.url.database)), args.file)
    except FileExistsError:
        print(f"uip: {args.file} is there already; nothing was written", file=sys.stderr)
        return 1
    except (NoDatabase, BackupFailed) as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1
    print(f"{args.file}: {size / 1e6:,.1f} MB, checked")
    return 0
