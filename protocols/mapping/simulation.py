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
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from protocols.mapping.engine import Condition, MappingError, SourceText, Template
from protocols.mapping.fields import FieldMap, Fields, ListMap
from protocols.mapping.mistakes import nearest
from protocols.mapping.reply import Reply

GARBAGE = b"\x00\xff\x15GARBAGE<&%\r\n\xfe\x01"
"""What is no message in any protocol."""

Record = Callable[[Mapping[str, Any]], None]
"""Takes one `Outcome.applied`."""

Effect = Literal["reply", "drop", "half", "garbage", "disconnect"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(_Part):
    """What the system says: its code, a text for people, and fields that are added to the reply."""

    code: str | None = None
    text: str | None = None
    fields: Mapping[str, FieldMap] = {}
    _fields: Fields = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._fields = Fields(self.fields)
        return self

    def made(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        """The fields, filled for this message. Raises MappingError."""
        return self._fields.apply(seen)


class Answers(_Part):
    """The codes and texts of the ordinary answers. A command may have its own."""

    success: Answer = Answer(code="0", text="Operation succeeded")
    exists: Answer = Answer(code="3002", text="Exists already")
    absent: Answer = Answer(code="3001", text="Does not exist")
    invalid: Answer = Answer(code="1002", text="Wrong parameter")
    malformed: Answer = Answer(code="1001", text="Syntax error")
    unknown: Answer = Answer(code="1003", text="Unknown command")
    not_logged_in: Answer = Answer(code="1101", text="Not logged in")
    login_refused: Answer = Answer(code="1102", text="Wrong name or password")
    full: Answer = Answer(code="2001", text="All sessions are in use")


class Spread(_Part):
    """A number between `minimum` and `maximum` (both included) that follows from a text: the same text, the same number."""

    of: SourceText = Field(description="the text: a template")
    minimum: int = Field(default=0, description="smallest number")
    maximum: int = Field(description="largest number")
    _of: Template = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("minimum is above maximum")
        self._of = Template(self.of)
        return self

    def number(self, seen: Mapping[str, Any]) -> int:
        """The number for this message."""
        return self.minimum + crc32(str(self._of.fill(seen)).encode()) % (self.maximum - self.minimum + 1)


class Refusal(_Part):
    """An answer given instead of doing the command, when all conditions hold."""

    when: tuple[Condition, ...] = Field(min_length=1)
    answer: Answer


class Does(_Part):
    """One command of the system: what it checks, what it does to the records, what it answers.

    Templates see `asked` (the message's fields), `record` (as it is after the command), `records` (all of the store), `numbers`,
    `command` and `serial`, which counts the messages. `read` answers with the whole record unless `reply` says otherwise.
    """

    does: Literal["create", "update", "read", "remove", "answer"]
    key: SourceText | None = Field(default=None, description="which record: a template")
    store: str = Field(default="records", description="commands that name the same store share its records")
    takes: Mapping[str, FieldMap] = Field(default={}, description="checks; a field that fails is answered with `invalid`")
    refuse: tuple[Refusal, ...] = ()
    numbers: Mapping[str, Spread] = {}
    set: Mapping[str, FieldMap] = Field(default={}, description="what is written to the record")
    reply: Mapping[str, FieldMap] | None = None
    tables: Mapping[str, ListMap] = Field(default={}, description="tables of the reply, by title")
    answers: Mapping[str, Answer] = Field(default={}, description="answers that differ from the system's own")
    _key: Template = PrivateAttr()
    _takes: Fields = PrivateAttr()
    _set: Fields = PrivateAttr()
    _reply: Fields | None = PrivateAttr()
    _tables: Fields = PrivateAttr()

    @property
    def changes(self) -> bool:
        """Whether it changes a record."""
        return self.does in {"create", "update", "remove"}

    @field_validator("answers")
    @classmethod
    def _known_answers(cls, answers: Mapping[str, Answer]) -> Mapping[str, Answer]:
        for name in answers:
            if name not in Answers.model_fields:
                raise ValueError(f"there is no answer {name}{nearest(name, Answers.model_fields)}")
        return answers

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if self.key is None and self.does != "answer":
            raise ValueError(f"`does: {self.does}` needs a key")
        if self.set and self.does not in {"create", "update"}:
            raise ValueError(f"`does: {self.does}` sets nothing")
        self._key = Template(self.key)
        self._takes, self._set = Fields(self.takes), Fields(self.set)
        self._reply = None if self.reply is None else Fields(self.reply)
        self._tables = Fields({f"t{n}": FieldMap(list=table) for n, table in enumerate(self.tables.values())})
        return self


class Habit(_Part):
    """How the system misbehaves, when all conditions hold. The first habit that applies is the one that is followed.

    Without `commands` it concerns those that change something, with `queries` the others too. `times` bounds how often it is
    followed for one value of `per`; `every: 3` follows it each third time. `applied` says whether the command is carried
    out all the same. `reply` answers with `answer` (what it leaves out is as usual), `drop` says nothing, `half` sends half
    the reply and closes, `garbage` sends what is no message, `disconnect` closes.
    """

    does: Effect = "reply"
    when: tuple[Condition, ...] = ()
    commands: frozenset[str] = frozenset()
    queries: bool = False
    match: str | None = Field(default=None, description="a text that the command or one of its values must hold")
    times: int | None = Field(default=None, ge=1)
    every: int = Field(default=1, ge=1)
    per: SourceText = Field(default="", description="a template; `times` and `every` count for each of its values")
    applied: bool = True
    answer: Answer = Answer()
    delay: float = Field(default=0.0, ge=0, description="seconds before anything is sent")
    _per: Template = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._per = Template(self.per)
        return self

    def concerns(self, command: str, what: Does, seen: Mapping[str, Any]) -> bool:
        """Whether this message is one the habit is about, however often it has been followed."""
        if self.commands:
            if command not in self.commands:
                return False
        elif not (what.changes or self.queries):
            return False
        if self.match is not None and not any(self.match in text for text in (command, *_texts(seen["asked"]))):
            return False
        return all(condition.holds(seen) for condition in self.when)

    @classmethod
    def parse(cls, text: str) -> Habit:
        """Read a fault as it is given on a command line: `delay=0.5`, `drop`, `half`, `disconnect`, `garbage`, `wrong-code=2001`,
        each with an optional `:every=N`, `:times=N` and `:match=TEXT`. It concerns every command. Raises ValueError.
        """
        kind, *more = text.split(":")
        name, _, value = kind.partition("=")
        said: dict[str, Any] = {"queries": True}
        if name == "delay":
            said["delay"] = value
        elif name == "wrong-code":
            if not value:
                raise ValueError("wrong-code needs a code: wrong-code=2001")
            said |= {"applied": False, "answer": {"code": value, "text": "as the fault says"}}
        elif name in {"drop", "half", "disconnect", "garbage"} and not value:
            said["does"] = name
        else:
            raise ValueError(f"{kind!r} is not a fault: delay=SECONDS, drop, half, disconnect, garbage or wrong-code=CODE")
        for part in more:
            option, _, value = part.partition("=")
            if option not in {"every", "times", "match"} or not value:
                raise ValueError(f"{part!r} is not every=N, times=N or match=TEXT")
            said[option] = value
        return cls.model_validate(said)


class Simulator(_Part):
    """The `simulator:` section of a protocol file. `users` maps names to passwords; without any, nobody needs to log in.
    `sessions` is how many peers may be logged in at once; `port` is where it listens when nothing else is said.
    """

    name: str = "SIM"
    port: int = Field(default=0, ge=0, le=65_535)
    users: Mapping[str, SecretStr] = {}
    sessions: int = Field(default=64, ge=1)
    answers: Answers = Answers()
    commands: Mapping[str, Does] = Field(min_length=1)
    habits: tuple[Habit, ...] = ()

    @model_validator(mode="after")
    def _habits_know_their_commands(self) -> Self:
        for number, habit in enumerate(self.habits):
            for command in habit.commands:
                if command not in self.commands:
                    raise ValueError(f"habits.{number}.commands: there is no command {command}{nearest(command, self.commands)}")
        return self


class Act(NamedTuple):
    """Something to do `after` seconds. `send` and `half` carry the reply."""

    after: float
    do: Literal["send", "half", "garbage", "disconnect"]
    reply: Reply | None = None


class Outcome(NamedTuple):
    """What a message leads to: acts in order, and the change that was made, if one was."""

    acts: tuple[Act, ...]
    applied: Mapping[str, Any] | None = None


class Simulation:
    """One simulated system. `faults` come before the habits of its file."""

    def __init__(self, simulator: Simulator, faults: Sequence[Habit] = ()) -> None:
        self.simulator = simulator
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
            reply = replace(reply, tables={title: made.get(f"t{n}", []) for n, title in enumerate(what.tables)})
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


def _texts(data: Any) -> list[str]:
    if isinstance(data, Mapping):
        return [text for value in data.values() for text in _texts(value)]
    if isinstance(data, (list, tuple)):
        return [text for value in data for text in _texts(value)]
    return [str(data)]
