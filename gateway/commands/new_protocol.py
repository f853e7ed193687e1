"""`uip new-protocol NAME`: write a protocol file to begin with, explained line by line, and samples that `uip try --all` passes.

With `--like DIALECT` it is written for that dialect, and a dialect file NAME that begins as a copy of it is written too:

    uip new-protocol my-agent --like framed-zte
    uip new-protocol my-feed --like records-json

With `--transport amqp` it is written for a partner on a message broker: requests from its queue, questions to it, events for it:

    uip new-protocol my-partner --transport amqp

With `--wsdl FILE`, a contract below protocols/, it is written for that: every operation, the fields it needs, and what else it can
hold. What changes something there wants a decision of yours, which `uip check` asks for:

    uip new-protocol my-bureau --wsdl protocols/wsdl/bureau.wsdl

In a site's folder they are written under protocols/ and dialects/, elsewhere where you are, or at --into.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

HELP = "write a commented protocol file and samples to begin with"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="the protocol's name: letters, digits, dashes")
    parser.add_argument("--like", metavar="DIALECT", help="a dialect to begin with, which is copied; without it, huawei-text as it is")
    parser.add_argument("--transport", choices=("mml", "amqp"), default="mml", help="what carries it (default %(default)s)")
    parser.add_argument("--wsdl", type=Path, metavar="FILE", help="a partner's SOAP contract, with what it imports below protocols/")
    parser.add_argument("--imports", action="append", default=[], metavar="REFERENCE=FILE",
                        help="with --wsdl: the file, below protocols/ too, for a reference in it that leads nowhere")
    parser.add_argument("--into", type=Path, metavar="DIR", help="where to write")


def run(args: argparse.Namespace) -> int:
    """Write; 1 when something is there already."""
    from config.documents import SiteError
    from gateway.simulators.beginning import Beginning
    from gateway.simulators.files import dialect_documents, read_protocol
    from gateway.simulators.samples import write_expected
    from protocols.wording import nearest

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", args.name):
        print(f"uip: {args.name!r} is no name: letters, digits and dashes, beginning with a letter", file=sys.stderr)
        return 1
    if args.wsdl is not None:
        return _for_contract(args)
    if args.like is not None and args.transport != "mml":
        print(f"uip: --like is for mml: {args.transport} has no dialects", file=sys.stderr)
        return 1
    folder = args.into or (Path("protocols") if Path("protocols").is_dir() else Path())
    file, samples = folder / f"{args.name}.yaml", folder / "samples" / args.name
    dialect = (folder.absolute().parent if folder.absolute().name == "protocols" else folder) / "dialects" / f"{args.name}.yaml"
    for there in (file, samples, *([dialect] if args.like else [])):
        if there.exists():
            print(f"uip: {there} exists; nothing was written", file=sys.stderr)
            return 1
    try:
        known = dialect_documents(file)
        if args.like is not None and args.like not in known:
            print(f"uip: no dialect {args.like}{nearest(args.like, known)}", file=sys.stderr)
            return 1
        beginning = Beginning(args.name, args.transport, known[args.like].file if args.like else None)
        beginning.write(file, samples, dialect)
        document, definition = read_protocol(str(file))
        count = write_expected(document, definition)
    except (OSError, SiteError) as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1
    written = f"{file}, {dialect} and {count} samples" if args.like else f"{file} and {count} samples"
    print(f"{written} were written; `uip try --all {file}` runs them, `uip sim {file}` plays the other side")
    return 0


def _for_contract(args: argparse.Namespace) -> int:
    from gateway.simulators.from_contract import protocol_of
    from protocols.soap.foreign import ContractError, UnsoundContract, load_contract

    folder = args.into or (Path("protocols") if Path("protocols").is_dir() else Path())
    file, wsdl = folder / f"{args.name}.yaml", args.wsdl.absolute()
    if args.like is not None or args.transport != "mml":
        print("uip: --wsdl is for SOAP: neither --like nor --transport goes with it", file=sys.stderr)
        return 1
    if file.exists():
        print(f"uip: {file} exists; nothing was written", file=sys.stderr)
        return 1
    if not wsdl.is_relative_to(folder.absolute()):
        print(f"uip: put {args.wsdl}, and what it imports, below {folder}: a site has its contracts there", file=sys.stderr)
        return 1
    imports = {reference: Path(given).absolute() for reference, _, given in (one.rpartition("=") for one in args.imports)}
    try:
        unsound = ""
        try:
            contract = load_contract(wsdl, folder, imports=imports)
        except UnsoundContract as error:
            contract, unsound = error.contract, error.problems[0].message
        told = {reference: given.relative_to(folder.absolute()).as_posix() for reference, given in imports.items()}
        text = protocol_of(args.name, wsdl.relative_to(folder.absolute()).as_posix(), contract, told, unsound)
        file.write_text(text, encoding="utf-8")
    except ContractError as error:
        print(f"uip: {error}\nA reference that leads nowhere can be given a file: --imports REFERENCE=FILE", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1
    print(f"{file} was written for {len(contract.operations)} operations; `uip check` tells what is left to be decided")
    return 0
