"""A host of one's own behind a cable that can be cut: a network namespace, joined by a veth pair, that drops every packet.

Nothing tells the other side: connections stay established and silent, and new ones get no answer, as behind a dead firewall.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.chaos.services import Missing


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f"{' '.join(command)}: {done.stderr.strip()}")


@dataclass(frozen=True, slots=True)
class FarHost:
    """`prefix` before a command line runs it there; `host` is its address."""

    name: str
    host: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        for chain in ("INPUT", "OUTPUT"):
            _do(*self.prefix, "iptables", "-A", chain, "!", "-i" if chain == "INPUT" else "-o", "lo", "-j", "DROP")

    def heal(self) -> None:
        _do(*self.prefix, "iptables", "-F")


@contextmanager
def far_host() -> Iterator[FarHost]:
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("iptables"):
        raise Missing("root, ip and iptables, for a network namespace")
    name = "uip" + secrets.token_hex(3)
    net = f"10.{secrets.randbelow(56) + 200}.{secrets.randbelow(256)}"
    _do("ip", "netns", "add", name)
    try:
        _do("ip", "link", "add", name, "type", "veth", "peer", "name", "far", "netns", name)
        _do("ip", "address", "add", f"{net}.1/30", "dev", name)
        _do("ip", "link", "set", name, "up")
        far = FarHost(name, f"{net}.2")
        for command in (("address", "add", f"{net}.2/30", "dev", "far"), ("link", "set", "far", "up"), ("link", "set", "lo", "up")):
            _do(*far.prefix, "ip", *command)
        far.heal()
        yield far
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
