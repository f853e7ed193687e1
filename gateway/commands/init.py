"""`uip init DIR`: write a site, text files made for git.

Without --demo the site has no parties, no operators and no default credentials: add your own to uip.yaml.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

HELP = "write a site: without --demo one to begin with, with --demo one that works at once against the simulators"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="a folder that does not exist yet, or is empty")
    parser.add_argument("--demo", action="store_true", help="the demo site: loopback only, with demo parties and connectors")


def run(args: argparse.Namespace) -> int:
    """Write the files; 1 when the folder holds something already, or cannot be written."""
    if args.site.exists() and (not args.site.is_dir() or any(args.site.iterdir())):
        print(f"uip: {args.site} is not an empty folder; nothing was written", file=sys.stderr)
        return 1
    try:
        write_site(args.site, demo=args.demo)
    except OSError as error:
        print(f"uip: {args.site} cannot be written: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{args.site}: a site was written; `uip check {args.site}` proves it, `uip serve {args.site}` runs it")
    return 0


def write_site(folder: Path, *, demo: bool) -> None:
    """Copy the bundled site of that kind. Raises OSError."""
    from config.loader import BUNDLED

    shutil.copytree(BUNDLED / ("demo" if demo else "plain"), folder, dirs_exist_ok=True)
    for file in folder.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)  # the installed originals may be read-only
    for name in ("dialects", "protocols", "catalog", "policies", "templates"):
        (folder / name).mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("/data/\n")
