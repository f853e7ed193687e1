"""Peers spread evenly over the processes that listen to one socket.

Who asks the kernel first would let a whole crowd in, and of two idle processes it is always the same one. So each says in memory that
all share how many peers it has, and who has more than another lets that one go first.
"""

from __future__ import annotations

import mmap
import os
import socket
import tempfile
from functools import cache
from typing import IO, Any, Final

from twisted.internet import tcp

COUNTS: Final = "UIP_CROWD"
"""The environment variable by which a process is told where the counts are and which is its own: `descriptor:number`, from 0."""

_AFTER_YOU_SECONDS: Final = 0.002
_BYTES: Final = 8
_ABSENT: Final = 2**62


class Counts:
    """How many peers each of several processes has. A process is absent until it counts, and again when it has `left`."""

    def __init__(self, descriptor: int) -> None:
        self._counts = memoryview(mmap.mmap(descriptor, os.fstat(descriptor).st_size)).cast("q")
        self._own = 0
        self._here = 0

    def join(self, number: int) -> None:
        """Be the process of that number, from 0."""
        self._own = number
        self._counts[number] = 0

    def add(self, peers: int) -> None:
        """Note that peers have come, or (negative) gone."""
        self._here += peers
        if self._counts[self._own] != _ABSENT:
            self._counts[self._own] = self._here

    def left(self, number: int) -> None:
        """Note that a process lets nobody in any more."""
        self._counts[number] = _ABSENT

    @property
    def first(self) -> bool:
        """Whether no other has fewer than this one."""
        return self._here <= min(self._counts)


@cache
def counts() -> Counts | None:
    """The counts this process was started with, if it was."""
    descriptor, _, number = os.environ.get(COUNTS, "").partition(":")
    if not descriptor:
        return None
    shared = Counts(int(descriptor))
    shared.join(int(number))
    return shared


def counts_file(processes: int) -> IO[bytes]:
    """Make the memory for so many processes, all of them absent."""
    made = tempfile.TemporaryFile()  # noqa: SIM115  # it is the caller's
    made.truncate(_BYTES * processes)
    all_of_them = Counts(made.fileno())
    for number in range(processes):
        all_of_them.left(number)
    return made


class _Peer(tcp.Server):
    server: CrowdedPort

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.server.counts.add(1)

    def connectionLost(self, reason: Any) -> None:
        self.server.counts.add(-1)
        super().connectionLost(reason)


class CrowdedPort(tcp.Port):
    """Twisted's port for a socket that other processes listen to as well."""

    transport: Any = _Peer
    counts: Counts

    @classmethod
    def adopt(cls, reactor: Any, descriptor: int, family: socket.AddressFamily, factory: Any, counts: Counts) -> CrowdedPort:
        """Listen to a socket that listens already, as Twisted's adoptStreamPort does."""
        port: CrowdedPort = cls._fromListeningDescriptor(reactor, descriptor, family, factory)
        port.counts = counts
        port.startListening()
        return port

    def doRead(self) -> None:
        """Twisted's: somebody stands at the door."""
        if self.counts.first:
            super().doRead()
        else:
            self.stopReading()
            self.reactor.callLater(_AFTER_YOU_SECONDS, self._let_in)

    def _let_in(self) -> None:
        if self.connected:  # else the port has been closed meanwhile
            self.startReading()
            super().doRead()

    @property
    def numberAccepts(self) -> int:
        """Twisted's: how many to let in before anything else is done."""
        return 1

    @numberAccepts.setter
    def numberAccepts(self, _wanted: int) -> None:
        pass
