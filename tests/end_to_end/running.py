"""A whole gateway as its users run it: `uip` processes on free ports with the demo site, and plain clients.

Nothing here imports the gateway: what is tested is the outside contract.
"""

from __future__ import annotations

import atexit
import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
START_SECONDS = 60


def uip(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "gateway", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("UIP_")}
    return {**inherited, "PYTHONPATH": str(ROOT), "UIP_SOAP_PORT": "0", "UIP_MML_PORT": "0", "UIP_MML_FRAMED_PORT": "0",
            "UIP_CONSOLE_PORT": "0", **more}


class Process:
    """A `uip` command that prints a `ready` line, waited for unless it is `begun` only: then when it is first asked for.

    `prefix` goes before its command line (`ip netns exec ...`).
    """

    def __init__(self, *arguments: str | Path, log: Path, module: tuple[str, ...] = ("gateway",), begun: bool = False,
                 prefix: tuple[str, ...] = (), **env: str) -> None:
        self.log = log
        self._log_file = log.open("ab")
        self.popen = subprocess.Popen([*prefix, sys.executable, "-m", *module, *map(str, arguments)], stdout=subprocess.PIPE,
                                      stderr=self._log_file, env=environment(**env), cwd=log.parent, text=True)
        if not begun:
            assert self.addresses

    @cached_property
    def addresses(self) -> dict[str, str]:
        assert self.popen.stdout
        line = self.popen.stdout.readline()
        if not line.startswith("ready"):
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"not ready: {line!r}\n{self.log.read_text()[-3000:]}")
        return dict(part.split("=", 1) for part in line.split()[1:])

    def port(self, name: str) -> int:
        found = re.search(r":(\d+)", self.addresses[name].removeprefix("http:"))
        assert found
        return int(found[1])

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, how: int) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(how)
        code = self.popen.wait(START_SECONDS)
        self._log_file.close()
        if self.popen.stdout:
            self.popen.stdout.close()
        return code


def json_lines(file: Path) -> list[dict[str, Any]]:
    """What a process has written to its log or report by now. The line it is just writing may be there in part: that one comes later."""
    whole, _, _ = file.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


_held: list[socket.socket] = []


def free_port() -> int:
    """A port that is the caller's until this process ends: others only get it by asking for it by number.

    A socket that may be bound twice and never listens holds it, so that the kernel chooses it for nobody; until the process it is
    meant for listens there, connections are refused.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    _held.append(holder)
    return int(holder.getsockname()[1])


# What every world has alike is made for the first of them.
_shared = ExitStack()
atexit.register(_shared.close)


@cache
def demo_site() -> Path:
    """A demo site to copy, as `uip init` writes it."""
    site = Path(_shared.enter_context(TemporaryDirectory(prefix="uip-demo-"))) / "site"
    subprocess.run(uip("init", site, "--demo"), check=True, env=environment(), capture_output=True)
    return site


@cache
def bureaus() -> dict[int, int]:
    """Credit bureaus that stand by, for they are only asked and remember nothing: by the port in the demo site, where they are."""
    logs = Path(_shared.enter_context(TemporaryDirectory(prefix="uip-bureaus-")))
    begun = {}
    for name, usual in (("credit-bureau-soap", 8100), ("credit-bureau-mml", 7800)):
        begun[usual] = name, Process("sim", name, "--port", "0", log=logs / f"{name}.log", begun=True)
        _shared.callback(begun[usual][1].kill)
    return {usual: process.port(name) for usual, (name, process) in begun.items()}


class World:
    """A simulated network element, a demo site that points to it and to the bureaus, and (once started) the gateway."""

    ELEMENTS = {"hlr": 7810}

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.env = env
        self.gateway: Process | None = None
        self.simulators: dict[str, Process] = {}
        ports = {}
        for name, usual in self.ELEMENTS.items():
            ports[usual] = free_port()
            self.simulators[name] = self._simulator(name, ports[usual])
        try:
            ports |= bureaus()
            shutil.copytree(demo_site(), self.site)
            text = (self.site / "uip.yaml").read_text()
            for usual, port in ports.items():
                text = re.sub(rf"\b{usual}\b", str(port), text)
            (self.site / "uip.yaml").write_text(text)
            assert all(simulator.addresses for simulator in self.simulators.values())
        except BaseException:
            self.close()
            raise

    def _simulator(self, name: str, port: int, *more: str) -> Process:
        return Process("sim", name, "--port", str(port), "--report", self.report_file(name), *more, log=self.folder / f"{name}.log",
                       begun=True)

    def say_alarms(self, *alarms: str) -> None:
        """Let the simulated HLR say these, in its place and from its next peer's login on."""
        port = self.simulators["hlr"].port("hlr")
        self.simulators.pop("hlr").stop()
        self.simulators["hlr"] = self._simulator("hlr", port, *(part for alarm in alarms for part in ("--alarm", alarm)))
        assert self.simulators["hlr"].addresses

    def report_file(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def report(self, name: str) -> list[dict[str, Any]]:
        file = self.report_file(name)
        return json_lines(file) if file.exists() else []

    def start(self, *, killed: tuple[str, int] | None = None) -> Process:
        """Start the gateway; `killed` says before or after which of its commits it dies."""
        module = ("gateway",) if killed is None else ("tests.end_to_end.killing", killed[0], str(killed[1]))
        self.gateway = Process("serve", self.site, log=self.folder / "gateway.log", module=module, **self.env)
        return self.gateway

    def close(self) -> None:
        for process in (self.gateway, *self.simulators.values()):
            if process is not None:
                process.kill()


@contextmanager
def world(folder: Path, **env: str) -> Iterator[World]:
    made = World(folder, **env)
    try:
        yield made
    finally:
        made.close()


class MmlClient:
    """A plain socket that speaks the text dialect as a person at a terminal would."""

    def __init__(self, port: int, *, login: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        self._buffer = b""
        if login:
            assert "RETCODE = 0 " in self.ask('LGI:OPNAME="crm",PWD="crm-secret";')

    def ask(self, command: str) -> str:
        self.socket.sendall(command.encode() + b"\r\n")
        return self.read()

    def read(self) -> str:
        while (end := self._buffer.find(b"---    END")) < 0:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError(self._buffer)
            self._buffer += data
        end += len(b"---    END")
        answer, self._buffer = self._buffer[:end], self._buffer[end:]
        return answer.decode()

    def close(self) -> None:
        self.socket.close()


def retcode(answer: str) -> int:
    found = re.search(r"RETCODE = (\d+)", answer)
    assert found, answer
    return int(found[1])


def field(answer: str, name: str) -> str:
    found = re.search(rf"^\s*{name}\s+=\s+(.*?)\s*$", answer, re.MULTILINE)
    assert found, f"no {name} in {answer}"
    return found[1]


ENVELOPE = ('<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:u="urn:uip:1">'
            "{header}<soap:Body>{body}</soap:Body></soap:Envelope>")


def soap(port: int, body: str, *, key: str | None = None, party: tuple[str, str] | None = ("crm", "crm-secret")) -> tuple[int, str]:
    """Post a hand-written envelope."""
    header = f"<soap:Header><u:Context><u:idempotencyKey>{key}</u:idempotencyKey></u:Context></soap:Header>" if key else ""
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
    if party:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(party).encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    connection.request("POST", "/soap", ENVELOPE.format(header=header, body=body).encode(), headers)
    response = connection.getresponse()
    answer = response.read().decode()
    connection.close()
    return response.status, answer


def submit_body(ext: str, *, customer: str = "C1", offer: str = "mobile-basic", start: str = "", **characteristics: str) -> str:
    values = "".join(f"<u:productCharacteristic><u:name>{n}</u:name><u:value>{v}</u:value></u:productCharacteristic>"
                     for n, v in characteristics.items())
    start = f"<u:requestedStartDate>{start}</u:requestedStartDate>" if start else ""
    return (f"<u:SubmitProductOrder><u:externalId>{ext}</u:externalId>"
            f"<u:relatedParty><u:id>{customer}</u:id><u:name>Ann Lee</u:name><u:role>customer</u:role></u:relatedParty>"
            f"<u:productOrderItem><u:id>1</u:id><u:action>add</u:action><u:quantity>1</u:quantity>"
            f"<u:productOffering>{offer}</u:productOffering>{values}</u:productOrderItem>{start}</u:SubmitProductOrder>")


def element(answer: str, name: str) -> str:
    found = re.search(rf"<(?:\w+:)?{name}(?:\s[^>]*)?>([^<]*)</", answer)
    assert found, f"no {name} in {answer}"
    return found[1]


FINAL = {"completed", "rejected", "failed", "partial", "cancelled", "held"}


def until_final(client: MmlClient, order_id: str, seconds: float = 20) -> str:
    """Ask until the order has reached a state it stays in (outside programs can only ask again and again)."""
    end = time.monotonic() + seconds
    while True:
        answer = client.ask(f'LST ORDER:ORDERID="{order_id}";')
        if field(answer, "state") in FINAL:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"order did not end: {answer}")
        time.sleep(0.05)
