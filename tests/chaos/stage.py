"""Where a fault happens: simulators that report, and one site served by real processes, on ports that stay theirs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.end_to_end.running import Process, World, free_port

ALONE: Mapping[str, tuple[str, ...]] = {"gateway": ()}
ROLES: Mapping[str, tuple[str, ...]] = {role: ("--role", role) for role in ("core", "connector", "gateway")}
"""Processes of a site by name, in the order they start, and what tells each its part."""

_PORTS = ("SOAP", "MML", "MML_FRAMED", "CONSOLE")


class Stage:
    """`processes` of one site, each of which can be killed and started again where it was; `wrapped` is put before the
    command line of the one it names. Everything else is environment.
    """

    def __init__(self, folder: Path, processes: Mapping[str, tuple[str, ...]] = ALONE, **env: str) -> None:
        self.world = World(folder)
        self.folder = folder
        self.site = self.world.site
        self._wanted = processes
        self.env = env
        self._ports = {name: {f"UIP_{port}_PORT": str(free_port()) for port in _PORTS} for name in processes}
        self.running: dict[str, Process] = {}

    @property
    def names(self) -> list[str]:
        return list(self._wanted)

    def port(self, listener: str) -> int:
        """The port of a listener; it is the same after every restart."""
        return int(self._ports["gateway"][f"UIP_{listener.upper()}_PORT"])

    def start_all(self) -> None:
        for name in self._wanted:
            self.start(name)

    def start(self, name: str) -> None:
        self.running[name] = Process("serve", self.site, *self._wanted[name], log=self.folder / f"{name}.log",
                                     **{**self.env, **self._ports[name]})

    def kill(self, name: str) -> None:
        """`kill -9`."""
        self.running.pop(name).kill()

    def stop(self, name: str) -> int:
        return self.running.pop(name).stop()

    def edit(self, pattern: str, replacement: str) -> None:
        """Change the site's settings."""
        file = self.site / "uip.yaml"
        text, number = re.subn(pattern, replacement, file.read_text())
        assert number, f"{pattern} is not in {file}"
        file.write_text(text)

    def log_of(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        for process in self.running.values():
            with suppress(Exception):
                process.kill()
        self.world.close()
