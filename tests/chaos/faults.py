"""The table of faults: what is done to a running site while orders come in. `python -m tests.chaos` runs it."""

from __future__ import annotations

import http.client
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pika

from tests.chaos.load import ByAmqp, ByMml, BySoap, Load, Order
from tests.chaos.network import FarHost, far_host
from tests.chaos.services import Missing, Postgres, Rabbit, postgres, rabbit, wait_for
from tests.chaos.stage import PAIR, ROLES, SEVERAL, Stage
from tests.chaos.verdict import End, Verdict, applied_by_imsi, end_of, judge
from tests.end_to_end.running import MmlClient


@dataclass(slots=True)
class Scene:
    """A stage with what stands around it. `amqp` is the broker at which requests are taken, where they are."""

    stage: Stage
    dice: random.Random
    load: Load
    amqp: str | None = None
    rabbit: Rabbit | None = None
    postgres: Postgres | None = None
    far: FarHost | None = None
    clock: Path | None = None
    length: int = 1
    since: float = 0.0

    def now(self) -> None:
        """From here on the time to recover is counted: a process has been killed, or what was taken away is back."""
        self.since = time.monotonic()

    def some_way_into(self) -> None:
        """Wait for a random moment of the load."""
        at = self.load.acknowledged + self.dice.randint(2, max(3, len(self.load.orders) // (8 * self.length)))
        wait_for(lambda: self.load.acknowledged >= min(at, len(self.load.orders)), "the load gets on")
        time.sleep(self.dice.random() * 0.2)


_LONGEST = 120.0

Act = Callable[[Scene], None]
SetUp = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """`quick` ones run in the tests, all of them in `make chaos`, and there several times as long.

    `orders` are sent over `seconds`, and have `patience` seconds more to end. `ending` gives every tenth IMSI a habit at the element.
    """

    name: str
    act: Act
    set_up: SetUp
    quick: bool = False
    orders: int = 40
    seconds: float = 4.0
    patience: float = 60.0
    ending: str = ""


# ---- stages


@contextmanager
def alone(folder: Path) -> Iterator[dict[str, Any]]:
    with Stage(folder) as stage:
        yield {"stage": stage}


@contextmanager
def roles(folder: Path) -> Iterator[dict[str, Any]]:
    """Three processes joined by a broker of their own, which takes requests, too."""
    with rabbit() as node, Stage(folder, ROLES, UIP_BUS_URL=node.url, UIP_AMQP_URL=node.url) as stage:
        yield {"stage": stage, "rabbit": node, "amqp": node.url}


@contextmanager
def several(folder: Path) -> Iterator[dict[str, Any]]:
    """Two gateways and two cores on one database, and one broker between them."""
    with rabbit() as node, postgres() as cluster, \
            Stage(folder, SEVERAL, UIP_BUS_URL=node.url, UIP_AMQP_URL=node.url, UIP_DATABASE_URL=cluster.url) as stage:
        yield {"stage": stage, "rabbit": node, "amqp": node.url, "postgres": cluster}


@contextmanager
def pair(folder: Path) -> Iterator[dict[str, Any]]:
    """Two processes that do everything, on one database; together they may have two sessions at the element."""
    with rabbit() as node, postgres() as cluster, \
            Stage(folder, PAIR, UIP_BUS_URL=node.url, UIP_AMQP_URL=node.url, UIP_DATABASE_URL=cluster.url) as stage:
        stage.edit(r"(hlr: \{protocol: hlr,)", r"\1 login_slots: 2,")
        yield {"stage": stage, "rabbit": node, "amqp": node.url, "postgres": cluster}


@contextmanager
def on_postgres(folder: Path) -> Iterator[dict[str, Any]]:
    with postgres() as cluster, Stage(folder, UIP_DATABASE_URL=cluster.url) as stage:
        yield {"stage": stage, "postgres": cluster}


@contextmanager
def far_element(folder: Path) -> Iterator[dict[str, Any]]:
    with far_host() as far, Stage(folder) as stage:
        stage.move_simulator("hlr", far)
        yield {"stage": stage, "far": far}


@contextmanager
def far_broker(folder: Path) -> Iterator[dict[str, Any]]:
    with far_host() as far, rabbit(far.host, far.prefix) as node, \
            Stage(folder, ROLES, UIP_BUS_URL=node.url, UIP_AMQP_URL=node.url) as stage:
        yield {"stage": stage, "rabbit": node, "amqp": node.url, "far": far}


@contextmanager
def small_disk(folder: Path) -> Iterator[dict[str, Any]]:
    """The site's data on a disk of its own that can be filled."""
    with Stage(folder) as stage:
        data = stage.site / "data"
        data.mkdir(exist_ok=True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", data], capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            raise Missing(f"the right to mount a small disk: {mounted.stderr.strip()}")
        try:
            yield {"stage": stage}
        finally:
            subprocess.run(["umount", "--lazy", data], check=False)


@contextmanager
def own_clock(folder: Path) -> Iterator[dict[str, Any]]:
    """The gateway's wall clock is libfaketime's, which reads from a file how far it is off."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        raise Missing("libfaketime")
    clock = folder / "clock"
    clock.write_text("+0")
    with Stage(folder, LD_PRELOAD=str(library), FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1",
               DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_FAKE_MONOTONIC="1") as stage:
        yield {"stage": stage, "clock": clock}


# ---- what is done


def nothing(scene: Scene) -> None:
    scene.some_way_into()
    scene.now()


def kill(name: str, times: int) -> Act:
    """`kill -9`, and start again as a supervisor would."""
    def act(scene: Scene) -> None:
        for _ in range(times * scene.length):
            scene.some_way_into()
            scene.stage.kill(name)
            scene.now()
            scene.stage.start(name)

    return act


def kill_for_good(name: str) -> Act:
    """`kill -9` of one of two: the other one takes over what it left."""
    def act(scene: Scene) -> None:
        scene.some_way_into()
        scene.stage.kill(name)
        scene.now()

    return act


def pause(name: str, seconds: float) -> Act:
    """For longer than its lease: others take over what is its own, messages and login slots, and it goes on believing it has them."""
    def act(scene: Scene) -> None:
        for _ in range(scene.length):
            scene.some_way_into()
            scene.stage.pause(name, seconds)
            scene.now()

    return act


def broker_restarts(scene: Scene) -> None:
    scene.some_way_into()
    scene.rabbit.stop()
    scene.rabbit.start()
    scene.now()


def broker_killed(scene: Scene) -> None:
    scene.some_way_into()
    scene.rabbit.kill()
    scene.rabbit.start()
    scene.now()


def broker_stopped(seconds: float) -> Act:
    def act(scene: Scene) -> None:
        scene.some_way_into()
        scene.rabbit.stop()
        time.sleep(seconds)
        scene.rabbit.start()
        scene.now()

    return act


def memory_alarm(seconds: float) -> Act:
    """The broker blocks every connection that publishes."""
    def act(scene: Scene) -> None:
        scene.some_way_into()
        scene.rabbit.control("set_vm_memory_high_watermark", "absolute", "1")
        time.sleep(seconds)
        scene.rabbit.control("set_vm_memory_high_watermark", "0.6")
        scene.now()

    return act


def queues_deleted(scene: Scene) -> None:
    """Every queue that requests and messages between processes go through, one after the other, with what is in it."""
    connection = pika.BlockingConnection(pika.URLParameters(scene.amqp))
    channel = connection.channel()
    names = ["uip.requests", *(f"uip.bus.{address}.{part}" for part in ("0", "1", "2", "3", "calls")
                               for address in ("orders", "credit", "provisioning", "billing", "connector.hlr"))]
    scene.some_way_into()
    for name in names:
        channel.queue_delete(name)
        connection.sleep(scene.dice.random() * 0.3)
    scene.now()
    connection.close()


def cut_off(seconds: float) -> Act:
    """Every packet from and to the far host is dropped; nobody is told."""
    def act(scene: Scene) -> None:
        scene.some_way_into()
        scene.far.cut()
        time.sleep(seconds)
        scene.far.heal()
        scene.now()

    return act


def disk_full(seconds: float) -> Act:
    def act(scene: Scene) -> None:
        filler = scene.stage.site / "data" / "filler"
        for _ in range(scene.length):
            scene.some_way_into()
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            time.sleep(seconds)
            filler.unlink()
            scene.now()

    return act


def clock_jumps(*hours: int) -> Act:
    def act(scene: Scene) -> None:
        for off in hours:
            scene.some_way_into()
            scene.clock.write_text(f"{off * 3600:+d}")
            wait_for(lambda off=off: round((_date_told(scene.stage) - time.time()) / 3600) == off, "the gateway's clock is set")
            scene.now()

    return act


def _date_told(stage: Stage) -> float:
    """The gateway's clock, by the date in its answers."""
    connection = http.client.HTTPConnection("127.0.0.1", stage.port("soap"), timeout=5)
    connection.request("GET", "/soap?wsdl")
    with closing(connection), connection.getresponse() as answer:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()


_POISON = ((b"\xff{", {}), (b"[]", {"type": "SubmitProductOrder"}), (b"{}", {"type": "NoSuchThing", "message_id": "p"}),
           (b"", {"headers": {"attempt": "many"}}))


def poison(scene: Scene) -> None:
    """What nobody can read, among the requests and on the bus; each is a dead letter in the end."""
    connection = pika.BlockingConnection(pika.URLParameters(scene.amqp))
    channel = connection.channel()
    channel.confirm_delivery()
    queues = ("uip.requests", "uip.bus.orders.1", "uip.bus.orders.calls", "uip.bus.connector.hlr.0")
    for _ in range(scene.length):
        scene.some_way_into()
        for queue in queues:
            for body, properties in _POISON:
                channel.basic_publish("", queue, body, pika.BasicProperties(**properties), mandatory=True)
    scene.now()
    letters = scene.length * len(queues) * len(_POISON)

    def buried() -> bool:
        return letters == sum(channel.queue_declare(dead, passive=True).method.message_count for dead in ("uip.dead", "uip.bus.dead"))

    wait_for(buried, f"{letters} dead letters", 60)
    connection.close()


def database_restarts(mode: str) -> Act:
    def act(scene: Scene) -> None:
        for _ in range(scene.length):
            scene.some_way_into()
            scene.postgres.stop(mode)
            scene.postgres.start()
            scene.now()

    return act


FAULTS = {fault.name: fault for fault in (
    Fault("none", nothing, alone),
    Fault("kill-all-in-one", kill("gateway", 2), alone, quick=True),
    Fault("kill-gateway", kill("gateway", 2), roles),
    Fault("kill-core", kill("core", 1), roles, quick=True),
    Fault("kill-connector", kill("connector", 2), roles),
    Fault("replies-lost", nothing, alone, quick=True, orders=20, seconds=2, ending="444"),
    Fault("broker-restarts", broker_restarts, roles),
    Fault("broker-killed", broker_killed, roles),
    Fault("broker-stopped-30-s", broker_stopped(30), roles, patience=120),
    Fault("memory-alarm", memory_alarm(20), roles, patience=120),
    Fault("queues-deleted", queues_deleted, roles, orders=100, seconds=10, patience=180),
    Fault("poison", poison, roles),
    Fault("half-open-element", cut_off(15), far_element),
    Fault("half-open-broker", cut_off(40), far_broker, patience=120),
    Fault("disk-full", disk_full(4), small_disk),
    Fault("clock-jumps", clock_jumps(1, -1), own_clock),
    Fault("core-dies-of-two", kill_for_good("core-2"), several),
    Fault("kill-core-of-two", kill("core", 2), several),
    Fault("kill-gateway-of-two", kill("gateway-2", 2), several),
    Fault("node-paused-beyond-its-lease", pause("gateway-2", 10), pair),
    Fault("postgres-restarts-under-two", database_restarts("fast"), several),
    Fault("postgres-restarts", database_restarts("fast"), on_postgres),
    Fault("postgres-killed", database_restarts("immediate"), on_postgres),
)}


def clients_of(scene_parts: dict[str, Any]) -> list[Callable[[], Any]]:
    stage: Stage = scene_parts["stage"]
    clients: list[Callable[[], Any]] = [lambda: BySoap(stage.port("soap")), lambda: ByMml(stage.port("mml"))] * 2
    if stage.has("gateway-2"):
        clients += [lambda: BySoap(stage.port("soap", "gateway-2")), lambda: ByMml(stage.port("mml", "gateway-2"))]
    if url := scene_parts.get("amqp"):
        clients += [lambda: ByAmqp(url)] * 2
    return clients


def run(fault: Fault, folder: Path, seed: int, length: int = 1) -> Verdict:
    """Run one fault, `length` times as long as in the tests, and return what became of the orders.

    Raises Missing where the machine lacks what it needs.
    """
    fault = replace(fault, orders=fault.orders * length, seconds=fault.seconds * length, patience=fault.patience * length)
    with fault.set_up(folder) as parts:
        return _run(fault, parts, seed, length)


def _run(fault: Fault, parts: dict[str, Any], seed: int, length: int) -> Verdict:
    stage: Stage = parts["stage"]
    stage.start_all()
    undisturbed = _undisturbed(stage)
    orders = [Order(number, fault.ending if fault.ending and number % 10 == 5 else "000")
              for number in range(1, fault.orders + 1)]
    load = Load(orders, fault.seconds, clients_of(parts))
    scene = Scene(dice=random.Random(seed), load=load, length=length, **parts)
    load.start()
    fault.act(scene)
    _place_one(stage, fault.orders + 1)
    recovered = time.monotonic() - scene.since
    load.join(fault.seconds + fault.patience)
    verdict = judge(stage, load, undisturbed, fault.patience)
    verdict.recovered = recovered
    return verdict


def _undisturbed(stage: Stage) -> End:
    """How an order ends when nothing happens."""
    end = _place_one(stage, 0)
    assert end is not None, "an undisturbed order does not end"
    assert end.state == "completed", end
    return end


def _place_one(stage: Stage, number: int) -> End | None:
    """Place one order and return its end; None when it does not come."""
    order = Order(number)
    load = Load([order], 0, [lambda: BySoap(stage.port("soap"))])
    load.start()
    load.join(_LONGEST)
    client = MmlClient(stage.port("mml"))
    try:
        until = time.monotonic() + _LONGEST
        end_of(client, order, {order.imsi: []}, until)
        return end_of(client, order, applied_by_imsi(stage), until)
    finally:
        client.close()
