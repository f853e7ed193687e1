"""`uip serve DIR`: run a site until SIGTERM or SIGINT.

It prints one line `ready` with its addresses when every listener is bound, and logs JSON lines to standard error. SIGTERM and SIGINT
drain it: what was accepted is answered and stored. SIGHUP, which `uip reload` sends, has it take the site's files as they are then;
SIGUSR1 to the process above several workers restarts them one by one.

The environment stands before uip.yaml: UIP_<NAME>_PORT for the port of a listener or connector (dashes as underscores),
UIP_CONSOLE_PORT, UIP_DATABASE_URL, UIP_AMQP_URL and UIP_BUS_URL.
Exit codes: 0 stopped, 1 the site is wrong or something that it asks for cannot be had.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted.python.failure import Failure as TwistedFailure

    from config.loader import Site
    from gateway.app import Application

HELP = "run a site: prints one line `ready` with its addresses, logs JSON lines to standard error, reloads on SIGHUP, drains on SIGTERM"


_COLLECT_AFTER = 20_000
"""Objects made and not yet freed before the collector looks for cycles. A message makes some hundred objects and next to no cycles;
Python's own 700 has it look every few messages.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="the site, as `uip init` writes it")
    parser.add_argument("--workers", type=count, default=1, metavar="N",
                        help="so many processes behind the same ports; with cores they share a database on PostgreSQL")
    parser.add_argument("--role", action="append", choices=("gateway", "core", "connector"), dest="roles",
                        help="only this part of the work (may be given again); needs `bus:` in uip.yaml")


def count(text: str) -> int:
    """Read a number of the command line that is 1 or more."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text}: allowed are whole numbers from 1")


def run(args: argparse.Namespace, reactor: Any) -> int:
    """Serve until told to stop; 0 after a clean stop, 1 when the site is bad or cannot be started."""
    from gateway.app import ROLES, Application, Role, check_shared
    from gateway.guard import stray_packages
    from gateway.observability import start_logging
    from gateway.site import SiteError, adapters_for, load_site
    from gateway.workers import Workers, worker
    from gateway.workmates import Workmates
    from plugins.registry import PluginError

    if strays := stray_packages():
        print("\n".join(f"uip: {stray}" for stray in strays), file=sys.stderr)
        return 1
    try:
        adapters = adapters_for()
        site = load_site(args.site, adapters)
        log = start_logging(site.settings.log.level)
        if args.workers > 1:
            check_shared(site, args.roles or ROLES, args.workers)
            return Workers(site, args.workers, args.roles or (), log).run()
        number, count = worker()
        application = Application(site, adapters, reactor, log, [Role(role) for role in args.roles or ROLES],
                                  Workmates(site.folder / "data", number, count))
    except (SiteError, PluginError) as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, ValueError, KeyError) as error:
        print(f"uip: {args.site}: {error}", file=sys.stderr)
        return 1
    roles = args.roles or ("gateway",)
    note = None if count > 1 else "" if "gateway" in roles else "-".join(sorted(roles))
    return _Serving(application, args.site, lambda: load_site(args.site, adapters), log, note).run(reactor)


class _Serving:
    """One process from its start to its end. `load` reads the site again. `note` names its note in the site; None: no note,
    for the process above the workers keeps it.
    """

    def __init__(self, application: Application, folder: Path, load: Callable[[], Site], log: Any, note: str | None) -> None:
        self._application = application
        self._folder = folder
        self._load = load
        self._log = log
        self._note_name = note
        self._failed: list[TwistedFailure] = []
        self._ending = False

    def run(self, reactor: Any) -> int:
        from twisted.internet.defer import Deferred, DeferredLock

        from gateway.running import remove_running
        from gateway.site import SiteError

        reloads = DeferredLock()
        signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reloads.run, lambda: Deferred.fromCoroutine(self._reload())))
        reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(self._application.services.stop()))
        reactor.callWhenRunning(self._start, reactor)
        reactor.run()
        if self._note_name is not None:
            remove_running(self._folder, self._note_name)
        if self._failed:
            error = self._failed[0].value
            if isinstance(error, SiteError):  # the operator's mistakes, not ours: no trace
                print(error, file=sys.stderr)
                self._log.error("cannot start", problems=error.told)
            else:
                print(f"uip: cannot start: {self._failed[0].getErrorMessage()}", file=sys.stderr)
                self._log.error("cannot start", exc_info=error)
            return 1
        self._log.info("stopped")
        return 0

    def _start(self, reactor: Any) -> None:
        from twisted.internet.defer import Deferred

        def not_started(failure: TwistedFailure) -> None:
            self._failed.append(failure)
            self._end(reactor)

        for told in (signal.SIGTERM, signal.SIGINT):  # only now: the reactor has put its own there, which stop it again and again
            signal.signal(told, lambda *_: reactor.callFromThread(self._end, reactor))
        Deferred.fromCoroutine(self._application.services.start()).addCallbacks(self._started, not_started)

    def _end(self, reactor: Any) -> None:
        """Stop once, however often it is asked for: a terminal and systemd tell workers too, whom the process above them tells."""
        if not self._ending:
            self._ending = True
            reactor.stop()

    def _started(self, _: None) -> None:
        from gateway.running import ready_line

        # What exists now lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER)
        addresses = self._application.addresses()
        self._log.info("ready", pid=os.getpid(), **{name.replace("-", "_"): address for name, address in addresses.items()})
        self._note()
        print(ready_line(addresses), flush=True)

    def _note(self) -> None:
        from gateway.running import write_running

        if self._note_name is not None:
            write_running(self._folder, self._application.addresses(), self._note_name)

    async def _reload(self) -> None:
        from gateway.site import SiteError

        failed = "not reloaded: the site has mistakes"
        try:
            site = self._load()
            failed = "reloaded only in part"
            await self._application.reload(site)
        except SiteError as error:
            self._log.error(failed, problems=error.told)  # the operator's mistakes, not ours: no trace
        except Exception:  # noqa: BLE001  # whatever it is, the gateway goes on
            self._log.exception(failed)
        else:
            self._note()
            self._log.info("reloaded")
