"""`uip export DIR > FILE`: write the journal as JSON lines - every message a core took, with its stored answer - oldest first.

It may run while the gateway does. A range is sure to be whole when --to is a moment that has passed. What one line holds is told in
adapters/store/README.md; `uip import` puts lines back. They hold subscribers' numbers as they are: keep the file as you keep the
database, or hide them with --mask, which is for people and cannot be put back.
Exit codes: 0 written, 1 not.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

HELP = "write ranges of the journal as JSON lines, for archives and for people who look into something"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="the site")
    parser.add_argument("--from", dest="since", type=moment, metavar="T", help="received at T or later: 2026-11-01 (midnight UTC) or "
                        "2026-11-01T08:00:00+01:00")
    parser.add_argument("--to", dest="until", type=moment, metavar="T", help="received before T")
    parser.add_argument("--party", metavar="NAME", help="asked by this party, or sent on its behalf")
    parser.add_argument("--type", metavar="NAME", help="of this type: SubmitProductOrder, say")
    parser.add_argument("--correlation", metavar="ID", help="all that one request set off, by the correlation id that faults and logs name")
    parser.add_argument("--mask", action="store_true", help="hide passwords and subscribers' numbers")


def moment(text: str) -> datetime:
    """Read an instant of the command line: a date, or date and time with offset."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time; allowed are 2026-11-01 and 2026-11-01T08:00:00+01:00") from None
    if len(text) > len("2026-11-01") and found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} lacks its offset: end it with Z, or +01:00 say")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def run(args: argparse.Namespace) -> int:
    """Write; the number of lines goes to standard error."""
    from adapters.store.journal import Selection, export
    from gateway.database import NoDatabase, database_of
    from gateway.observability import masked

    selection = Selection(args.since, args.until, args.party, args.type, args.correlation)
    count = 0
    try:
        with database_of(args.site) as engine:
            for line in export(engine, selection, masked if args.mask else None):
                sys.stdout.buffer.write(line)
                count += 1
        sys.stdout.buffer.flush()
    except NoDatabase as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1
    print(f"uip: {count} rows", file=sys.stderr)
    return 0
