"""`uip new-protocol NAME`: write a protocol file to begin with, explained line by line, and samples that `uip try --all` passes.

In a site's folder they are written under protocols/, elsewhere where you are, or at --into.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path
from typing import Any

HELP = "write a commented protocol file and samples to begin with"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="the protocol's name: letters, digits, dashes")
    parser.add_argument("--transport", choices=("mml",), default="mml", help="what carries it (default %(default)s)")
    parser.add_argument("--into", type=Path, metavar="DIR", help="where to write")


def run(args: argparse.Namespace, _reactor: Any) -> int:
    """Write; 1 when something is there already."""
    from gateway.simulators.files import read_protocol
    from gateway.simulators.samples import write_expected

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", args.name):
        print(f"uip: {args.name!r} is no name: letters, digits and dashes, beginning with a letter", file=sys.stderr)
        return 1
    folder = args.into or (Path("protocols") if Path("protocols").is_dir() else Path())
    file, samples = folder / f"{args.name}.yaml", folder / "samples" / args.name
    for there in (file, samples):
        if there.exists():
            print(f"uip: {there} exists; nothing was written", file=sys.stderr)
            return 1
    try:
        write(args.name, args.transport, file, samples)
    except OSError as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1
    document, definition = read_protocol(str(file))
    count = write_expected(document, definition)
    print(f"{file} and {count} samples were written; `uip try --all {file}` runs them, `uip sim {file}` plays the other side")
    return 0


def write(name: str, transport: str, file: Path, samples: Path) -> None:
    """Copy the bundled file and its samples. Raises OSError."""
    from config.loader import BUNDLED

    source = BUNDLED / "new-protocol"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = (source / f"{transport}.yaml").read_text(encoding="utf-8")
    text = re.sub(r"\bNAME: a protocol file\b", f"{name}: a protocol file", text)
    text = re.sub(r"^protocol: NAME$", f"protocol: {name}", text, flags=re.MULTILINE)
    text = text.replace("{NAME: {protocol: NAME", f"{{{name}: {{protocol: {name}").replace("samples/NAME/", f"samples/{name}/")
    file.write_text(text, encoding="utf-8")
    shutil.copytree(source / "samples", samples)
    for copied in samples.iterdir():
        copied.chmod(0o644)  # the installed originals may be read-only
