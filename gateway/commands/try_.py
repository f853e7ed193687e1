"""`uip try FILE < sample`: try a protocol file on a sample, before the system it is for can be reached.

A sample is what stands on the wire: commands, envelopes, or an element's answers. Shown are the message, the business object it becomes,
the reply, and every check that fails. JSON such as {"operation": "createSubscriber", "data": {"imsi": "240..."}} is carried
out by the driver on the file's simulated system.

`uip try --all DIR` runs the samples kept beside the files, samples/PROTOCOL/*.in, and compares what is said with the .out beside
each; NAME.reply.json beside NAME.in is the business reply to give, and a NAME that begins with `answer` is what an element says.
With --write the .out files are written instead.

Exit code: 0 when all is as it should be, 1 when a check failed or something differs.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from pathlib import Path

HELP = "try a protocol file on a sample, or run the samples beside the files as tests"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="a protocol file or the name of a bundled one; with --all a file, or a "
                                                                "folder: a site's, or its protocols (default: where you are)")
    parser.add_argument("--all", action="store_true", help="run the samples beside the files")
    parser.add_argument("--write", action="store_true", help="with --all: write the .out files")
    parser.add_argument("--answers", action="store_true", help="the sample is what an element says (flat records may not tell)")
    parser.add_argument("--reply", type=Path, metavar="FILE", help="a file with the business reply, as JSON, to what is served, instead of "
                        "a made-up one")


def run(args: argparse.Namespace) -> int:
    """Try."""
    from config.documents import SiteError
    from plugins.registry import PluginError

    if args.file is None and not args.all:
        print("uip: which protocol file? `uip try FILE < sample`; `uip try --all` runs the samples of the site you are in", file=sys.stderr)
        return 1
    if args.write and not args.all:
        print("uip: --write goes with --all: it writes the .out files of the samples", file=sys.stderr)
        return 1
    try:
        return _all(Path(args.file or "."), write=args.write) if args.all else _one(args.file, args.reply, answers=args.answers)
    except (SiteError, PluginError) as error:
        print(error, file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"uip: {error}", file=sys.stderr)
    return 1


def _one(name: str, reply: Path | None, *, answers: bool) -> int:
    from gateway.simulators.files import read_protocol
    from gateway.simulators.trying import Trial

    document, definition = read_protocol(name)
    trial = Trial(document, definition, json.loads(reply.read_text(encoding="utf-8")) if reply else None)
    print(trial.run(sys.stdin.buffer.read(), answers=answers).told, end="")
    return int(trial.failed)


def _all(where: Path, *, write: bool) -> int:
    from gateway.simulators.files import read_protocol
    from gateway.simulators.samples import protocol_files, samples_of, tried, write_expected

    count = different = 0
    for file in protocol_files(where):
        document, definition = read_protocol(str(file))
        samples = samples_of(document, definition)
        count += len(samples)
        if not samples:
            print(f"{file}: no samples")
        elif write:
            write_expected(document, definition)
        else:
            for sample in samples:
                before, now = tried(document, definition, sample)
                different += before != now
                sys.stdout.writelines(difflib.unified_diff(before.splitlines(keepends=True), now.splitlines(keepends=True),
                                                           str(sample.with_suffix(".out")), f"{sample} now"))
    if not count:
        print(f"uip: {where}: there are no samples", file=sys.stderr)
        return 1
    print(f"{count} samples written" if write else f"{count} samples, {different or 'none'} different")
    return int(different > 0)
