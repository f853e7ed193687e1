"""The compiled form of a map makes of every message what the map makes of it field by field, or leaves it to the map."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.mapping import FieldMap, Fields, MappingError
from protocols.mml import ListValue

UNHURRIED = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SAID: list[dict[str, Any]] = [
    {}, {"min_length": 2, "max_length": 3}, {"pattern": "[0-9]{2,3}"}, {"pattern": "(?i)ab|abc", "max_length": 3}, {"required": True},
    {"default": "de"}, {"one_of": ["a", "bcd", ""], "max_length": 2}, {"codes": {"a": "accept", "12": "12"}},
    {"codes": {"a": "accept"}, "otherwise": "x"}, {"codes": {"1": {"n": 3}, "2": {}}, "pick": "n", "type": "integer"},
    {"codes": {"a": 1}, "apply": ["lower"]}, {"codes": {"2": None, "a": {}}, "pick": "n", "default": "a"}, {"type": "integer"},
    {"type": "integer", "minimum": "1.5", "maximum": 12, "default": 3}, {"type": "integer", "one_of": ["1", "12"]},
    {"type": "integer", "max_length": 2}, {"type": "integer", "pattern": "1.*"}, {"type": "decimal", "places": 1}, {"type": "boolean"},
    {"type": "datetime"}, {"type": "any"}, {"type": "any", "one_of": ["a"]}, {"apply": ["trim", "digits"]},
    {"when": {"value": "$B", "present": True}}, {"from": "{A}-{B}"}, {"from": "$A.x"}, {"from": "$A.0"}, {"from": "still"}]
PLAN = st.dictionaries(st.sampled_from(["x", "y", "n.x", "n.y", "m.n.x"]), st.sampled_from(SAID), min_size=1)
VALUE = st.one_of(
    st.sampled_from(["", "a", "A", "ab", "abc", "bcd", "12", " 12 ", "+1", "-0", "007", "1_0", "1.0", "1e1", "٣", "12\n", "true", "\ud800",
                     "2026-11-24T10:00:00Z", "0", "x" * 30, "9" * 18, "9" * 19, None, 1, 12, True, 1.5]),
    st.text(max_size=4), st.builds(lambda items: ListValue.of(items), st.lists(st.sampled_from(["a", "1"]), min_size=1, max_size=2)),
    st.dictionaries(st.sampled_from(["x", "0"]), st.text(max_size=3), max_size=2), st.lists(st.text(max_size=3), max_size=2))


def outcome(apply: Any, message: dict[str, Any]) -> Any:
    try:
        return apply(message)
    except MappingError as error:
        return str(error), error.path, error.source


def typed(value: Any) -> Any:
    """The value with the type of everything in it."""
    if isinstance(value, dict):
        return {name: typed(inner) for name, inner in value.items()}
    return type(value), list(map(typed, value)) if isinstance(value, list) else value


@UNHURRIED
@given(plan=PLAN, message=st.dictionaries(st.sampled_from(["A", "B", "C"]), VALUE))
def test_it_makes_the_same_of_every_message(plan: dict[str, dict[str, Any]], message: dict[str, Any]) -> None:
    fields = Fields({name: FieldMap.model_validate({"from": "$A", **said}) for name, said in plan.items()})
    given_to = dict(message)
    assert typed(outcome(fields.apply, message)) == typed(outcome(lambda m: fields._one_by_one(m, None), message))
    assert message == given_to


@pytest.mark.parametrize(("said", "value", "made"), [
    ({}, "a b", "a b"), ({"max_length": 2}, "ab", "ab"), ({"pattern": "[0-9]+"}, "12", "12"), ({"one_of": ["a"]}, "a", "a"),
    ({"codes": {"01": "basic"}}, "01", "basic"), ({"type": "integer", "minimum": 1}, "12", 12),
    ({"default": 4, "type": "integer"}, None, 4),
    ({"when": {"value": "$A", "present": True}}, "x", "x"), ({"from": "{A}!"}, "x", "x!"), ({"from": "$A.b"}, {"b": "c"}, "c")])
def test_a_valid_message_is_done_with_in_the_compiled_form(said: dict[str, Any], value: Any, made: Any) -> None:
    fields = Fields({"n.x": FieldMap.model_validate({"from": "$A", **said})})
    assert fields._compiled({"A": value} if value is not None else {}) == {"n": {"x": made}}


def test_what_a_list_is_made_of_stays_as_it_came() -> None:
    fields = Fields({"list": FieldMap.model_validate({"list": {"each": "$lines", "fields": {"all": {"from": "$item", "type": "any"}}}})})
    message = {"lines": [{"a": "1"}]}
    assert fields._compiled(message) == {"list": [{"all": {"a": "1"}}]}
    assert message == {"lines": [{"a": "1"}]}
