"""`uip check DIR`: prove a site without starting it. Every mistake is shown at once, with file and line.

What the environment sets (`uip serve --help`) is taken into account. No port is bound and no database or system outside is asked:
whether those can be had is found out by `uip serve`.
Exit codes: 0 all is well, 1 the site has mistakes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

HELP = "prove a site: every mistake at once, with file, line and the nearest right name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="the site")
    parser.add_argument("--fetch", action="store_true", help="fetch the contracts (WSDLs) of protocol files that are on other machines and "
                        "have no copy in the site yet")


def run(args: argparse.Namespace, reactor: Any) -> int:
    """Check; 0 when the site can be served, 1 when not."""
    from gateway.app import Application
    from gateway.guard import stray_packages
    from gateway.observability import quiet_log
    from gateway.site import SiteError, adapters_for, load_site
    from plugins.registry import PluginError

    strays = stray_packages()
    for stray in strays:
        print(f"uip: {stray}", file=sys.stderr)
    if strays:
        return 1
    try:
        if args.fetch:
            from gateway.fetching import fetch_contracts
            for address in fetch_contracts(args.site):
                print(f"fetched {address}")
        adapters = adapters_for()
        site = load_site(args.site, adapters)
        Application(site, adapters, reactor, quiet_log())
    except (SiteError, PluginError) as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, ValueError, KeyError) as error:
        print(f"{args.site}: {error}", file=sys.stderr)
        return 1
    settings = site.settings
    if not settings.parties:
        print(f"{args.site / 'uip.yaml'}: no parties, so nobody can log in yet", file=sys.stderr)
    print(f"{args.site}: {len(site.listeners)} listeners, {len(site.connectors)} connectors, {len(settings.parties)} parties, "
          f"{len(site.offerings)} offerings; all is well")
    return 0
