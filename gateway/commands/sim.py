"""`uip sim NAME`: run simulated systems as their protocol files describe them, speaking the real protocol.

NAME is a file, or one of the bundled ones: hlr, provisioning-soap, credit-bureau-mml, credit-bureau-soap, credit-bureau-amqp (on the
broker that UIP_AMQP_URL names).

A fault is delay=SECONDS, drop, half, disconnect, garbage or wrong-code=CODE. `:every=N` makes it happen each Nth time only,
`:times=N` at most so often, `:match=TEXT` for messages that hold the text:

    uip sim hlr --fault delay=0.5 --fault disconnect:every=10 --fault wrong-code=2001:match=24001

An alarm is one of those under `simulator: {alarms: ..}` in the file; each peer is told after it has logged in, at once or after so
many seconds:

    uip sim hlr --alarm link-failure --alarm link-restored:after=60
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocols.mapping import Habit

HELP = "run simulated elements and bureaus that speak the real protocols"


def _fault(text: str) -> Habit:
    from pydantic import ValidationError

    from protocols.mapping import Habit
    from protocols.wording import said

    try:
        return Habit.parse(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {said(error.errors()[0])}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _alarm(text: str) -> tuple[str, float]:
    name, colon, rest = text.partition(":")
    key, _, seconds = rest.partition("=")
    try:
        if name and (not colon or key == "after"):
            return name, max(0.0, float(seconds or "0"))
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME or NAME:after=SECONDS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="a bundled simulator, or a protocol file that has a `simulator:`")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default %(default)s)")
    parser.add_argument("--port", type=int, metavar="P", help="instead of the file's port; 0 is any free one; for one NAME only")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what was applied, one JSON object a line, in order")
    parser.add_argument("--fault", type=_fault, action="append", default=[], metavar="FAULT", help="misbehave; may be given often")
    parser.add_argument("--alarm", type=_alarm, action="append", default=[], metavar="ALARM", help="say an alarm of the file, NAME or "
                        "NAME:after=SECONDS; may be given often")


def run(args: argparse.Namespace, reactor: Any) -> int:
    """Simulate until SIGTERM or SIGINT; 0 after a clean end, 1 when a file is wrong or a port is taken."""
    from twisted.internet.defer import DeferredList

    from config.documents import SiteError
    from gateway.running import ready_line
    from gateway.simulators import Simulated
    from plugins.registry import PluginError

    if args.port is not None and len(args.names) > 1:
        print("uip: --port is for one NAME", file=sys.stderr)
        return 1
    with ExitStack() as opened:
        try:
            report = opened.enter_context(args.report.open("w", encoding="utf-8")) if args.report else None
            simulated = [Simulated(name, args.fault, report, alarms=args.alarm) for name in args.names]
            addresses = {one.name: one.listen(reactor, args.host, args.port) for one in simulated}
        except (SiteError, PluginError) as error:
            print(error, file=sys.stderr)
            return 1
        except (OSError, ValueError) as error:
            print(f"uip: {error}", file=sys.stderr)
            return 1
        ready = DeferredList([one.ready() for one in simulated])
        reactor.callWhenRunning(lambda: ready.addCallback(lambda _: print(ready_line(addresses), flush=True)))
        reactor.run()
    return 0
