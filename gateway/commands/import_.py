"""`uip import DIR < FILE`: put what `uip export` wrote back into a site's journal.

Rows that are there already stay as they are, so it may be repeated, and may run while the gateway does. A line that cannot be taken
- it is none, or contradicts what is there - is named by its number, and the others go in. Orders, bills and other business objects
are not in the journal: `uip move` takes a whole site to another database.
Exit codes: 0 all lines are in, 1 some are not, or nothing could be done.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "put exported ranges of the journal back; what is there already stays as it is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="the site")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")


def run(args: argparse.Namespace) -> int:
    """Read standard input to its end."""
    from adapters.store.journal import take_in
    from gateway.database import NoDatabase, database_of

    try:
        with database_of(args.site, make=not args.dry_run) as engine:
            taken = take_in(engine, sys.stdin.buffer, dry_run=args.dry_run,
                            refused=lambda number, why: print(f"line {number}: {why}", file=sys.stderr))
    except NoDatabase as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1
    would = "would be " if args.dry_run else ""
    print(f"{taken.added} rows {would}added, {taken.present} were there, {len(taken.refused)} refused")
    return 1 if taken.refused else 0
