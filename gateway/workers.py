"""Several gateway processes on one machine behind the same ports: started together, replaced when they die, ended together.

The sockets are bound here and inherited by every worker, so a worker that dies or restarts turns nobody away. This process
handles no message; it needs no reactor.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from adapters.crowd import COUNTS, Counts, counts_file
from adapters.endpoints import INHERITED, bound
from config.documents import Where
from config.loader import Site, port_variable
from gateway.running import read_ready, ready_line, remove_running, write_running

WORKER = "UIP_WORKER"
"""The environment variable that tells a worker its number and how many there are: `2/4`."""

_LONG = 3600.0
_QUICK = 5.0
_START = 60.0
"""Seconds a worker has until it is ready."""

_PAUSES = (0.0, 0.5, 2.0, 10.0)
"""Seconds before a worker that died within _QUICK seconds is started again, longer each time."""


def worker() -> tuple[int, int]:
    """Return this process's number, counted from 1, and how many workers there are; (1, 1) for a gateway by itself."""
    number, _, count = os.environ.get(WORKER, "1/1").partition("/")
    return int(number), int(count)


class Workers:
    """`count` workers of one site. `run` raises SiteError when an address cannot be had."""

    def __init__(self, site: Site, count: int, roles: Sequence[str], log: Any) -> None:
        self._site = site
        self._roles = roles
        self._count = count
        self._log = log
        self._sockets: dict[str, Any] = {}
        self._crowd_file = counts_file(count)
        self._crowd = Counts(self._crowd_file.fileno())
        self._environment: dict[str, str] = {}
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._begun: dict[int, float] = {}
        self._deaths: dict[int, int] = {}
        self._due: dict[int, float] = {}

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; 0 when every worker ended cleanly, 1 when one could not start."""
        watched = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        self._bind()
        for number in range(1, self._count + 1):
            self._start(number)
        addresses = [self._ready(number) for number in self._processes]
        if not all(addresses):
            self._end()
            return 1
        write_running(self._site.folder, addresses[0])
        print(ready_line(addresses[0]), flush=True)  # noqa: T201  # what `serve` says
        try:
            while True:
                got = signal.sigtimedwait(watched, self._until_due())
                match got.si_signo if got is not None else None:
                    case None:
                        self._start_due()
                    case signal.SIGCHLD:
                        self._bury()
                    case signal.SIGHUP:
                        self._tell(signal.SIGHUP)
                    case signal.SIGUSR1:
                        self._replace_all()
                    case _:
                        return self._end()
        finally:
            remove_running(self._site.folder)

    def _bind(self) -> None:
        sections: dict[Where, Any] = {("listeners", name): section.settings for name, section in self._site.listeners.items()}
        sections["console",] = self._site.settings.console
        for where, settings in sections.items():
            if getattr(settings, "port", None) is None:
                continue  # a transport without a port of its own
            with self._site.main.blamed(*where):
                made = bound(settings.host, settings.port)
            port = made.getsockname()[1]
            self._sockets[f"{settings.host}:{port}"] = made
            self._environment[port_variable(str(where[-1]))] = str(port)
        self._environment[INHERITED] = json.dumps({address: made.fileno() for address, made in self._sockets.items()})

    def _start(self, number: int) -> None:
        self._begun[number] = time.monotonic()
        self._processes[number] = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-m", "gateway", "serve", str(self._site.folder), *(f"--role={role}" for role in self._roles)],
            stdout=subprocess.PIPE, text=True,
            pass_fds=[made.fileno() for made in (*self._sockets.values(), self._crowd_file)], preexec_fn=_as_worker,  # noqa: PLW1509  # no threads
            env={**os.environ, **self._environment, WORKER: f"{number}/{self._count}",
                 COUNTS: f"{self._crowd_file.fileno()}:{number - 1}"})

    def _ready(self, number: int) -> Mapping[str, str]:
        """Wait for a worker's ready line and return its addresses; empty when it ended instead, or is killed for being late."""
        output: IO[str] | None = self._processes[number].stdout
        if output is None or not select.select([output], [], [], _START)[0]:
            self._processes[number].kill()
            return {}
        return read_ready(output.readline()) or {}

    def _bury(self) -> None:
        """Note when the place of each worker that has died is filled again; the others go on meanwhile."""
        now = time.monotonic()
        for number, process in self._processes.items():
            if number in self._due or process.poll() is None:
                continue
            self._crowd.left(number - 1)
            quick = now - self._begun[number] < _QUICK
            self._deaths[number] = self._deaths.get(number, 0) + 1 if quick else 0
            pause = _PAUSES[min(self._deaths[number], len(_PAUSES) - 1)]
            self._due[number] = now + pause
            self._log.error("a worker died and is replaced", worker=number, exit=process.returncode, after=pause)

    def _until_due(self) -> float:
        """Return how many seconds there are until the next worker must be started."""
        return max(0.0, min(self._due.values()) - time.monotonic()) if self._due else _LONG

    def _start_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._start(number)
            if not self._ready(number):
                self._log.error("a worker does not start", worker=number)

    def _replace_all(self) -> None:
        """Restart the workers one after the other, each drained; the others go on meanwhile.

        It ends at the first that does not start again: what the site has become must not take the rest down too.
        """
        for number in list(self._processes):
            self._crowd.left(number - 1)
            self._processes[number].send_signal(signal.SIGTERM)
            self._wait(number)
            self._due.pop(number, None)
            self._start(number)
            if not self._ready(number):
                self._log.error("a worker does not start: the others are not restarted", worker=number)
                return
            self._log.info("a worker was restarted", worker=number)

    def _tell(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            process.send_signal(number)

    def _wait(self, number: int) -> int:
        process = self._processes[number]
        try:
            return process.wait(self._site.settings.limits.drain_timeout * 2 + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _end(self) -> int:
        self._tell(signal.SIGTERM)
        codes = [self._wait(number) for number in self._processes]
        return 0 if not any(codes) else 1


def _as_worker() -> None:
    """A worker takes signals as usual. It lets who has the processor go on (SCHED_BATCH): where workers share the cores with
    their database, taking them from each other at every message costs a tenth of the throughput.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    with suppress(AttributeError, OSError):  # not Linux, or not allowed here
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
