"""`uip serve DIR`: run a site until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.failure import Failure as TwistedFailure

HELP = "run a site: prints one line `ready` with its addresses, logs JSON lines to standard error, reloads on SIGHUP, drains on SIGTERM"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("site", type=Path, metavar="DIR", help="the site, as `uip init` writes it")


def run(args: argparse.Namespace, reactor: Any) -> int:
    """Serve until told to stop; 0 after a clean stop, 1 when the site is bad or cannot be started."""
    from gateway.app import Application
    from gateway.guard import stray_packages
    from gateway.observability import start_logging
    from gateway.running import remove_running, write_running
    from gateway.site import SiteError, adapters_for, load_site
    from plugins.registry import PluginError

    if strays := stray_packages():
        print("\n".join(f"uip: {stray}" for stray in strays), file=sys.stderr)
        return 1
    try:
        adapters = adapters_for()
        site = load_site(args.site, adapters)
        log = start_logging(site.settings.log.level)
        application = Application(site, adapters, reactor, log)
    except (SiteError, PluginError) as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, ValueError, KeyError) as error:
        print(f"uip: {args.site}: {error}", file=sys.stderr)
        return 1
    failed: list[TwistedFailure] = []

    def started(_: None) -> None:
        # What exists now lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        addresses = application.addresses()
        log.info("ready", pid=os.getpid(), **{name.replace("-", "_"): address for name, address in addresses.items()})
        write_running(args.site, addresses)
        print("ready", *(f"{name}={address}" for name, address in addresses.items()), flush=True)

    def not_started(failure: TwistedFailure) -> None:
        failed.append(failure)
        reactor.stop()

    def start() -> None:
        Deferred.fromCoroutine(application.services.start()).addCallbacks(started, not_started)

    async def reload() -> None:
        try:
            new = load_site(args.site, adapters)
        except SiteError as error:
            log.error("not reloaded: the site has mistakes",  # noqa: TRY400  # the operator's mistakes, not ours: no trace
                      problems=[str(problem) for problem in error.problems])
            return
        try:
            await application.reload(new)
        except Exception:  # whatever it is, the gateway goes on
            log.exception("reloaded only in part")
            return
        write_running(args.site, application.addresses())
        log.info("reloaded")

    reloads = DeferredLock()
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reloads.run, lambda: Deferred.fromCoroutine(reload())))
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(application.services.stop()))
    reactor.callWhenRunning(start)
    reactor.run()
    remove_running(args.site)
    if failed:
        print(f"uip: cannot start: {failed[0].getErrorMessage()}", file=sys.stderr)
        log.error("cannot start", exc_info=failed[0].value)
        return 1
    log.info("stopped")
    return 0
