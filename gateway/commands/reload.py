"""`uip reload DIR`: let the gateway that runs a site go on with the site's files as they are now.

The files are proved first: with a mistake in them the gateway goes on as it was. Open sessions keep the version they began with.
Parties, listeners, connectors, dialects, protocols, catalogue and policies are taken; what stands under operators, console, database,
limits, log and bus is not before the next start. What could not be taken, a port in use say, is in the gateway's log.
Exit codes: 0 the gateway was told, 1 the files are wrong or nothing runs.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

HELP = "let a running gateway take the site's changed files, without dropping a session"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="the site of a running gateway")


def run(args: argparse.Namespace) -> int:
    """Prove the files and tell the gateway; 1 when they are wrong or nothing runs."""
    from gateway.running import NotRunning, read_all
    from gateway.site import SiteError, adapters_for, load_site

    try:
        running = read_all(args.site)
        load_site(args.site, adapters_for())
    except NotRunning as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    for process in running:
        os.kill(process.pid, signal.SIGHUP)
    print(f"{args.site}: told process {', '.join(str(process.pid) for process in running)}; the log says what was taken")
    return 0
