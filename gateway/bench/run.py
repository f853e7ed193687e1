"""One bench run: what is measured on one core, the load on another, and a row for each."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from gateway.bench import amqp
from gateway.bench.exchanges import MmlGet, MmlSubmit, SoapGet, SoapInvalid, SoapSubmit
from gateway.bench.load import Exchange, Sample, drive
from gateway.bench.processes import cores, cpu_seconds, resident_bytes
from gateway.bench.report import Row
from gateway.subprocesses import Started

_TURNS = 5
_WARM_UP = 200


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway under load: its process, its listeners' addresses, a party that may do everything, and the broker's URL."""

    pid: int
    soap: tuple[str, int] | None
    mml: tuple[str, int] | None
    party: tuple[str, str]
    amqp_url: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How much: connections at once (over AMQP it is one, with a window of requests), and seconds or requests a load, whichever ends
    first.
    """

    connections: int = 32
    window: int = amqp.WINDOW
    seconds: float = 5.0
    requests: int = 10_000_000


Load = Callable[[Plan, int, Callable[[int], None]], Sample]
"""Loads something; it is given a plan, the first request's number, and a tick."""


def measured(name: str, pid: int, plan: Plan, load: Load, server: Callable[[], float] | None = None, floor: Load | None = None) -> Row:
    """Run a load and read the process's clock and memory around it. `server` reads the processor seconds of a database server behind
    the process. With a floor, spyne's, the two are loaded in turns, and the ratio is the turns' median: when the machine is slower for a
    while, it is so for both.
    """
    load(replace(plan, requests=_WARM_UP), 0, lambda _: None)
    turns = _TURNS if floor is not None else 1
    plan = replace(plan, seconds=plan.seconds / turns, requests=-(-plan.requests // turns))
    whole, memory, ratios = Sample(), list[tuple[int, int]](), list[float]()
    spent = server_spent = 0.0
    for _ in range(turns):
        beside = floor(plan, 0, lambda _: None) if floor is not None else None
        done = len(whole.latencies)
        before, server_before = cpu_seconds(pid), server() if server else 0.0
        sample = load(plan, _WARM_UP + done, partial(_remember, memory, pid, done))
        spent += cpu_seconds(pid) - before
        server_spent += server() - server_before if server else 0.0
        whole.add(sample)
        if beside is not None:
            ratios.append(sample.rate / beside.rate)
    count = max(len(whole.latencies), 1)
    return Row(name, len(whole.latencies), whole.rate, p50=whole.percentile(0.5) * 1000, p99=whole.percentile(0.99) * 1000,
               p999=whole.percentile(0.999) * 1000, cpu_us=spent / count * 1e6, memory_slope=_slope(memory),
               server_us=server_spent / count * 1e6 if server else None,
               floor="spyne" if ratios else None, ratio=median(ratios) if ratios else None)


def _remember(memory: list[tuple[int, int]], pid: int, done: int, count: int) -> None:
    memory.append((done + count, resident_bytes(pid)))


def _slope(memory: Sequence[tuple[int, int]]) -> float | None:
    """Bytes a request by least squares over the second half: what start-up takes once is no leak."""
    points = memory[len(memory) // 2:]
    if len(points) < 5:
        return None
    mean_x, mean_y = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else None


def by(address: tuple[str, int], exchange: Exchange) -> Load:
    """Return the load of one exchange at one address."""
    return lambda plan, first, tick: drive(address, exchange, connections=plan.connections, seconds=plan.seconds, most=plan.requests,
                                           first=first, tick=tick)


@contextmanager
def running_floor(name: str) -> Iterator[tuple[int, Load]]:
    """Run a floor; its process and its load."""
    server = Started(["gateway", "bench", "--serve-floor", name], cores=cores()[:1])
    try:
        address = server.address(name)
        yield server.pid, by(address, SoapSubmit(f"{address[0]}:{address[1]}", "/", expected=b"BENCH-"))
    finally:
        server.stop()


def floors(plan: Plan) -> Iterator[Row]:
    """Measure the floors, one after the other."""
    for name in ("echo", "spyne"):
        with running_floor(name) as (pid, load):
            yield measured(name, pid, plan, load)


def gateway_loads(target: Target, plan: Plan, wanted: Sequence[str]) -> Iterator[Row]:
    """Measure the gateway by each protocol it listens to; by SOAP beside spyne, where floors are wanted."""
    if target.soap is not None and "soap" in wanted:
        with running_floor("spyne") if "floors" in wanted else nullcontext((0, None)) as (_, spyne):
            yield from _soap_loads(target, target.soap, plan, spyne)
    unique = _unique()
    if target.mml is not None and "mml" in wanted:
        submit_mml = _Shifted(MmlSubmit(*target.party), unique)
        yield measured("mml submit", target.pid, plan, by(target.mml, submit_mml))
        order = _first(target.mml, submit_mml, rb"^ *id +=  ?(\S+)")
        yield measured("mml get", target.pid, plan, by(target.mml, MmlGet(*target.party, order=order)))
    if target.amqp_url is not None and "amqp" in wanted:
        url = target.amqp_url
        yield measured("amqp submit", target.pid, plan, lambda p, first, tick: amqp.drive(
            url, window=p.window, seconds=p.seconds, most=p.requests, first=unique + first, tick=tick))


def _soap_loads(target: Target, address: tuple[str, int], plan: Plan, spyne: Load | None) -> Iterator[Row]:
    host = f"{address[0]}:{address[1]}"
    submit = _Shifted(SoapSubmit(host, "/soap", party=target.party, expected=b"acknowledged"), _unique())
    yield measured("soap submit", target.pid, plan, by(address, submit), floor=spyne)
    order = _soap_order_id(address, submit)
    get = SoapGet(host, "/soap", order, party=target.party, expected=b"acknowledged")
    yield measured("soap get", target.pid, plan, by(address, get), floor=spyne)
    refused = SoapInvalid(host, "/soap", party=target.party, expected=b"Client.Invalid", status=500)
    yield measured("soap refused", target.pid, plan, by(address, refused), floor=spyne)


def _unique() -> int:
    """External ids differ from run to run."""
    return os.getpid() * 100_000_000


@dataclass(slots=True)
class _Shifted:
    """An exchange whose numbers begin elsewhere."""

    exchange: Exchange
    by: int

    def opening(self) -> bytes:
        return self.exchange.opening()

    def request(self, number: int) -> bytes:
        return self.exchange.request(self.by + number)

    def answer(self, buffer: bytearray) -> int:
        return self.exchange.answer(buffer)


def _first(address: tuple[str, int], exchange: Exchange, pattern: bytes) -> str:
    """Ask once and read something out of the answer."""
    seen: list[bytes] = []

    class Reading:
        opening = staticmethod(exchange.opening)

        @staticmethod
        def request(_number: int) -> bytes:
            return exchange.request(99_999_999)

        @staticmethod
        def answer(buffer: bytearray) -> int:
            end = exchange.answer(buffer)
            if end:
                seen.append(bytes(buffer[:end]))
            return end

    drive(address, Reading(), connections=1, seconds=5, most=1)
    found = re.search(pattern, seen[-1], re.MULTILINE)
    if found is None:
        raise RuntimeError("the answer does not tell the order's id")
    return found[1].decode()


def _soap_order_id(address: tuple[str, int], exchange: Exchange) -> str:
    return _first(address, exchange, rb"<(?:\w+:)?id>([^<]+)</(?:\w+:)?id>")


@contextmanager
def own_gateway(amqp_url: str | None, database_url: str | None, workers: int = 1) -> Iterator[Target]:
    """Start a gateway of our own with the demo site in a folder that is removed afterwards. Several workers share the cores with the
    load; one has a core of its own.
    """
    from gateway.commands.init import write_site

    with tempfile.TemporaryDirectory(prefix="uip-bench-") as folder:
        site = Path(folder) / "site"
        write_site(site, demo=True)
        env = {f"UIP_{name}_PORT": "0" for name in ("SOAP", "MML", "MML_FRAMED", "CONSOLE")}
        env |= {"UIP_AMQP_URL": amqp_url or "", "UIP_DATABASE_URL": database_url or ""}
        server = Started(["gateway", "serve", str(site), "--workers", str(workers)], cores=cores()[:1] if workers == 1 else cores(),
                         env=env, log=Path(folder) / "log")
        try:
            yield Target(server.pid, server.address("soap"), server.address("mml"), ("crm", "crm-secret"), amqp_url)
        finally:
            server.stop()
