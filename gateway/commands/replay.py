"""`uip replay DIR`: show the messages that were given up, and with --send have them sent again.

A message is given up when its receiver refuses it for good, or has failed on it again and again. Remove the cause first; then the same
message goes out again, through the running gateway within seconds, or at its next start. It keeps its id, so that a core that has
taken it does nothing; an element's driver asks the element before it repeats a command.

With --file it takes the requests of an exported journal instead: those that a database restored from an older backup does not know
are carried out, the others are left.
Exit codes: 0 shown or sent, 1 something named was not there or a line was bad.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.commands.export import moment

if TYPE_CHECKING:
    from sqlalchemy import Engine

HELP = "show the messages that were given up, and send them again; or the requests of an exported journal"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="the site")
    parser.add_argument("ids", nargs="*", metavar="ID", help="these only, by the first or second id shown (default: all)")
    parser.add_argument("--to-address", metavar="NAME", help="meant for this receiver: connector.hlr, say")
    parser.add_argument("--type", metavar="NAME", help="of this type")
    parser.add_argument("--party", metavar="NAME", help="on behalf of this party")
    parser.add_argument("--from", dest="since", type=moment, metavar="T", help="first sent at T or later (as in `uip export`)")
    parser.add_argument("--to", dest="until", type=moment, metavar="T", help="first sent before T")
    parser.add_argument("--file", type=Path, metavar="FILE", help="the requests among these exported lines, not the dead; nothing else "
                        "selects then")
    parser.add_argument("--send", action="store_true", help="send them; without it nothing is done")


def run(args: argparse.Namespace) -> int:
    """Show or send."""
    from gateway.database import NoDatabase, database_of

    try:
        with database_of(args.site, make=args.send) as engine:
            return _file(args, engine) if args.file is not None else _dead(args, engine)
    except (NoDatabase, OSError) as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1


def _dead(args: argparse.Namespace, engine: Engine) -> int:
    from adapters.store.replay import Dead, Wanted, revive

    missing = set(args.ids)

    def told(message: Dead) -> None:
        missing.difference_update((message.id, message.message_id))
        print(f"{message.id} {message.message_id} {message.created:%Y-%m-%dT%H:%M:%SZ} {message.type} for {message.address}, "
              f"tried {message.attempts} times: {message.reason}")

    wanted = Wanted(frozenset(args.ids), args.to_address, args.type, args.party, args.since, args.until)
    count = revive(engine, wanted, datetime.now(UTC), told, send=args.send)
    for name in sorted(missing):
        print(f"uip: no dead message {name}", file=sys.stderr)
    _conclude(count, send=args.send)
    return 1 if missing else 0


def _file(args: argparse.Namespace, engine: Engine) -> int:
    from adapters.store.replay import resend
    from gateway.app import cores_of
    from gateway.site import adapters_for, load_site

    bad: list[int] = []

    def refused(number: int, why: str) -> None:
        bad.append(number)
        print(f"line {number}: {why}", file=sys.stderr)

    addresses = [core.name for core in cores_of(load_site(args.site, adapters_for()))]
    with args.file.open("rb") as lines:
        count = resend(engine, lines, addresses, datetime.now(UTC),
                       lambda row: print(f"{row['message_id']} {row['type']} for {row['address']}"), refused, send=args.send)
    _conclude(count, send=args.send)
    return 1 if bad else 0


def _conclude(count: int, *, send: bool) -> None:
    print(f"{count} messages go out again" if send else f"{count} messages; --send has them sent again")
