"""Processes of our own that a command starts beside itself: `uip demo` and `uip bench` run the real thing, not parts of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path

from gateway.running import read_ready


class NotStarted(RuntimeError):
    """The process ended before it was ready; the text holds its last words."""


class Started:
    """A process of ours that prints a `ready` line; ended by `stop`. `cores` are the processor cores it may use."""

    def __init__(self, arguments: list[str], *, cores: Collection[int] = (), env: Mapping[str, str] | None = None,
                 log: Path | None = None) -> None:
        errors = log.open("wb") if log is not None else subprocess.DEVNULL
        self._process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(env or {})})
        if cores:
            os.sched_setaffinity(self._process.pid, cores)
        self._arguments = arguments
        self._log = log

    @cached_property
    def addresses(self) -> Mapping[str, str]:
        """Wait until it is ready, and return its listeners' addresses by name. Raises NotStarted when it ends before."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        addresses = read_ready(line)
        if addresses is None:
            self.stop()
            raise NotStarted(f"`{' '.join(self._arguments)}` did not start{_last_words(self._log)}")
        return addresses

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def address(self, name: str) -> tuple[str, int]:
        """Return host and port of one of its listeners."""
        host, _, port = self.addresses[name].rpartition(":")
        return host, int(port)

    def stop(self) -> None:
        """End it, kindly first."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _last_words(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    lines = log.read_text(errors="replace").strip().splitlines()
    return ": " + lines[-1][:500] if lines else ""
