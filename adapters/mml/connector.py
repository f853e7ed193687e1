"""The connector's side: a peer kept connected, and asked; an `adapters.drivers.Client`."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from adapters.drivers import NotSent, OutcomeUnknown
from adapters.mml import login
from adapters.mml.alarms import reports_of
from adapters.mml.budget import LocalBudget, LoginBudget
from adapters.mml.link import Link
from adapters.mml.login import LoginRefused
from adapters.mml.seat import Seat
from adapters.mml.settings import ConnectorSettings
from adapters.mml.values import heard, said
from adapters.turns import Turns
from plugins.api import Surroundings
from protocols.base import LocalProtocolError
from protocols.mapping import Definition
from protocols.mml import Alarm, Command, Dialect, Report

_MOST_WAITING = 10_000
"""Commands that may wait for a free connection; what comes beyond is not sent."""


def client_for(name: str, settings: ConnectorSettings, around: Surroundings, budget: LoginBudget | None = None) -> MmlClient:
    """Make the client of a connector from its section and its protocol file. Raises KeyError, DefinitionError, DialectError."""
    definition = Definition.load(around.protocols[settings.protocol])
    if definition.dialect is None:
        raise KeyError(f"protocol {settings.protocol} names no dialect")
    dialect = Dialect.load(around.dialects[definition.dialect])
    return MmlClient(name, settings, around, dialect, timeout=definition.timeout, window=definition.window, budget=budget)


class MmlClient:
    """Keeps `settings.sessions` connections to a peer and gives each command to the one with the fewest outstanding.

    `timeout` (seconds) bounds the wait for an answer, together with the dialect's own. `window` commands may be outstanding on
    a connection, no more than the dialect allows. What the peer says unasked goes to the monitor core where it is an alarm.
    """

    def __init__(self, name: str, settings: ConnectorSettings, around: Surroundings, dialect: Dialect, *, timeout: float,
                 window: int = 1, budget: LoginBudget | None = None, spread: random.Random | None = None) -> None:
        self.name = name
        self.settings = settings
        self.dialect = dialect
        self.timeout = min(timeout, dialect.session.command_timeout)
        self.interval = settings.heartbeat or dialect.session.keepalive.interval
        self.misses = settings.misses or dialect.session.keepalive.misses
        self.reactor = around.reactor
        self.site = around.site
        self.log = around.log.bind(connector=name)
        self.budget = budget or LocalBudget(around.reactor)
        self.peer = f"{settings.host}:{settings.port}"
        self.alarms = 0
        self._report_alarm = around.report_alarm
        self._window = min(window, dialect.session.window)
        spread = spread or random.Random()  # noqa: S311 (spreads load; hides nothing)
        self._seats = [Seat(self, spread) for _ in range(settings.sessions)]
        self._turns = Turns()
        self._logging_in: dict[Link, list[Deferred[None]]] = {}

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        for seat in self._seats:
            seat.start()

    async def stop(self) -> None:
        """Close everything at once."""
        for seat in self._seats:
            seat.stop()
        self.wake()

    def status(self) -> Mapping[str, Any]:
        """`peer`, `state` (up when one connection is; connecting, waiting or stopped), `sessions` that are up, the last error, `alarms`."""
        states = [seat.state for seat in self._seats]
        errors = [seat.last_error for seat in self._seats if seat.last_error is not None]
        state = next((s for s in ("up", "connecting", "waiting") if s in states), "stopped")
        return {"peer": self.peer, "state": state, "sessions": states.count("up"), "last_error": errors[-1] if errors else None,
                "alarms": self.alarms}

    async def request(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask once: {command, fields} to {retcode, description, fields, tables}. Raises NotSent or OutcomeUnknown.

        When the peer says that the session is lost it has done nothing, so after a new login the command is sent again, once.
        """
        command = Command(message["command"], tuple((name, said(value)) for name, value in message["fields"].items()))
        link = await self._place()
        try:
            answer = await link.ask(command)
            if self.dialect.results.means(answer.retcode) == "session_lost":
                await self._log_in_again(link)
                answer = await link.ask(command)
        except LocalProtocolError as error:
            raise NotSent(f"cannot be said: {error.message}") from error
        finally:
            link.busy -= 1
            self.freed()
        return as_reply(answer)

    async def _place(self) -> Link:
        """Find the ready connection with the fewest commands outstanding, or wait for room on one, also on one that is only being made
        again: else each lost answer would put off everybody's command, not only its own. Raises NotSent.
        """
        while True:
            links = [seat.link for seat in self._seats if seat.link is not None and (seat.link.ready or seat.link in self._logging_in)]
            expected = links or any(seat.soon for seat in self._seats)
            if not expected or len(self._turns) >= _MOST_WAITING:
                raise NotSent("too many wait" if expected else "not connected")
            link = min((k for k in links if k.ready), key=lambda k: k.busy, default=None)
            if link is not None and link.busy < self._window:
                link.busy += 1
                return link
            await self._turns.wait()

    def freed(self) -> None:
        """Let the next command go that waits for room."""
        self._turns.give()

    def wake(self) -> None:
        """Let all look again: a connection has come or gone."""
        self._turns.give(len(self._turns))

    async def _log_in_again(self, link: Link) -> None:
        """Log in once for all whose commands found the session lost. Raises NotSent when it does not work."""
        others = self._logging_in.get(link)
        if others is not None:
            turn: Deferred[None] = Deferred()
            others.append(turn)
            await turn
        else:
            self._logging_in[link] = []
            try:
                await login.log_in_again(link, self.dialect, self.settings.user, self.settings.secret)
            except (LoginRefused, NotSent, OutcomeUnknown) as error:
                link.drop(str(error) or "no answer to the login")
            for turn in self._logging_in.pop(link):
                turn.callback(None)
            self.wake()
        if not link.ready:
            raise NotSent("the session is lost")

    def alarm(self, said: Alarm) -> None:
        """Report what the peer said unasked; a secret of ours that it repeats stays ours."""
        self.alarms += 1
        reports = list(reports_of(said, self.dialect.alarms, self.name, self._hidden, self._not_read))
        # What is reported can be read elsewhere, and an element that storms must not fill the log too.
        say = self.log.debug if reports else self.log.info
        say("alarm", kind=said.kind, severity=said.severity, name=self._hidden(said.name)[:100],
            text=self._hidden(" ".join(said.split()))[:300])
        for report in reports:
            self._report_alarm(report)

    def _not_read(self, problem: str) -> None:
        self.log.debug("part of an alarm was not understood", reason=problem)

    def _hidden(self, text: str) -> str:
        secret = self.settings.secret.get_secret_value() if self.settings.secret is not None else ""
        return text.replace(secret, "*****") if secret else text


def as_reply(answer: Report) -> dict[str, Any]:
    """A report as the plain dict in which a protocol file's paths are looked up. Tables of the same title, or of none, are one."""
    fields = {name: heard(value) for name, value in answer.fields.items()}
    tables: dict[str, list[dict[str, str]]] = {}
    for title, rows in answer.tables:
        tables.setdefault(title, []).extend(map(dict, rows))
    return {"retcode": answer.retcode, "description": answer.description, "fields": fields, "tables": tables}
