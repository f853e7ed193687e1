"""One bench run: what is measured on one core, the load on another, and a row for each."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.bench import amqp
from gateway.bench.exchanges import MmlGet, MmlSubmit, SoapGet, SoapInvalid, SoapSubmit
from gateway.bench.load import Exchange, Sample, drive
from gateway.bench.processes import cores, cpu_seconds, resident_bytes
from gateway.bench.report import Row
from gateway.subprocesses import Started

FLOOR_OF = {"soap submit": "spyne", "soap get": "spyne", "soap refused": "spyne"}
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


def measured(name: str, pid: int, plan: Plan, load: Callable[[Plan, int, Callable[[int], None]], Sample],
             server: Callable[[], float] | None = None) -> Row:
    """Run a load and read the process's clock and memory around it. `load` is given a plan, the first number and a tick.

    `server` reads the processor seconds of a database server behind the process.
    """
    load(replace(plan, requests=_WARM_UP), 0, lambda _: None)
    memory: list[tuple[int, int]] = []
    before, server_before = cpu_seconds(pid), server() if server else 0.0
    sample = load(plan, _WARM_UP, lambda count: memory.append((count, resident_bytes(pid))))
    count = len(sample.latencies)
    return Row(name, count, sample.rate, p50=sample.percentile(0.5) * 1000, p99=sample.percentile(0.99) * 1000,
               p999=sample.percentile(0.999) * 1000, cpu_us=(cpu_seconds(pid) - before) / max(count, 1) * 1e6, memory_slope=_slope(memory),
               server_us=(server() - server_before) / max(count, 1) * 1e6 if server else None)


def _slope(memory: Sequence[tuple[int, int]]) -> float | None:
    """Bytes a request by least squares over the second half: what start-up takes once is no leak."""
    points = memory[len(memory) // 2:]
    if len(points) < 5:
        return None
    mean_x, mean_y = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else None


def by(address: tuple[str, int], exchange: Exchange) -> Callable[[Plan, int, Callable[[int], None]], Sample]:
    """Return the load of one exchange at one address."""
    return lambda plan, first, tick: drive(address, exchange, connections=plan.connections, seconds=plan.seconds, most=plan.requests,
                                           first=first, tick=tick)


def floors(plan: Plan) -> Iterator[Row]:
    """Measure the floors, one after the other."""
    for name in ("echo", "spyne"):
        server = Started(["gateway", "bench", "--serve-floor", name], cores=cores()[:1])
        try:
            address = server.address(name)
            yield measured(name, server.pid, plan, by(address, SoapSubmit(f"{address[0]}:{address[1]}", "/", expected=b"BENCH-")))
        finally:
            server.stop()


def gateway_loads(target: Target, plan: Plan, wanted: Sequence[str]) -> Iterator[Row]:
    """Measure the gateway by each protocol it listens to."""
    unique = os.getpid() * 100_000_000  # external ids differ from run to run
    if target.soap is not None and "soap" in wanted:
        host = f"{target.soap[0]}:{target.soap[1]}"
        submit = _Shifted(SoapSubmit(host, "/soap", party=target.party, expected=b"acknowledged"), unique)
        yield measured("soap submit", target.pid, plan, by(target.soap, submit))
        order = _soap_order_id(target.soap, submit)
        get = SoapGet(host, "/soap", order, party=target.party, expected=b"acknowledged")
        yield measured("soap get", target.pid, plan, by(target.soap, get))
        refused = SoapInvalid(host, "/soap", party=target.party, expected=b"Client.Invalid", status=500)
        yield measured("soap refused", target.pid, plan, by(target.soap, refused))
    if target.mml is not None and "mml" in wanted:
        submit_mml = _Shifted(MmlSubmit(*target.party), unique)
        yield measured("mml submit", target.pid, plan, by(target.mml, submit_mml))
        order = _first(target.mml, submit_mml, rb"^ *id +=  ?(\S+)")
        yield measured("mml get", target.pid, plan, by(target.mml, MmlGet(*target.party, order=order)))
    if target.amqp_url is not None and "amqp" in wanted:
        url = target.amqp_url
        yield measured("amqp submit", target.pid, plan, lambda p, first, tick: amqp.drive(
            url, window=p.window, seconds=p.seconds, most=p.requests, first=unique + first, tick=tick))


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


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """Set each gateway row beside its floor of the same run."""
    rates = {row.name: row.rate for row in rows}
    return [replace(row, floor=floor, ratio=row.rate / rates[floor])
            if (floor := FLOOR_OF.get(row.name)) is not None and rates.get(floor) else row for row in rows]
