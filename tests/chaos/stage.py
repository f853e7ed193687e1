"""Where a fault happens: simulators that report, and one site served by real processes, on ports that stay theirs."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.chaos.network import FarHost
from tests.end_to_end.running import Process, World, free_port

ALONE: Mapping[str, tuple[str, ...]] = {"gateway": ()}
ROLES: Mapping[str, tuple[str, ...]] = {role: ("--role", role) for role in ("core", "connector", "gateway")}
SEVERAL: Mapping[str, tuple[str, ...]] = {"core": ("--role", "core"), "core-2": ("--role", "core"), "connector": ("--role", "connector"),
                                          "gateway": ("--role", "gateway"), "gateway-2": ("--role", "gateway")}
PAIR: Mapping[str, tuple[str, ...]] = {"gateway": (), "gateway-2": ()}
"""Processes of a site by name, in the order they start, and what tells each its part."""

_PORTS = ("SOAP", "MML", "MML_FRAMED", "CONSOLE")


class Stage:
    """`processes` of one site, each of which can be killed and started again where it was, in an environment of `env` more."""

    def __init__(self, folder: Path, processes: Mapping[str, tuple[str, ...]] = ALONE, **env: str) -> None:
        self.world = World(folder)
        self.folder = folder
        self.site = self.world.site
        self._wanted = processes
        self.env = env
        self._ports = {name: {f"UIP_{port}_PORT": str(free_port()) for port in _PORTS} for name in processes}
        self.running: dict[str, Process] = {}

    def port(self, listener: str, of: str = "gateway") -> int:
        """The port of a listener; it is the same after every restart."""
        return int(self._ports[of][f"UIP_{listener.upper()}_PORT"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            with suppress(Exception):
                process.kill()
        self.world.close()

    def has(self, name: str) -> bool:
        return name in self._wanted

    def start_all(self) -> None:
        for name in self._wanted:
            self.start(name)

    def start(self, name: str) -> None:
        self.running[name] = Process("serve", self.site, *self._wanted[name], log=self.folder / f"{name}.log",
                                     **{**self.env, **self._ports[name]})

    def kill(self, name: str) -> None:
        """`kill -9`."""
        self.running.pop(name).kill()

    def pause(self, name: str, seconds: float) -> None:
        """Let a process stand still: it does not know that time has passed."""
        popen = self.running[name].popen
        popen.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            popen.send_signal(signal.SIGCONT)

    def edit(self, pattern: str, replacement: str) -> None:
        """Change the site's settings."""
        file = self.site / "uip.yaml"
        text, number = re.subn(pattern, replacement, file.read_text())
        assert number, f"{pattern} is not in {file}"
        file.write_text(text)

    def move_simulator(self, name: str, far: FarHost) -> None:
        """Have a network element on another host."""
        self.world.simulators[name].kill()
        port = self.world.ELEMENTS[name]  # nobody else is there
        self.world.simulators[name] = Process("sim", name, "--host", far.host, "--port", str(port), "--report",
                                              self.world.report_file(name), log=self.folder / f"{name}.log", prefix=far.prefix)
        self.edit(rf"({name}: {{protocol: {name}, host:) [0-9.]+, port: \d+", rf"\1 {far.host}, port: {port}")
