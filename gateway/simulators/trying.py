"""Trying a protocol file on a sample: what is read, what becomes of it, what is answered, and every check that fails.

A sample is bytes as they stand on the wire: commands (that the file serves, or that its simulator understands) or an element's
answers. Or it is JSON: `{"operation": "createSubscriber", "data": {...}}` is carried out by the driver on the simulated system.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from adapters.mml.alarms import reports_of
from adapters.mml.connector import as_reply
from adapters.mml.language import Native, Served, fields_of
from config.documents import Document
from core.messages.base import BusinessObject
from core.messages.catalogue import OPERATIONS, Catalogue
from core.messages.failures import Failure, Kind
from gateway.simulators.driving import carry_out
from gateway.simulators.examples import example
from gateway.simulators.files import dialect_of
from gateway.simulators.memory import Wire
from gateway.simulators.telling import Told
from gateway.simulators.trying_amqp import AmqpWire
from plugins.checking import checked, wrong
from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.dialects import client_codec, server_codec
from protocols.mapping import Act, Definition, MappingError, Serving, Simulation
from protocols.mml import Alarm, Command, Joiner, Malformed, Report
from protocols.wording import dotted, mistakes

_CURRENCY = "EUR"


class Trial:
    """One sample tried. `told` is what there is to say about it; `failed` whether any check failed."""

    def __init__(self, document: Document, definition: Definition, reply: Mapping[str, Any] | None = None) -> None:
        """`reply` is the business reply (or `{"fault": {"code": ..., "message": ...}}`) to what the file serves; else one is made up."""
        self._told = Told()
        self._say, self._fail = self._told.say, self._told.fail
        self._definition = definition
        self._given = reply
        self._folder = document.file.absolute().parent
        self._simulation = Simulation(definition.simulator) if definition.simulator is not None else None
        self._wire: Wire | None = None
        self._dialect = None
        if definition.transport == "mml":
            self._dialect = dialect_of(document, definition)
            self._wire = Wire(self._dialect, definition.simulator.name if definition.simulator else "UIP")
        self._serving = Serving(definition.serves) if definition.serves is not None else None
        self._catalogue = catalogue = Catalogue(o.name for o in OPERATIONS)
        self._amqp = AmqpWire(definition, catalogue) if definition.transport == "amqp" else None
        if definition.serves is not None and self._dialect is not None:
            self._served = Served(definition, catalogue, Native(catalogue, _CURRENCY, self._dialect))

    @property
    def told(self) -> str:
        """All that was said."""
        return self._told.text

    @property
    def failed(self) -> bool:
        """Whether a check has failed."""
        return self._told.failed

    def run(self, sample: bytes, *, answers: bool = False) -> Trial:
        """Try one sample. `answers`: it is what an element says; else that is found out, which not every record tells."""
        if self._is_business(sample):
            carry_out(sample, self._definition, self._simulation, self._wire or self._amqp, self._told)
        elif self._definition.transport == "soap" and sample.lstrip()[:1] == b"<":
            self._envelope(sample)
        elif self._amqp is not None:
            self._message(self._amqp, sample)
        elif self._dialect is None:
            also = "; or an envelope" if self._definition.transport == "soap" else ""
            self._fail(f'a sample for {self._definition.transport} is JSON: {{"operation": ..., "data": ...}}{also}')
        else:
            events = client_codec(self._dialect).receive_data(sample)
            heard = [e for e in events if isinstance(e, Report)]
            commands = server_codec(self._dialect).receive_data(sample)
            # Of records, a command that nobody declared looks like an alarm.
            alarms = [e for e in events if isinstance(e, Alarm)] if answers or self._dialect.record is None else []
            if self._alarms(alarms, told=bool(heard) or answers) and not heard:
                return self
            if heard and (answers or not self._could_be_commands(commands, heard)):
                self._answers(heard)
            elif answers or not commands:
                self._fail("holds no whole message")
            else:
                for event in commands:
                    self._command(event)
        return self

    def _is_business(self, sample: bytes) -> bool:
        """Whether a sample is a business command, and not a record that is JSON too."""
        if sample.lstrip()[:1] != b"{":
            return False
        if self._amqp is not None:
            return b'"operation"' in sample
        if self._dialect is None or self._dialect.record is None or self._dialect.record.format != "json":
            return True
        heard = server_codec(self._dialect).receive_data(sample)
        return not any(isinstance(event, Command) for event in heard) and b'"operation"' in sample

    def _could_be_commands(self, commands: Sequence[Any], answers: Sequence[Report]) -> bool:
        """Whether what can be read as answers is rather commands: flat records may look alike. A code that is known tells."""
        assert self._dialect is not None
        if self._dialect.record is None or not all(isinstance(c, Command) for c in commands):
            return False
        return any(self._dialect.results.means(a.retcode) == self._definition.classify(a.retcode).value == "refused" for a in answers)

    def _tell_reply(self, report: Report) -> None:
        assert self._wire is not None
        try:
            self._say("reply", self._wire.text(self._wire.written(report)))
        except LocalProtocolError as error:
            self._fail(f"the reply cannot be said: {error.message}")

    # Commands.

    def _command(self, event: Any) -> None:
        if isinstance(event, Malformed):
            self._say("message", "cannot be read")
            self._fail(str(event.error))
            if self._serving is not None:
                self._tell_reply(self._served.refusal(Failure(Kind.MALFORMED, str(event.error)), Command("")))
            return
        if not isinstance(event, Command):
            self._say("message", type(event).__name__.lower())
            return
        fields = fields_of(event)
        self._say("message", {event.name: {name: "*****" if self._dialect and name in self._dialect.mask else value
                                           for name, value in fields.items()} or None})
        if self._serving is not None and (self._serving.knows(event.name) or self._simulation is None):
            self._serve(event, fields)
        elif self._simulation is not None:
            self._play(event)
        else:
            self._fail("the file neither serves nor simulates anything")
        self._told.gap()

    def _serve(self, command: Command, fields: Mapping[str, Any]) -> None:
        assert self._serving is not None
        dialect = self._dialect
        if dialect is not None and command.name in {dialect.login.command, dialect.logout}:
            self._tell_reply(self._served.done(command))
            return
        if self._serving.native and not self._serving.knows(command.name):
            self._say("object", "as the native command of this name")
            return
        problems: list[MappingError] = []
        try:
            asked = self._serving.parse(command.name, fields, problems)
            if not problems:
                self._request(command.name, self._catalogue.operation(asked.request).request, asked.data, problems)
        except MappingError as error:
            problems.append(error)
        for problem in problems:
            self._fail(f"{problem.source or problem.path}: {problem.message}")
        if problems:
            self._tell_reply(self._served.refusal(self._failure(command, problems[0]), command))
            return
        if asked.context:
            self._say("context", {name: str(value) for name, value in asked.context.items()})
        try:
            self._tell_reply(self._business_reply(command, asked.request, asked.data))
        except Failure as failure:
            self._fail(str(failure))

    def _request(self, command: str, model: type[BusinessObject], data: Mapping[str, Any], problems: list[MappingError]) -> None:
        assert self._serving is not None
        try:
            made = model.model_validate(data)
        except ValidationError as error:
            for one in mistakes(error):
                field = dotted(one["loc"])
                problems.append(MappingError(field, wrong(one), self._serving.field(command, field) or ""))
            return
        self._say("object", {model.__name__: made.model_dump(mode="json", exclude_none=True)})

    def _failure(self, command: Command, problem: MappingError) -> Failure:
        """The failure a running listener would tell: it stops at the first check."""
        try:
            self._served.request(command)
        except Failure as failure:
            return failure
        return Failure(Kind.INVALID, problem.message, problem.path)

    def _business_reply(self, command: Command, request: str, data: Mapping[str, Any]) -> Report:
        asked = self._catalogue.operation(request).request.model_validate(data)
        if self._given is not None and isinstance(self._given.get("fault"), Mapping):
            return self._served.refusal(self._given_failure(), command)
        return self._served.report(self._business_answer(asked), command)

    def _business_answer(self, asked: BusinessObject) -> BusinessObject:
        """The reply that was given for trying, or a made-up one. Raises Failure."""
        operation = self._catalogue.operation(type(asked).__name__)
        if self._given is not None and isinstance(self._given.get("fault"), Mapping):
            raise self._given_failure()
        if self._given is not None:
            return checked(operation.reply, self._given)
        return example(operation.reply, asked.model_dump(mode="json", exclude_none=True))

    def _given_failure(self) -> Failure:
        assert self._given is not None
        fault = self._given["fault"]
        return Failure(Kind(fault["code"]), fault.get("message", ""), fault.get("field"))

    # Envelopes.

    def _envelope(self, sample: bytes) -> None:
        from gateway.simulators.trying_soap import SoapWire  # zeep is slow to load
        from protocols.soap.foreign import Refused

        wire = SoapWire(self._definition, self._folder)
        try:
            call = wire.read(sample)
        except Refused as refused:
            self._say("message", "cannot be read")
            self._fail(refused.message)
            self._say("reply", wire.refused(refused))
            return
        self._say("message", {call.operation: call.fields or None})
        if self._serving is not None and (self._serving.knows(call.operation) or self._simulation is None):
            problems: list[MappingError] = []
            try:
                asked = self._serving.parse(call.operation, call.fields, problems)
                if not problems:
                    self._request(call.operation, self._catalogue.operation(asked.request).request, asked.data, problems)
            except MappingError as error:
                problems.append(error)
            for problem in problems:
                self._fail(f"{problem.source or problem.path}: {problem.message}")
            reply, wrong = wire.served(sample, self._catalogue, self._business_answer)
            self._say("reply", reply)
            for text in wrong:
                self._fail(text)
        elif self._simulation is not None:
            for act in self._acts(call.operation, call.fields):
                if act.reply is not None:
                    self._say("reply", wire.written(call, act.reply))

    # Messages of a broker.

    def _message(self, wire: AmqpWire, sample: bytes) -> None:
        try:
            said = json.loads(sample)
            delivery = wire.delivery(said)
        except (ValueError, AttributeError, TypeError) as error:
            self._fail(f"a sample for amqp is JSON: a message with a body, or an operation with its data: {error}")
            return
        try:
            self._say("message", {name: value for name, value in wire.read(delivery).items() if value and name != "messageId"})
            if "answerTo" in said:
                self._reply_means(wire.reply(delivery), str(said["answerTo"]))
                return
        except RemoteProtocolError as error:
            self._say("message", "cannot be read")
            if wire.language is None:
                self._fail(error.message)
                return
        if wire.language is not None:
            reply, failure = wire.served(delivery, self._business_answer, self._say)
            if failure is not None:
                self._fail(f"{failure.field}: {failure.message}" if failure.field else failure.message)
            self._say("reply", reply or "none")
        elif self._simulation is not None:
            for act in self._acts(*wire.simulated(delivery)):
                if act.reply is not None:
                    self._say("reply", wire.played(delivery, wire.simulated(delivery)[0], act.reply))
        else:
            self._fail("the file neither serves nor simulates anything")

    # The simulated system.

    def _play(self, command: Command) -> None:
        assert self._wire is not None
        assert self._simulation is not None
        dialect = self._wire.dialect
        if command.name in {dialect.login.command, dialect.logout}:
            self._say("simulated", "a session begins or ends; here every command has one")
            return
        for act in self._acts(command.name, fields_of(command)):
            if act.reply is None:
                continue
            data = self._wire.answer(act.reply, command)
            self._say(f"reply after {act.after:g} s" if act.after else "reply", self._wire.text(data))
            read = self._wire.read(data)
            if read is None:
                self._fail("the reply cannot be read back")
            else:
                self._meaning(read, command.name)

    def _acts(self, command: str, fields: Mapping[str, Any]) -> tuple[Act, ...]:
        """What the simulated system does; what it does not say is told."""
        assert self._simulation is not None
        talk = self._simulation.connect()
        for user, secret in self._simulation.simulator.users.items():
            talk.log_in(user, secret.get_secret_value())
            break
        outcome = talk.receive(command, fields)
        talk.close()
        if outcome.applied is not None:
            self._say("applied", str(outcome.applied["key"]))
        if not outcome.acts:
            self._say("reply", "none")
        for act in outcome.acts:
            if act.do != "send":
                self._say("reply", act.do)
        return tuple(act for act in outcome.acts if act.do == "send")

    # Answers of an element.

    def _answers(self, heard: Sequence[Report]) -> None:
        """Answers, each as a whole: what comes in parts, or after a sign of progress, is joined as a connector joins it."""
        assert self._dialect is not None
        parts = Joiner()
        for report in heard:
            under_way = self._dialect.results.means(report.retcode) == "progress"
            whole = parts.add(replace(report, more=True) if under_way else report)
            if whole is not None:
                self._answer(whole)
        rest = parts.give_up()
        if rest is not None:
            self._answer(rest)
            self._fail("the last part of the answer is missing")

    def _alarms(self, said: Sequence[Alarm], *, told: bool) -> bool:
        """What goes to the monitor core of what is said unasked, and what is only logged, where its mark or the sample has `told`
        that it is no command. Whether there is any of it.
        """
        assert self._dialect is not None
        wrong: list[str] = []
        known = False
        for one in said:
            reports = list(reports_of(one, self._dialect.alarms, self._definition.protocol, str, wrong.append))
            for report in reports:
                self._say("alarm", report.model_dump(mode="json", exclude_none=True))
            if not reports and (told or one.kind == "alarm"):
                self._say("unasked, only logged", " ".join(one.split()))
            known = known or bool(reports) or told or one.kind == "alarm"
        for problem in wrong:
            self._fail(problem)
        return known

    def _answer(self, answer: Report) -> None:
        self._say("message", {name: value for name, value in as_reply(answer).items() if value})
        self._meaning(answer, " ".join(answer.command.partition(":")[0].split()).upper())
        self._told.gap()

    def _meaning(self, answer: Report, command: str) -> None:
        self._reply_means(as_reply(answer), command)

    def _reply_means(self, reply: Mapping[str, Any], command: str) -> None:
        """What an answer means to the operations that send its command."""
        means = self._definition.meaning(reply)
        self._say("means", means.value)
        if means.value not in {"success", "alreadyDone"}:
            return
        for name, operation in self._definition.operations.items():
            if not operation.reply or operation.send[-1].command.upper() != command.upper():
                continue
            try:
                self._say("object", {name: {k: str(v) for k, v in operation.parse(reply).items()}})
            except MappingError as error:
                self._fail(f"{name}: {error}")
