"""The command line, and the one place that takes Twisted's reactor: everywhere else it is an argument."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

COMMANDS: Mapping[str, str] = {
    "init": "init",
    "check": "check",
    "serve": "serve",
    "reload": "reload",
    "demo": "demo",
    "call": "call",
    "sim": "sim",
    "try": "try_",
    "new-protocol": "new_protocol",
    "bench": "bench",
    "export": "export",
    "import": "import_",
    "backup": "backup",
    "replay": "replay",
    "move": "move",
}
"""Each command and its module in gateway.commands."""
ON_REACTOR = frozenset({"check", "serve", "sim", "bench"})
"""The commands that are given the reactor. The others do without, for importing it takes as long as all that they do."""
_COLLECT_AFTER = 100_000
"""Objects made and not yet freed before the collector looks for cycles. What a command imports stays for good: with Python's own
700 the collector goes through it again and again, a tenth of the time that a start takes.
"""


def _parser(only: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="uip", description="Telecom protocol gateway and integration hub: MML, SOAP and AMQP "
                                     "in front of order, credit, provisioning and billing cores.")
    parser.add_argument("--version", action="version", version=f"uip {version('uip-gateway')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module_name in COMMANDS.items():
        if only is not None and name != only:
            commands.add_parser(name)  # known, so that the usage line is whole; what it takes is not needed now
            continue
        module = import_module(f"gateway.commands.{module_name}")
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def steady(reactor: Any) -> Any:
    """Let the reactor count by a clock that nobody sets. Twisted's own is the wall clock: set back by an hour, it would put off
    every timeout, retry and heartbeat by that hour; set forward, it would let all of them fall due at once.
    """
    reactor.seconds = time.monotonic
    return reactor


def _reactor() -> Any:
    from twisted.internet import reactor

    return steady(reactor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    gc.set_threshold(_COLLECT_AFTER)
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(given[0] if given and given[0] in COMMANDS else None)
    args = parser.parse_args(given)
    try:
        code: int = args.run(args, _reactor()) if args.command in ON_REACTOR else args.run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    return code


if __name__ == "__main__":
    sys.exit(main())
