"""`uip demo`: the demo site, simulated bureaus and network element, and one new subscription by each protocol.

Everything is the real thing but the systems behind: simulators that speak their protocols over TCP. It goes on serving
until Ctrl-C; with --once it exits when the orders are completed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HELP = "see a real order travel the whole way by SOAP, MML and AMQP, then go on serving"

SIMULATORS = ("credit-bureau-soap", "credit-bureau-mml", "hlr")
_BROKER = "amqp://guest:guest@127.0.0.1:5672/%2F"
_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--once", action="store_true", help="exit when the orders are completed")
    parser.add_argument("--dir", type=Path, default=Path("demo"), metavar="DIR", help="where site, logs and reports go (default demo)")


def run(args: argparse.Namespace) -> int:
    """Show it; 0 when every order was completed."""
    from core.messages.failures import Failure
    from gateway.clients import Unreachable
    from gateway.subprocesses import NotStarted

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended politely, the processes beside us end too
    with ExitStack() as stack:
        try:
            addresses, broker = _start(args.dir, stack)
            well = _conversations(addresses, broker)
            _farewell(args.dir, addresses)
            if not args.once:
                print("\nServing until Ctrl-C.", flush=True)
                signal.pause()
        except KeyboardInterrupt:
            print()
            return 0
        except OSError as error:
            print(f"uip: {args.dir} cannot be written: {error.filename}: {error.strerror}", file=sys.stderr)
            return 1
        except (NotStarted, Unreachable, Failure) as error:
            print(f"uip: {error}", file=sys.stderr)
            return 1
    return 0 if well else 1


def _start(folder: Path, stack: ExitStack) -> tuple[dict[str, str], str | None]:
    from config.loader import port_variable
    from gateway.commands.init import write_site
    from gateway.subprocesses import Started

    site = folder / "site"
    if not (site / "uip.yaml").exists():
        write_site(site, demo=True)
        print(f"A demo site was written to {site}.")
    env: dict[str, str] = {}
    simulators: dict[str, Started] = {}
    for name in SIMULATORS:
        port = os.environ.get(port_variable(name))
        simulators[name] = Started(["gateway", "sim", name, *(["--port", port] if port else []), "--report", str(folder / f"{name}.jsonl")],
                                   log=folder / f"{name}.log")
        stack.callback(simulators[name].stop)
    for name, simulator in simulators.items():
        env[port_variable(name)] = str(simulator.address(name)[1])
        print(f"Simulated {name} at {simulator.addresses[name]}.")
    broker = _broker()
    if broker is not None:
        env["UIP_AMQP_URL"] = broker
    else:
        print("No RabbitMQ broker answers, so AMQP is left out; name one in UIP_AMQP_URL.")
    gateway = Started(["gateway", "serve", str(site)], env=env, log=folder / "gateway.log")
    stack.callback(gateway.stop)
    print(f"Gateway ready: {', '.join(f'{name} at {address}' for name, address in gateway.addresses.items())}.", flush=True)
    return dict(gateway.addresses), broker


def _broker() -> str | None:
    """Return the broker's URL, if one answers there."""
    from gateway.clients import Unreachable
    from gateway.clients.amqp import AmqpClient

    url = os.environ.get("UIP_AMQP_URL") or _BROKER
    try:
        AmqpClient(url).close()
    except Unreachable:
        return None
    return url


def _conversations(addresses: dict[str, str], broker: str | None) -> bool:
    from gateway.commands.call import connect

    ways = {"soap": f"http://{addresses['soap']}/soap", "mml": addresses["mml"]}
    if broker is not None:
        ways["amqp"] = broker
    run_name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    completed = [_new_subscription(by, at, f"DEMO-{run_name}-{by.upper()}", connect) for by, at in ways.items()]
    return all(completed)


def _new_subscription(by: str, at: str, external_id: str, connect: Any) -> bool:
    """Order, look until the order has ended, and print what was said."""
    from core.messages.base import RelatedParty
    from core.orders.objects import GetProductOrder, ProductOrderItemRequest, SubmitProductOrder
    from core.states import FINAL

    print(f"\n{'=' * 20} A new subscription by {by.upper()} {'=' * 20}", flush=True)
    client = connect(by, at, "crm", "crm-secret")
    try:
        order = client.call(SubmitProductOrder(
            externalId=external_id, relatedParty=RelatedParty(id="C1000", name="Ann Lee", role="customer"),
            productOrderItem=(ProductOrderItemRequest(productOffering="mobile-basic"),)), external_id)
        _print(client.said)
        begun = time.monotonic()
        while order.state not in FINAL and time.monotonic() - begun < _SECONDS:
            time.sleep(0.1)
            client.said.clear()
            order = client.call(GetProductOrder(id=order.id))
        _print(client.said)
    finally:
        client.close()
    print(f"---- {external_id} is {order.state} after {time.monotonic() - begun:.1f} s: "
          f"{', '.join(m.name for m in order.milestone)}", flush=True)
    return bool(order.state == "completed")


def _print(said: list[tuple[str, str]]) -> None:
    for arrow, text in said:
        print(*(f"{arrow} {line}" for line in text.strip().splitlines()), sep="\n")


def _farewell(folder: Path, addresses: dict[str, str]) -> None:
    applied = len((folder / "hlr.jsonl").read_text().splitlines())
    print(f"\nThe simulated HLR applied {applied} commands ({folder / 'hlr.jsonl'}); the gateway's log is {folder / 'gateway.log'}.")
    print(f"Console: {addresses['console']} (admin / admin-secret). SOAP: http://{addresses['soap']}/soap?wsdl. "
          f"MML: {addresses['mml']}, framed {addresses['mml-framed']} (crm / crm-secret).", flush=True)
