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


def _parser() -> argparse.ArgumentParser:
    """What all commands are; each one's own parser, `_command`, is made only when it is asked for."""
    parser = argparse.ArgumentParser(prog="uip", description="Telecom protocol gateway and integration hub: MML, SOAP and AMQP "
                                     "in front of order, credit, provisioning and billing cores.")
    parser.add_argument("--version", action="version", version=f"uip {version('uip-gateway')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        commands.add_parser(name, help=import_module(f"gateway.commands.{module}").HELP)
    return parser


def _command(name: str) -> argparse.ArgumentParser:
    module = import_module(f"gateway.commands.{COMMANDS[name]}")
    parser = argparse.ArgumentParser(prog=f"uip {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    module.add_arguments(parser)
    parser.set_defaults(command=name, run=module.run)
    return parser


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line; options may stand between the arguments. Exits, with what there is, when it cannot be."""
    if not arguments or arguments[0] not in COMMANDS:
        return _parser().parse_args(arguments)
    return _command(arguments[0]).parse_intermixed_args(arguments[1:])


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
    args = parsed(sys.argv[1:] if arguments is None else arguments)
    try:
        code: int = args.run(args, _reactor()) if args.command in ON_REACTOR else args.run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    return code


if __name__ == "__main__":
    sys.exit(main())
