"""A simulated system, as the `simulator:` section of a protocol file describes it. No sockets, no clock.

    simulation = Simulation(definition.simulator)          # one system: users, records, habits
    talk = simulation.connect()                            # one peer's conversation
    talk.log_in(user, secret) -> Reply                     # not needed when the section names no users
    talk.receive(command, fields) -> Outcome               # what to do now, and what was applied
    talk.close()                                           # the peer is gone

`fields` is a plain, possibly nested dict. An `Outcome` holds acts, each to be done `after` so many seconds: send the
reply, send half of its bytes and then close, send garbage, or close. No act means silence. A change is made when the
message arrives, whatever happens to the reply; `Outcome.applied` tells it once, for the report of applied changes.
Whoever binds this to a transport turns a `Reply` into bytes: `code`, `text`, `fields` and whether it is `ok`.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from protocols.mapping.engine import MappingError
from protocols.mapping.reply import Reply
from protocols.mapping.simulator import Answer, Does, Habit, Simulator

GARBAGE = b"\x00\xff\x15GARBAGE<&%\r\n\xfe\x01"
"""What is no message in any protocol."""

Record = Callable[[Mapping[str, Any]], None]
"""Takes one `Outcome.applied`."""

class Act(NamedTuple):
    """Something to do `after` seconds. `send` and `half` carry the reply."""

    after: float
    do: Literal["send", "half", "garbage", "disconnect"]
    reply: Reply | None = None


class Outcome(NamedTuple):
    """What a message leads to: acts in order, and the change that was made, if one was."""

    acts: tuple[Act, ...]
    applied: Mapping[str, Any] | None = None


class Said(NamedTuple):
    """What is said unasked to every peer, `after` so many seconds from when it was let in."""

    after: float
    text: str


class Simulation:
    """One simulated system. `faults` come before the habits of its file; `unasked` is what it says of itself."""

    def __init__(self, simulator: Simulator, faults: Sequence[Habit] = (), unasked: Sequence[Said] = ()) -> None:
        self.simulator = simulator
        self.unasked = tuple(unasked)
        self.applied = 0
        self._habits = (*faults, *simulator.habits)
        self._records: dict[str, dict[str, dict[str, Any]]] = {}
        self._seen: Counter[tuple[int, str]] = Counter()
        self._followed: Counter[tuple[int, str]] = Counter()
        self._serial = 0
        self._logged_in = 0

    def connect(self) -> Conversation:
        """Begin a conversation."""
        return Conversation(self)

    def records(self, store: str = "records") -> Mapping[str, Mapping[str, Any]]:
        """The records as they are, by key."""
        return self._records.get(store, {})

    def _take_slot(self) -> bool:
        if self._logged_in >= self.simulator.sessions:
            return False
        self._logged_in += 1
        return True

    def _free_slot(self) -> None:
        self._logged_in -= 1

    def _receive(self, command: str, fields: Mapping[str, Any]) -> Outcome:
        self._serial += 1
        what = self.simulator.commands.get(command)
        if what is None:
            return _said(self._reply(self.simulator.answers.unknown, None, {}, {}))
        key = str(what._key.fill({"asked": fields}))
        records = self._records.setdefault(what.store, {})
        seen: dict[str, Any] = {"asked": fields, "record": records.get(key), "command": command, "serial": self._serial}
        try:
            what._takes.apply(fields)
            seen["numbers"] = {name: spread.number(seen) for name, spread in what.numbers.items()}
            habit = self._habit(command, what, seen)
            done = habit is None or habit.applied
            reply, changed = self._do(what, key, records, seen) if done else (None, False)
        except MappingError as error:
            answer = self._answer(what, "invalid")
            return _said(Reply(answer.code or "", f"{answer.text or ''}: {error}", {}, ok=False))
        applied = None
        if changed:
            self.applied += 1
            applied = {"serial": self._serial, "command": command, "key": key, "fields": dict(fields)}
        if habit is None:
            assert reply is not None
            return _said(reply, applied=applied)
        return Outcome(self._acts(habit, what, reply, seen), applied)

    def _do(self, what: Does, key: str, records: dict[str, dict[str, Any]], seen: dict[str, Any]) -> tuple[Reply, bool]:
        """Carry out a command. Says the reply, and whether a record changed."""
        record = records.get(key)
        for refusal in what.refuse:
            if all(condition.holds(seen) for condition in refusal.when):
                return self._reply(refusal.answer, None, {}, seen), False
        if what.does == "create" and record is not None:
            return self._reply(self._answer(what, "exists"), None, {}, seen), False
        if what.does in {"read", "update", "remove"} and record is None:
            return self._reply(self._answer(what, "absent"), None, {}, seen), False
        if what.does in {"create", "update"}:
            seen["record"] = {**(record or {}), **what._set.apply(seen)}
        shown = what._reply.apply(seen) if what._reply is not None else dict(record or {}) if what.does == "read" else {}
        reply = self._reply(self._answer(what, "success"), None, shown, seen, ok=True)
        if what.tables:
            made = what._tables.apply({**seen, "records": list(records.values())})
            reply = reply._replace(tables={title: made.get(f"t{n}", []) for n, title in enumerate(what.tables)})
        # Only now: what cannot be answered is not applied either.
        if what.does in {"create", "update"}:
            records[key] = seen["record"]
        elif what.does == "remove":
            del records[key]
        return reply, what.changes

    def _answer(self, what: Does, name: str) -> Answer:
        usual: Answer = getattr(self.simulator.answers, name)
        return what.answers.get(name, usual)

    def _reply(self, answer: Answer, usual: Reply | None, fields: Mapping[str, Any], seen: Mapping[str, Any], *, ok: bool = False) -> Reply:
        success = self.simulator.answers.success.code
        code = answer.code if answer.code is not None else usual.code if usual else success or ""
        text = answer.text if answer.text is not None else usual.text if usual else ""
        return Reply(code, text, _merged(fields, answer.made(seen)), ok=ok)

    def _habit(self, command: str, what: Does, seen: Mapping[str, Any]) -> Habit | None:
        for number, habit in enumerate(self._habits):
            if not habit.concerns(command, what, seen):
                continue
            place = (number, str(habit._per.fill(seen)))
            self._seen[place] += 1
            if self._seen[place] % habit.every or (habit.times is not None and self._followed[place] >= habit.times):
                continue
            self._followed[place] += 1
            return habit
        return None

    def _acts(self, habit: Habit, what: Does, usual: Reply | None, seen: Mapping[str, Any]) -> tuple[Act, ...]:
        if habit.does == "drop":
            return ()
        if habit.does == "garbage":
            return (Act(habit.delay, "garbage"),)
        if habit.does == "disconnect":
            return (Act(habit.delay, "disconnect"),)
        base = usual or self._reply(self._answer(what, "success"), None, {}, seen, ok=True)
        own_code = habit.answer.code is not None and habit.answer.code != self.simulator.answers.success.code
        reply = self._reply(habit.answer, base, base.fields, seen, ok=base.ok and not own_code)
        return (Act(habit.delay, "half" if habit.does == "half" else "send", reply),)


class Conversation:
    """One peer. `user` is who it is once logged in."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._open = not simulation.simulator.users
        self.user: str | None = None

    def log_in(self, user: str, secret: str) -> Reply:
        """Check who it is; a second login on the same conversation replaces the first."""
        answers = self._simulation.simulator.answers
        expected = self._simulation.simulator.users.get(user)
        known = expected is not None and hmac.compare_digest(expected.get_secret_value().encode(), secret.encode())
        if self._simulation.simulator.users and not known:
            return _plain(answers.login_refused)
        if self.user is None and not self._simulation._take_slot():
            return _plain(answers.full)
        self.user, self._open = user, True
        return _plain(answers.success, ok=True)

    def malformed(self, why: str) -> Reply:
        """The answer to what could not be read."""
        answer = self._simulation.simulator.answers.malformed
        return Reply(answer.code or "", f"{answer.text}: {why}", {}, ok=False)

    def log_out(self) -> Reply:
        """Say goodbye; the answer is success also when nobody was logged in."""
        self.close()
        return _plain(self._simulation.simulator.answers.success, ok=True)

    def receive(self, command: str, fields: Mapping[str, Any]) -> Outcome:
        """Take one message and say what comes of it."""
        if not self._open:
            return _said(_plain(self._simulation.simulator.answers.not_logged_in))
        return self._simulation._receive(command, fields)

    def close(self) -> None:
        """The peer is gone; its session is free for another."""
        if self.user is not None:
            self._simulation._free_slot()
        self.user, self._open = None, not self._simulation.simulator.users


def _plain(answer: Answer, *, ok: bool = False) -> Reply:
    return Reply(answer.code or "", answer.text or "", {}, ok=ok)


def _said(reply: Reply, *, applied: Mapping[str, Any] | None = None) -> Outcome:
    return Outcome((Act(0.0, "send", reply),), applied)


def _merged(fields: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with more of them laid over, nested ones too."""
    out = dict(fields)
    for name, value in more.items():
        under = out.get(name)
        out[name] = _merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return out
