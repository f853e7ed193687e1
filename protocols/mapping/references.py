"""What refers to something else inside a protocol file: code tables by name, and templates to the fields there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from protocols.mapping.engine import Condition, Template
from protocols.mapping.mistakes import Where
from protocols.wording import nearest

if TYPE_CHECKING:
    from protocols.mapping.definition import Definition
    from protocols.mapping.fields import FieldMap
    from protocols.mapping.operations import Message, Operation, Query
    from protocols.mapping.simulator import Does, Simulator

Problem = tuple[Where, str]
_SEEN = ("asked", "record", "records", "numbers", "command", "serial")
"""What a simulator's templates see."""


def with_tables(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The file's data with each `codes: NAME` replaced by the table of that name; and the names there are no tables for, and those
    that are none in YAML (`NO`, `on`, `1`).
    """
    listed = data.get("codes")
    tables: dict[str, Any] = dict(listed) if isinstance(listed, Mapping) else {}
    problems: list[Problem] = []

    def resolved(value: Any, where: Where) -> Any:
        if isinstance(value, list):
            return [resolved(item, (*where, index)) for index, item in enumerate(value)]
        if not isinstance(value, Mapping):
            return value
        made = {}
        for key, inner in value.items():
            here = (*where, str(key))
            if not isinstance(key, str):
                problems.append((here, f"is {key!r} to YAML, not a name: write it in quotes"))
                key = str(key)  # noqa: PLW2901 (so that the rest of the file is checked too)
            if key == "codes" and isinstance(inner, str) and where:
                if inner not in tables:
                    problems.append((here, f"there is no table {inner}{nearest(inner, tables)}"))
                made[key] = tables.get(inner, inner)
            else:
                made[key] = resolved(inner, here)
        return made

    tables = resolved(tables, ("codes",))
    made: dict[str, Any] = {"codes": tables} if tables else {}
    made |= resolved({key: value for key, value in data.items() if key != "codes" or not tables}, ())
    return made, problems


def wrong_references(definition: Definition) -> list[Problem]:
    """Templates that look at what is not there, each with the nearest name."""
    found: list[Problem] = []
    for name, operation in definition.operations.items():
        found += _in_operation(operation, ("operations", name))
    for name, field in definition.soap.headers.items():
        found += _in_field(field, ("user", "secret", "now", "stamp", "command"), "a header", ("soap", "headers", name))
    for name, field in definition.soap.reply_headers.items():
        found += _in_field(field, ("headers", "now", "command"), "an answer's header", ("soap", "reply_headers", name))
    if definition.simulator is not None:
        found += _in_simulator(definition.simulator, ("simulator",))
    return found


def _in_operation(operation: Operation, where: Where) -> Iterator[Problem]:
    taken = {name.split(".")[0] for name in operation.takes}
    for number, step in enumerate(operation.send):
        here = (*where, "send", number)
        yield from _in_message(step, taken, here)
        yield from _in_conditions(step.when, taken, "takes", (*here, "when"))
        if step.undo is not None:
            yield from _in_message(step.undo, taken, (*here, "undo"))
        if step.query is not None:
            yield from _in_query(step.query, taken, (*here, "query"))
    if operation.query is not None:
        yield from _in_query(operation.query, taken, (*where, "query"))


def _in_message(message: Message, taken: set[str], where: Where) -> Iterator[Problem]:
    for name, field in message.fields.items():
        yield from _in_field(field, taken, "takes", (*where, "fields", name))


def _in_query(query: Query, taken: set[str], where: Where) -> Iterator[Problem]:
    yield from _in_message(query.send, taken, (*where, "send"))
    yield from _in_conditions(query.applied, {"asked", "reply"}, "a query", (*where, "applied"))
    for number, condition in enumerate(query.applied):
        for template in condition.templates():
            for path in template.paths:
                if path[0] == "asked" and len(path) > 1 and path[1] not in taken:
                    yield (*where, "applied", number), f"takes has no {path[1]}{nearest(path[1], taken)}"


def _in_simulator(simulator: Simulator, where: Where) -> Iterator[Problem]:
    for name, does in simulator.commands.items():
        yield from _in_does(does, (*where, "commands", name))
    for number, habit in enumerate(simulator.habits):
        here = (*where, "habits", number)
        yield from _in_conditions(habit.when, _SEEN, "a simulator", (*here, "when"))
        for name, field in habit.answer.fields.items():
            yield from _in_field(field, _SEEN, "a simulator", (*here, "answer", "fields", name))
        yield from _in_template(Template(habit.per), _SEEN, "a simulator", (*here, "per"))


def _in_does(does: Does, where: Where) -> Iterator[Problem]:
    if does.key is not None:
        yield from _in_template(Template(does.key), ("asked",), "a key", (*where, "key"))
    for part, fields in (("set", does.set), ("reply", does.reply or {})):
        for name, field in fields.items():
            yield from _in_field(field, _SEEN, "a simulator", (*where, part, name))
    for number, refusal in enumerate(does.refuse):
        yield from _in_conditions(refusal.when, _SEEN, "a simulator", (*where, "refuse", number, "when"))
    for name, spread in does.numbers.items():
        yield from _in_template(Template(spread.of), _SEEN, "a simulator", (*where, "numbers", name, "of"))


def _in_field(field: FieldMap, roots: Iterable[str], whose: str, where: Where) -> Iterator[Problem]:
    roots = {*roots, *(("item", "index") if field.list is not None else ())}
    for template in field.templates():
        yield from _in_template(template, roots, whose, where)


def _in_conditions(conditions: Iterable[Condition], roots: Iterable[str], whose: str, where: Where) -> Iterator[Problem]:
    for number, condition in enumerate(conditions):
        for template in condition.templates():
            yield from _in_template(template, roots, whose, (*where, number))


def _in_template(template: Template, roots: Iterable[str], whose: str, where: Where) -> Iterator[Problem]:
    for path in template.paths:
        if path[0] not in roots:
            yield where, f"{whose} has no {path[0]}{nearest(path[0], roots)}"
