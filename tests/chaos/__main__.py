"""`python -m tests.chaos [NAME ...]`: the faults by name, or all of them; one line each, and 1 when one was not survived."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.faults import FAULTS, run
from tests.chaos.services import Missing


def _fault(name: str) -> str:
    if name not in FAULTS:
        raise argparse.ArgumentTypeError(f"no fault {name!r}; there are {', '.join(FAULTS)}")
    return name


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", type=_fault, help=", ".join(FAULTS))
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="repeats the random moments of an earlier run")
    parser.add_argument("--length", type=int, default=1, metavar="N", help="so many times as long as in the tests")
    parser.add_argument("--keep", action="store_true", help="keep the sites and logs")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    failed = 0
    print(f"seed {given.seed}", flush=True)
    for name in given.names or FAULTS:
        with _folder(keep=given.keep) as folder:
            failed += not _survived(name, folder, given.seed, given.length)
    return 1 if failed else 0


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """A folder for one fault's site and logs."""
    folder = Path(tempfile.mkdtemp(prefix="uip-chaos-"))
    try:
        yield folder
    finally:
        if keep:
            print(f"kept: {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _survived(name: str, folder: Path, seed: int, length: int) -> bool:
    try:
        verdict = run(FAULTS[name], folder, seed, length)
    except Missing as missing:
        print(f"{name:28} not run, for want of {missing}", flush=True)
        return False
    except Exception:
        print(f"{name:28} could not be run\n{traceback.format_exc()}", flush=True)
        return False
    print(f"{name:28} {verdict}", flush=True)
    if not verdict.good:
        print(verdict.explained(), flush=True)
    return verdict.good


if __name__ == "__main__":
    sys.exit(main())
