"""`uip bench`: closed-loop load by SOAP, MML and AMQP, with the same load on named floors in the same run.

Without --site it starts a gateway of its own (demo site, SQLite, in a folder that is removed afterwards), pinned to one
core, the load on another. Orders have a start far in the future: measured is the way in and out - decode, check, journal,
order, event, answer. The floors are `echo` (bare twisted.web) and `spyne` (a stock spyne application, no store).
SOAP and spyne are loaded in turns, and the ratio is the turns' median, so that a machine whose speed changes does not decide it.

With --journal-rows it fills the journal of its gateway to each size first, 1.3 GB a million rows, and measures by MML what a message
costs then. --database-url may name an empty database, or one that was filled so before.

`--only codecs` measures the dialects by themselves: commands of 15 parameters parsed, mapped, checked and answered, 16 at a time,
beside the floor `split` (the same text cut at its marks, nothing checked), and how the cost grows with a command's length and with
the number of commands in a protocol file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.commands.serve import count

_LOADS = ("floors", "soap", "mml", "amqp")
HELP = "measure rate, latency, CPU and memory of a gateway under closed-loop load, beside named floors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--site", type=Path, metavar="DIR", help="measure the gateway that runs this site, not one of its own")
    parser.add_argument("--party", default="crm:crm-secret", metavar="NAME:SECRET", help="who asks (default crm:crm-secret)")
    parser.add_argument("--connections", type=count, metavar="N", default=32, help="connections at once (default 32)")
    parser.add_argument("--window", type=count, metavar="N", default=128, help="requests outstanding by AMQP, on one connection "
                        "(default 128)")
    parser.add_argument("--seconds", type=float, metavar="S", default=5.0, help="how long each load runs (default 5)")
    parser.add_argument("--requests", type=count, metavar="N", default=10_000_000, help="at most so many requests a load")
    parser.add_argument("--only", type=_parts, default=",".join(_LOADS), metavar="PART[,PART...]",
                        help="which of floors,soap,mml,amqp (default: these), or codecs (the dialects by themselves)")
    parser.add_argument("--amqp-url", metavar="URL", default=os.environ.get("UIP_AMQP_URL"), help="the broker (default: UIP_AMQP_URL)")
    parser.add_argument("--database-url", metavar="URL", help="the own gateway's database (default: SQLite)")
    parser.add_argument("--workers", type=count, default=1, metavar="N",
                        help="so many workers of the own gateway; several need --database-url and share the cores with the load")
    parser.add_argument("--journal-rows", type=_sizes, metavar="N[,N...]", help="measure by MML on a journal of each of these sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON lines, too")
    parser.add_argument("--serve-floor", choices=("echo", "spyne"), help=argparse.SUPPRESS)


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if parts != ["codecs"] and not set(parts) <= set(_LOADS):
        raise argparse.ArgumentTypeError(f"{text}: allowed are {','.join(_LOADS)}, or codecs alone")
    return parts


def _sizes(text: str) -> list[int]:
    sizes = [int(size) for size in text.split(",") if size.isdecimal()]
    if len(sizes) < text.count(",") + 1 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text}: allowed are whole numbers from 1, with commas between")
    return sizes


def run(args: argparse.Namespace, reactor: Any) -> int:
    """Measure and print; 1 when something answered wrongly or not at all."""
    if args.serve_floor:
        from gateway.bench.floors import serve

        serve(args.serve_floor, reactor)
        return 0
    from gateway.bench.processes import cores

    print(f"{platform.python_implementation()} {platform.python_version()}, {os.path.realpath(sys.executable)}", file=sys.stderr)
    os.sched_setaffinity(0, {cores()[1]} if args.workers == 1 else cores())
    return _codecs(args) if args.only == ["codecs"] else _loads(args)


def _loads(args: argparse.Namespace) -> int:
    from gateway.bench.load import BadAnswer
    from gateway.bench.report import Row, table
    from gateway.bench.run import Plan

    plan = Plan(args.connections, args.window, args.seconds, args.requests)
    rows: list[Row] = []

    def note(row: Row) -> None:
        rows.append(row)
        beside = f", {row.ratio:.2f} x {row.floor}" if row.ratio is not None else ""
        print(f"{row.name}: {row.rate:,.0f} a second, p99 {row.p99:.1f} ms, {row.cpu_us:.0f} us CPU{beside}", file=sys.stderr)

    try:
        for row in _rows(args, plan, args.only):
            note(row)
    except (BadAnswer, ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        print(f"uip: {error or type(error).__name__}", file=sys.stderr)
        return 1
    print(table(rows))
    _write(args.json, rows)
    return 0


def _codecs(args: argparse.Namespace) -> int:
    from gateway.bench.codecs import CodecRow, measure, table

    rows: list[CodecRow] = []
    for row in measure(args.seconds):
        rows.append(row)
        print(f"{row.name}: {row.rate:,.0f} a second, {row.us:.1f} us CPU", file=sys.stderr)
    print(table(rows))
    _write(args.json, rows)
    return 0


def _write(file: Path | None, rows: Sequence[Any]) -> None:
    if file is not None:
        file.write_text("".join(json.dumps(row.as_dict()) + "\n" for row in rows))


def _rows(args: argparse.Namespace, plan: Any, wanted: Sequence[str]) -> Iterator[Any]:
    from gateway.bench.journal import growing, journal_of
    from gateway.bench.run import floors, gateway_loads, own_gateway

    target = _running(args) if args.site else None
    if args.journal_rows:
        with journal_of(args.database_url) as url:
            yield from growing(url, args.journal_rows, plan, lambda line: print(line, file=sys.stderr))
        return
    if "floors" in wanted:
        yield from floors(plan)
    if target is not None:
        yield from gateway_loads(target, plan, wanted)
    elif set(wanted) - {"floors"}:
        with own_gateway(args.amqp_url if "amqp" in wanted else None, args.database_url, args.workers) as own:
            yield from gateway_loads(own, plan, wanted)


def _running(args: argparse.Namespace) -> Any:
    """Find the gateway that runs a site, by the file it keeps while it runs."""
    from gateway.bench.run import Target
    from gateway.running import read_running

    running = read_running(args.site)
    name, _, secret = args.party.partition(":")
    return Target(running.pid, running.address("soap"), running.address("mml"), (name, secret), args.amqp_url)
