"""Trying a protocol file over SOAP on an envelope: a request that the file serves or its simulator understands, or an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog
from lxml import etree

from adapters.soap.partner import Answers
from adapters.soap.served import PartnerService
from adapters.soap.simulator import packed
from core.messages.catalogue import OPERATIONS, Catalogue, checked
from core.messages.failures import Failure, Kind
from gateway.simulators.examples import example
from protocols.base import CodecError
from protocols.mapping import Definition, MappingError, Simulation
from protocols.mapping.engine import text_of
from protocols.soap.foreign import Call, Refused, SoapClientCodec, SoapServerCodec, contract_of
from protocols.soap.foreign.envelope import LIMITS, open_envelope

MASK = "*****"


class _Offered:
    """As much of a gateway as a service needs to be made: what is offered."""

    def __init__(self) -> None:
        self.catalogue = Catalogue(o.name for o in OPERATIONS)


class SoapTrial:
    """One envelope tried. `say` takes what there is to tell, `fail` a check that failed. `given` is the business reply to give.

    Raises ContractError when the file's contract cannot be read.
    """

    def __init__(self, definition: Definition, folder: Path, given: Mapping[str, Any] | None,
                 say: Callable[[str, Any], None], fail: Callable[[str], None]) -> None:
        self._definition = definition
        self._contract = contract_of(definition, folder)
        self._server, self._client = SoapServerCodec(self._contract), SoapClientCodec(self._contract)
        self._answers = Answers(definition)
        self._given = given
        self._say = say
        self._fail = fail
        offered: Any = _Offered()
        nobody: Any = None
        self._offered = offered.catalogue
        self._service = PartnerService(definition, self._contract, offered, nobody, structlog.get_logger().bind(), LIMITS.bytes) \
            if definition.serves is not None else None

    def run(self, sample: bytes) -> None:
        """Try one envelope."""
        try:
            body = open_envelope(sample, LIMITS).body
        except CodecError as error:
            self._fail(error.message)
            return
        tag = str(body[0].tag) if body else ""
        answered = {o.output.body[0][1].tag: o.name for o in self._contract.operations.values() if o.output is not None and o.output.body}
        if tag.endswith("}Fault"):
            self._answer(next(iter(self._contract.operations)), sample)
        elif tag in answered:
            self._answer(answered[tag], sample)
        else:
            self._request(sample)

    def _request(self, sample: bytes) -> None:
        try:
            call = self._server.receive(sample)
        except Refused as refused:
            self._fail(refused.message)
            self._reply(self._server.fault(refused.code, refused.message, version=refused.version).body)
            return
        self._say("message", {call.operation: _plain(self._masked(call))})
        serves = self._definition.serves
        if self._service is not None and serves is not None and call.operation in serves.commands:
            self._serve(self._service, call, serves.commands[call.operation].request)
        elif self._definition.simulator is not None:
            self._play(call)
        else:
            self._fail("the file neither serves nor simulates this operation")

    def _masked(self, call: Call) -> dict[str, Any]:
        """The fields without a login's secret."""
        session = self._definition.soap.session
        if session is None or call.operation != session.login.command:
            return call.fields
        hidden = {name.split(".")[0] for name, field in session.login.fields.items() if field.source == "$secret"}
        return {name: MASK if name in hidden else value for name, value in call.fields.items()}

    def _serve(self, service: PartnerService, call: Call, request: str) -> None:
        operation = self._offered.operation(request)
        try:
            asked, context = service.asked(call)
            plain = asked.model_dump(mode="json", exclude_none=True)
            self._say("object", {request: plain})
            said = {name: str(value) for name, value in (("idempotencyKey", context.idempotency_key),
                                                        ("correlationId", context.correlation_id), ("deadline", context.deadline)) if value}
            if said:
                self._say("context", said)
            fault = (self._given or {}).get("fault")
            if isinstance(fault, Mapping):
                refused = Failure(Kind(fault["code"]), str(fault.get("message", "")), fault.get("field"))
                self._reply(service.refusal(call, refused).body)
                return
            reply = checked(operation.reply, self._given) if self._given is not None else example(operation.reply, plain)
            self._reply(service.packed(call, reply).body)
        except Failure as failure:
            self._fail(str(failure) if failure.field is None else f"{failure.field}: {failure.message}")
            self._reply(service.refusal(call, failure).body)
        except CodecError as error:
            self._fail(f"the reply cannot be said: {error.message}")

    def _play(self, call: Call) -> None:
        assert self._definition.simulator is not None
        simulation = Simulation(self._definition.simulator)
        session = self._definition.soap.session
        if session is not None and call.operation in (session.login.command, session.logout and session.logout.command):
            self._say("simulated", "a session begins or ends; here every request has one")
            return
        talk = simulation.connect()
        for user, secret in self._definition.simulator.users.items():
            talk.log_in(user, secret.get_secret_value())
            break
        outcome = talk.receive(call.operation, call.fields)
        if outcome.applied is not None:
            self._say("applied", str(outcome.applied["key"]))
        if not outcome.acts:
            self._say("reply", "none")
        for act in outcome.acts:
            if act.do != "send" or act.reply is None:
                self._say("reply", act.do)
                continue
            data = packed(self._server, self._definition.soap, call, act.reply).body
            self._reply(data, f"reply after {act.after:g} s" if act.after else "reply")
            self._meaning(call.operation, data)

    def _answer(self, operation: str, sample: bytes) -> None:
        try:
            reply = self._client.reply(operation, sample)
        except CodecError as error:
            self._fail(error.message)
            return
        self._say("message", {name: _plain(value) for name, value in self._answers.seen(reply).items() if value})
        self._meaning(operation, sample)

    def _meaning(self, operation: str, data: bytes) -> None:
        """What an answer means to the business commands that end with its operation."""
        try:
            reply = self._answers.seen(self._client.reply(operation, data))
        except CodecError as error:
            self._fail(f"the reply cannot be read back: {error.message}")
            return
        means = self._definition.meaning(reply)
        self._say("means", means.value)
        if means.value not in {"success", "alreadyDone"}:
            return
        for name, business in self._definition.operations.items():
            if business.reply and business.send[-1].command == operation:
                try:
                    self._say("object", {name: {k: str(v) for k, v in business.parse(reply).items()}})
                except MappingError as error:
                    self._fail(f"{name}: {error}")

    def _reply(self, data: bytes, what: str = "reply") -> None:
        root = etree.fromstring(data)
        etree.indent(root)
        self._say(what, etree.tostring(root, encoding="unicode"))


def _plain(value: Any) -> Any:
    """Values that can be shown: numbers with a point as texts."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return text_of(value) if isinstance(value, Decimal) else value
