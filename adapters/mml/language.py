"""What a listener's commands mean: the native ones of the catalogue, or those of a protocol file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from adapters.failures import FAILURES
from adapters.mml import native, replies
from adapters.mml.values import heard, said
from core.messages.base import BusinessObject
from core.messages.catalogue import Catalogue
from core.messages.failures import Failure, Kind
from plugins.api import Context
from plugins.checking import checked
from protocols.mapping import Definition, MappingError, Reply, Serving, UnknownCommand
from protocols.mml import Command, Dialect, Report


class Language(Protocol):
    """Commands to requests, replies and failures to reports."""

    def request(self, command: Command) -> tuple[BusinessObject, Context]:
        """Understand a command. Raises Failure."""

    def report(self, reply: BusinessObject, command: Command) -> Report:
        """Say the reply to a command. Raises Failure when it cannot be said."""

    def refusal(self, failure: Failure, command: Command) -> Report:
        """Say a failure."""

    def done(self, command: Command) -> Report:
        """Say that a login or logout succeeded."""


class Native:
    """The outside contract's own commands. Where a dialect's commands are of one word, verb and object are written together."""

    def __init__(self, catalogue: Catalogue, currency: str, dialect: Dialect) -> None:
        self._catalogue = catalogue
        self._currency = currency
        in_lines = dialect.report.form == "lines"
        self._joint = "." if in_lines else "_"
        one_word = dialect.command.max_words == 1
        self._whole = {o.command.replace(" ", ""): o.command for o in catalogue.operations.values()} if one_word else {}
        self._success = dialect.results.ok, "Operation succeeded" if in_lines else "success"

    def request(self, command: Command) -> tuple[BusinessObject, Context]:
        """See Language."""
        if command.name in self._whole:
            command = replace(command, name=self._whole[command.name])
        return native.parse(command, self._catalogue, self._currency), Context(idempotency_key=native.message_id(command))

    def report(self, reply: BusinessObject, command: Command) -> Report:
        """See Language."""
        code, text = self._success
        return replies.report(reply, command, joint=self._joint, retcode=code, description=text)

    def refusal(self, failure: Failure, command: Command) -> Report:
        """See Language."""
        return replies.refusal(failure, command)

    def done(self, command: Command) -> Report:
        """See Language."""
        return Report(*self._success, command=command.raw, session=command.session, transaction=command.transaction)


class Served:
    """The commands of a protocol file's `serves:`. Raises ValueError when it serves a request that is not offered here."""

    def __init__(self, definition: Definition, catalogue: Catalogue, otherwise: Native) -> None:
        if definition.serves is None:
            raise ValueError(f"protocol {definition.protocol} serves nothing: it has no `serves:`")
        unknown = sorted({served.request for served in definition.serves.commands.values()} - set(catalogue.operations))
        if unknown:
            raise ValueError(f"protocol {definition.protocol} serves {', '.join(unknown)}, which is not offered here")
        self._serving = Serving(definition.serves)
        self._catalogue = catalogue
        self._otherwise = otherwise

    def request(self, command: Command) -> tuple[BusinessObject, Context]:
        """See Language."""
        if self._foreign(command):
            return self._otherwise.request(command)
        try:
            asked = self._serving.parse(command.name, fields_of(command))
        except UnknownCommand as error:
            raise Failure(Kind.UNKNOWN_OPERATION, error.message) from None
        except MappingError as error:
            raise Failure(Kind.INVALID, error.message, error.path) from None
        context = Context(asked.context.get("idempotencyKey"), asked.context.get("correlationId"), asked.context.get("deadline"))
        return checked(self._catalogue.operation(asked.request).request, asked.data), context

    def report(self, reply: BusinessObject, command: Command) -> Report:
        """See Language."""
        if self._foreign(command):
            return self._otherwise.report(reply, command)
        try:
            return report_of(self._serving.pack(command.name, reply.model_dump(mode="json", exclude_none=True)), command)
        except MappingError as error:
            raise Failure(Kind.INTERNAL, f"the reply does not fit the protocol file: {error}") from None

    def refusal(self, failure: Failure, command: Command) -> Report:
        """See Language."""
        usual = self._otherwise.refusal(failure, command)
        if self._foreign(command):
            return usual
        said = self._serving.fault(failure.kind, failure.message, failure.field, command.name, correlation=failure.correlation_id,
                                   code=str(FAILURES[failure.kind].retcode))
        return usual if said is None else report_of(said, command)

    def done(self, command: Command) -> Report:
        """See Language."""
        return report_of(self._serving.success, command)

    def _foreign(self, command: Command) -> bool:
        """Whether the command is a native one, which the file lets through."""
        return self._serving.native and not self._serving.knows(command.name)


def report_of(reply: Reply, command: Command) -> Report:
    """The report that answers a command with what a protocol file says."""
    tables = tuple([(title, tuple(map(_texts, rows))) for title, rows in reply.tables.items()]) if reply.tables else ()
    return Report(reply.code, reply.text, _texts(reply.fields), tables, command.raw, command.session, command.transaction)


def _texts(fields: Any) -> dict[str, str]:
    return {name: value if type(value) is str else said(value) for name, value in fields.items()}


def fields_of(command: Command) -> dict[str, Any]:
    """The parameters by name; one that stands several times is a list."""
    fields: dict[str, Any] = dict(command.parameters)
    if len(fields) == len(command.parameters) and set(map(type, fields.values())) == {str}:
        return fields
    fields.clear()
    for name, text in command.parameters:
        value = text if type(text) is str else heard(text)
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields
