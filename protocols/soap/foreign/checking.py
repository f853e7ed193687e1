"""A protocol file held against the contract it names: operations and fields that are not there, fields that have to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from protocols.mapping.mistakes import Where
from protocols.soap.foreign.schema import TEXT, TYPE, Anything, Complex, Element, Group, Particle, Schema, Simple, Type
from protocols.wording import nearest

if TYPE_CHECKING:
    from protocols.mapping import Definition, FieldMap, Template
    from protocols.mapping import Message as Said
    from protocols.mapping.engine import Condition
    from protocols.mapping.operations import Query
    from protocols.mapping.serving import Served
    from protocols.soap.foreign.contract import Contract, Message, Operation

Found = Iterator[tuple[Where, str]]
_ABSENT = Simple()


def wrong_names(definition: Definition, contract: Contract) -> Found:
    """The way to each name that the contract does not have, with the nearest it has; and what it wants and does not get."""
    yield from _Check(definition, contract).all()


class _Check:
    def __init__(self, definition: Definition, contract: Contract) -> None:
        self._definition = definition
        self._contract = contract
        self._schema = contract.schema
        self._faults = {e.name: e.type for o in contract.operations.values() for e in o.faults.values()}

    def all(self) -> Found:
        for name, operation in self._definition.operations.items():
            here: Where = ("operations", name)
            last: Operation | None = None
            for number, step in enumerate(operation.send):
                last = self._contract.operation(step.command)
                yield from self._said(step, (*here, "send", number))
                if step.undo is not None:
                    yield from self._said(step.undo, (*here, "send", number, "undo"))
                if step.query is not None:
                    yield from self._query(step.query, (*here, "send", number, "query"))
            yield from self._reply(operation.reply, last, (*here, "reply"))
            if operation.query is not None:
                yield from self._query(operation.query, (*here, "query"))
        yield from self._soap()
        yield from self._serves()
        yield from self._simulator()

    def _known(self, name: str, where: Where) -> Found:
        if name not in self._contract.operations:
            why = self._contract.left_out.get(name)
            told = f": it is left out, since {why}" if why else nearest(name, self._contract.operations)
            yield where, f"the contract has no operation {name}{told}"

    # What is sent, and what comes back

    def _said(self, said: Said, where: Where) -> Found:
        operation = self._contract.operation(said.command)
        if operation is None:
            yield from self._known(said.command, (*where, "command"))
        else:
            yield from self._written(said.fields, _type(operation.input), (*where, "fields"))

    def _query(self, query: Query, where: Where) -> Found:
        yield from self._said(query.send, (*where, "send"))
        operation = self._contract.operation(query.send.command)
        if operation is not None and operation.output is not None:
            yield from self._conditions(query.applied, ("reply", "fields"), operation.output, (*where, "applied"))
            yield from self._reply(query.reply or {}, operation, (*where, "reply"))

    def _reply(self, fields: Mapping[str, FieldMap], operation: Operation | None, where: Where) -> Found:
        if operation is not None and operation.output is not None:
            for name, field in fields.items():
                yield from self._read(field.templates(), ("fields",), _type(operation.output), (*where, name))

    def _conditions(self, conditions: Iterable[Condition], root: tuple[str, ...], message: Message, where: Where) -> Found:
        for number, condition in enumerate(conditions):
            yield from self._read(condition.templates(), root, _type(message), (*where, number))

    def _soap(self) -> Found:
        soap = self._definition.soap
        for key, sources in (("fault_code", soap._code), ("fault_text", soap._text)):
            for template in sources:
                for path in template.paths:
                    if path[0] not in self._faults:
                        yield ("soap", key), f"the contract has no fault {path[0]}{nearest(path[0], self._faults)}"
                    else:
                        yield from self._way(self._faults[path[0]], path[1:], path[0], ("soap", key))
        inputs = [o.input for o in self._contract.operations.values()]
        yield from self._headers(soap.headers, inputs, ("soap", "headers"))
        outputs = [o.output for o in self._contract.operations.values() if o.output is not None]
        yield from self._headers(soap.reply_headers, outputs, ("soap", "reply_headers"))
        if soap.session is None:
            return
        here: Where = ("soap", "session")
        for key, said in (("login", soap.session.login), ("logout", soap.session.logout)):
            if said is not None:
                yield from self._said(said, (*here, key))
        login = self._contract.operation(soap.session.login.command)
        if login is not None and login.output is not None:
            yield from self._read(soap.session._keep.values(), ("fields",), _type(login.output), (*here, "keep"))
        yield from self._headers(soap.session.headers, inputs, (*here, "headers"))

    def _headers(self, headers: Mapping[str, FieldMap], messages: Iterable[Message], where: Where) -> Found:
        declared = {name: element for message in messages for name, element in message.headers.items()}
        for name in headers:
            first, *rest = name.split(".")
            element = declared.get(first) or self._schema.element(first)
            if element is None:
                yield (*where, name), f"the contract has no header {first}{nearest(first, declared)}"
            else:
                yield from self._way(element.type, rest, first, (*where, name))
        for first, given in _tree(headers).items():
            element = declared.get(first) or self._schema.element(first)
            if element is not None and isinstance(given, Mapping):
                for missing in _missing(self._schema, element.type, given, f"{first}."):
                    yield where, f"{missing} is missing: the contract needs it"

    # The other way round

    def _serves(self) -> Found:
        if self._definition.serves is None:
            return
        for name, served in self._definition.serves.commands.items():
            where: Where = ("serves", "commands", name)
            operation = self._contract.operation(name)
            if operation is None:
                yield from self._known(name, where)
                continue
            for part, fields in (("takes", served.takes), ("context", served.context)):
                for target, field in fields.items():
                    yield from self._read(field.templates(), (), _type(operation.input), (*where, part, str(target)))
            yield from self._refused(served, _type(operation.input), (*where, "takes"))
            output = _type(operation.output)
            yield from self._written(served.answer.fields, output, (*where, "answer", "fields"))
            for number, outcome in enumerate(served.outcomes):
                yield from self._written(outcome.fields, output, (*where, "outcomes", number, "fields"))
            for kind, said in served.failures.items():
                yield from self._failure(said.fields, output, (*where, "failures", kind, "fields"))
        for kind, said in self._definition.serves.failures.items():
            yield from self._failure(said.fields, None, ("serves", "failures", kind, "fields"))

    def _refused(self, served: Served, given: Type, where: Where) -> Found:
        """What comes in every request and nobody takes: every request would be refused for it."""
        used = {path[0] for field in (*served.takes.values(), *served.context.values()) for template in field.templates()
                for path in template.paths if path}
        if self._definition.serves is not None and self._definition.serves.unknown_fields == "refuse" and "rest" not in used:
            for missing in _missing(self._schema, given, dict.fromkeys(used | served.ignores), ""):
                yield where, f"{missing} comes in every request: take it, or name it in `ignores`"

    def _failure(self, fields: Mapping[str, FieldMap], output: Type | None, where: Where) -> Found:
        """Fields of a failure are those of a fault's details, or of the ordinary answer."""
        faults = any(name.split(".")[0] in self._faults for name in fields)
        if output is None or faults:
            for name in fields:
                first, *rest = name.split(".")
                if first not in self._faults:
                    yield (*where, name), f"the contract has no fault {first}{nearest(first, self._faults)}"
                else:
                    yield from self._way(self._faults[first], rest, first, (*where, name))
        elif fields:
            yield from self._written(fields, output, where)

    def _simulator(self) -> Found:
        if self._definition.simulator is None:
            return
        for name, does in self._definition.simulator.commands.items():
            where: Where = ("simulator", "commands", name)
            operation = self._contract.operation(name)
            if operation is None:
                yield from self._known(name, where)
                continue
            given = _type(operation.input)
            for target, field in does.takes.items():
                yield from self._read(field.templates(), (), given, (*where, "takes", target))
            for target, field in does.set.items():
                yield from self._read(field.templates(), ("asked",), given, (*where, "set", target))
            if does.reply is not None:
                yield from self._written(does.reply, _type(operation.output), (*where, "reply"))

    # Fields

    def _written(self, fields: Mapping[str, FieldMap], type_: Type, where: Where) -> Found:
        """Targets of a map: all are there, and all that must be given is given."""
        for name, field in fields.items():
            wrong = list(self._way(type_, name.split("."), "", (*where, name)))
            yield from wrong
            if field.list is not None and not wrong:
                inner = self._at(type_, name.split("."))
                items = [item for item in (*field.list.of, field.list.fields) if item is not None]
                for item in items:
                    yield from self._written(item, inner, (*where, name, "list"))
        for missing in _missing(self._schema, type_, _tree(fields), ""):
            yield where, f"{missing} is missing: the contract needs it"

    def _read(self, templates: Iterable[Template], root: tuple[str, ...], type_: Type, where: Where) -> Found:
        """Sources of a map: those that look into the message find something there."""
        for template in templates:
            for path in template.paths:
                if path[:len(root)] == root and path[len(root):] and path[0] not in ("item", "index", "rest"):
                    yield from self._way(type_, [part for part in path[len(root):] if not part.isdecimal()], "", where)

    def _way(self, type_: Type, way: Iterable[str], so_far: str, where: Where) -> Found:
        here = type_
        for name in way:
            inner = _inside(here, name, self._schema)
            if isinstance(inner, list):
                yield where, f"{so_far or 'the contract'} has no {name}{nearest(name, inner)}"
                return
            here, so_far = inner, name

    def _at(self, type_: Type, way: Iterable[str]) -> Type:
        for name in way:
            inner = _inside(type_, name, self._schema)
            type_ = Anything() if isinstance(inner, list) else inner
        return type_


def _type(message: Message | None) -> Type:
    """The type whose fields are those of a message."""
    if message is None or not message.body:
        return Complex()
    if message.bare:
        return message.body[0][1].type
    whole = Complex()
    whole.fill(Group("all", [Element(e.tag, name, e.type) for name, e in message.body]))
    return whole


def _inside(type_: Type, name: str, schema: Schema) -> Type | list[str]:
    """The type of a field inside another type, or the names there are."""
    if isinstance(type_, Anything):
        return type_
    if isinstance(type_, Simple):
        return type_ if name == TEXT else [TEXT]
    if name in type_.children:
        return type_.children[name][0].type
    for attribute in type_.attributes.values():
        if attribute.name == name:
            return attribute.type
    if name == TYPE or (name == TEXT and type_.text is not None):
        return _ABSENT
    if type_.wildcard:
        known = schema.element(name)
        return known.type if known is not None else Anything()
    for derived in schema.derived(type_):
        found = _inside(derived, name, schema)
        if not isinstance(found, list):
            return found
    return [*(n for n in type_.children if not n.startswith("{")), *(a.name for a in type_.attributes.values()),
            *([TEXT] if type_.text is not None else [])]


def _tree(fields: Mapping[str, FieldMap]) -> dict[str, object]:
    """The targets of a map as nested dicts; None where a whole value is given."""
    tree: dict[str, object] = {}
    for name, field in fields.items():
        *way, last = name.split(".")
        into = tree
        for part in way:
            inner = into.setdefault(part, {})
            into = inner if isinstance(inner, dict) else {}
        into[last] = _tree(field.list.fields) if field.list is not None and field.list.fields is not None else None
    return tree


def _missing(schema: Schema, type_: Type, given: Mapping[str, object], so_far: str) -> Iterator[str]:
    if not isinstance(type_, Complex) or TYPE in given:
        return
    if type_.abstract:
        yield f"{so_far}{TYPE} ({' | '.join(schema.concrete(type_))})"
    for attribute in type_.attributes.values():
        if attribute.required and attribute.name not in given:
            yield so_far + attribute.name
    if type_.text is not None and type_.text.kind != "string" and TEXT not in given:
        yield so_far + TEXT
    if type_.content is not None:
        yield from _missing_in(schema, type_.content, given, so_far)
    for name in given if type_.wildcard else ():
        known = schema.element(name) if name not in type_.children else None
        inner = given[name]
        if known is not None and isinstance(inner, Mapping):
            yield from _missing(schema, known.type, inner, f"{so_far}{name}.")


def _missing_in(schema: Schema, particle: Particle, given: Mapping[str, object], so_far: str) -> Iterator[str]:
    if isinstance(particle, Element):
        if particle.name not in given:
            empty = isinstance(particle.type, Complex) and particle.type.may_be_empty()
            if particle.least and not particle.nillable and not empty:
                yield so_far + particle.name
            return
        inner = given[particle.name]
        if isinstance(inner, Mapping):
            yield from _missing(schema, particle.type, inner, f"{so_far}{particle.name}.")
    elif isinstance(particle, Group) and (particle.least or particle.names & set(given)):
        if particle.kind != "choice":
            for member in particle.members:
                yield from _missing_in(schema, member, given, so_far)
        else:
            chosen = max(particle.members, key=lambda m: len(m.names & set(given)), default=None)
            if chosen is not None and chosen.names & set(given):
                yield from _missing_in(schema, chosen, given, so_far)
            elif all(isinstance(member, Element) and member.least for member in particle.members):
                yield f"{so_far}one of {', '.join(sorted(particle.names))}"
