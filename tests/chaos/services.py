"""A RabbitMQ node and a PostgreSQL cluster of one's own, to be stopped, starved and cut off: never the machine's own ones.

Both keep everything in a temporary folder, listen on the address they are given (loopback unless told otherwise), and are
gone when the `with` block ends, however it ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pika
import pika.exceptions

from tests.end_to_end.running import free_port

START_SECONDS = 90
_RABBIT = Path("/usr/lib/rabbitmq/bin")
_POSTGRES = Path("/usr/lib/postgresql")


class Missing(Exception):
    """What a fault needs is not on this machine."""


def wait_for(true: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


@contextmanager
def folder_for(user: str | None = None) -> Iterator[Path]:
    """A folder that another user, too, can reach (pytest's own cannot be: it lies in a private one)."""
    folder = Path(tempfile.mkdtemp(prefix="uip-chaos-"))
    try:
        folder.chmod(0o755)
        if user is not None and os.geteuid() == 0:
            shutil.chown(folder, user, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Rabbit:
    """A RabbitMQ node. `prefix` is put before its command line (`ip netns exec ...`)."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.host = host
        self.port = free_port()
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd_port = str(free_port())
        name = f"uip_chaos_{secrets.token_hex(4)}@localhost"
        (folder / "plugins").write_text("[].\n")
        # The broker refuses guest from elsewhere than loopback; in a namespace of its own, the way there is not loopback.
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = {host}:{self.port}\nloopback_users = none\n"
                                              "disk_free_limit.absolute = 1MB\n")
        self._env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))},
            "HOME": str(folder), "RABBITMQ_NODENAME": name, "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"), "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"), "RABBITMQ_PID_FILE": str(folder / "pid"),
            "ERL_EPMD_PORT": self._epmd_port, "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self.port}/%2F"

    def start(self) -> None:
        log = (self.folder / "server.log").open("ab")
        self._process = subprocess.Popen([*self._prefix, str(_RABBIT / "rabbitmq-server")], env=self._env, stdout=log, stderr=log,
                                         stdin=subprocess.DEVNULL, start_new_session=True)
        log.close()
        wait_for(self._answers, "RabbitMQ of our own")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise Missing(f"RabbitMQ does not start: {(self.folder / 'server.log').read_text()[-1500:]}")
        try:
            pika.BlockingConnection(pika.URLParameters(self.url + "?socket_timeout=2&blocked_connection_timeout=2")).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True

    def control(self, *arguments: str) -> None:
        done = subprocess.run([*self._prefix, str(_RABBIT / "rabbitmqctl"), "-q", "-n", self._env["RABBITMQ_NODENAME"], *arguments],
                              env=self._env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self) -> None:
        """In good order, as `systemctl stop` does it."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        with suppress(TimeoutError):
            wait_for(self._names_forgotten, "the end of the node's name server", 10)

    def _names_forgotten(self) -> bool:
        """Erlang's name server, which outlives its nodes, ends when it is told to; but not while it still takes one for alive."""
        told = subprocess.run([*self._prefix, "epmd", "-port", self._epmd_port, "-kill"], env=self._env, capture_output=True, text=True,
                              check=False)
        return "not allowed" not in told.stdout + told.stderr


@contextmanager
def rabbit(host: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> Iterator[Rabbit]:
    if not (_RABBIT / "rabbitmq-server").exists():
        raise Missing("RabbitMQ's server")
    with folder_for() as folder:
        node = Rabbit(folder, host, prefix)
        try:
            node.start()
            yield node
        finally:
            node.close()


class Postgres:
    """A PostgreSQL cluster with one database, `uip`. The server refuses to be root, so root runs it as user postgres."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._binaries = binaries
        self._data = folder / "data"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/uip"

    def create(self) -> None:
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-N")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "uip")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.folder / "log"), "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """`fast` breaks the connections, `immediate` leaves without a checkpoint, as a crash does."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
        # Not captured by pipes: the server inherits them and would keep them open.
        with (self.folder / "commands.log").open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=60, check=False, cwd=self.folder)
        assert done.returncode == 0, f"{program}: {(self.folder / 'commands.log').read_text()[-1500:]}"


@contextmanager
def postgres() -> Iterator[Postgres]:
    versions = sorted(_POSTGRES.glob("*/bin"), reverse=True)
    if not versions:
        raise Missing("PostgreSQL's server")
    with folder_for("postgres") as folder:
        cluster = Postgres(folder, versions[0])
        try:
            cluster.create()
            yield cluster
        finally:
            with suppress(AssertionError):
                cluster.stop("immediate")
