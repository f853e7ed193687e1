"""What a field of a map can say, each thing once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.mapping import FieldMap, Fields, MappingError

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy


def one(value: Any = None, **said: Any) -> Any:
    """The value that a field makes of `$V`."""
    return fields(x={"from": "$V", **said}).apply({} if value is None else {"V": value}).get("x")


def fields(**said: Any) -> Fields:
    return Fields({name.replace("__", "."): FieldMap.model_validate(field) for name, field in said.items()})


@pytest.mark.parametrize(("said", "value", "made"), [
    ({}, "a b", "a b"),
    ({}, 7, "7"),
    ({}, True, "true"),
    ({}, Decimal("1E+2"), "100"),
    ({"type": "integer"}, " 12 ", 12),
    ({"type": "decimal"}, "12.50", Decimal("12.50")),
    ({"type": "decimal", "places": 2}, "2.345", "2.35"),
    ({"type": "boolean"}, "TRUE", True),
    ({"type": "boolean", "codes": {"J": True, "N": False}}, "N", False),
    ({"codes": {"A": "accept"}}, "A", "accept"),
    ({"codes": {"A": "accept"}, "otherwise": "refer"}, "Z", "refer"),
    ({"codes": {"A1": {"site": "Oslo", "zone": 3}}, "pick": "zone", "type": "integer"}, "A1", 3),
    ({"default": "x"}, None, "x"),
    ({"default": "x"}, "", "x"),
    ({"apply": ["trim", "upper"]}, " ab ", "AB"),
    ({"apply": ["digits"]}, "+47 900-00", "4790000"),
    ({"apply": ["bcd"]}, "12345", "2143F5"),
    ({"apply": ["from_bcd"]}, "2143F5", "12345"),
    ({"type": "datetime"}, "2026-11-24T10:00:00Z", datetime(2026, 11, 24, 10, tzinfo=UTC)),
    ({"type": "datetime", "format": "%Y%m%d%H%M%S"}, "20261124100000", datetime(2026, 11, 24, 10, tzinfo=UTC)),
    ({"type": "datetime", "format": ["%d.%m.%Y", "%Y-%m-%d"]}, "2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
    ({"type": "datetime", "write": "%d/%m/%y %H:%M", "zone": "Asia/Shanghai"}, "2026-11-24T20:00:00Z", "25/11/26 04:00"),
    ({"type": "any"}, [{"a": 1}], [{"a": 1}]),
])
def test_values(said: dict[str, Any], value: Any, made: Any) -> None:
    got = one(value, **said)
    assert got == made
    assert type(got) is type(made)


def test_a_zone_belongs_to_a_time_without_one() -> None:
    made = one("20260724120000", type="datetime", format="%Y%m%d%H%M%S", zone="Europe/Oslo")
    assert made.utcoffset() == timedelta(hours=2)
    kept = one("2026-07-24T12:00:00-03:00", type="datetime", zone="Europe/Oslo")
    assert kept == datetime(2026, 7, 24, 12, tzinfo=timezone(timedelta(hours=-3)))


@pytest.mark.parametrize(("said", "value", "told"), [
    ({"required": True}, None, "is required"),
    ({"required": True}, "", "is required"),
    ({"type": "integer"}, "1.5", "must be a whole number"),
    ({"type": "integer"}, "١٢", "must be a whole number"),
    ({"type": "decimal"}, "1e5", "must be a number"),
    ({"type": "decimal"}, "NaN", "must be a number"),
    ({"type": "boolean"}, "yes", "must be true or false"),
    ({"type": "datetime"}, "tomorrow", "must be a date and time as ISO 8601"),
    ({"type": "datetime", "format": "%Y"}, "x", "must be a date and time as %Y"),
    ({"codes": {"A": "accept"}}, "B", "must be one of A"),
    ({"one_of": ["a", "b"]}, "c", "must be one of a, b"),
    ({"pattern": "[0-9]+"}, "12x", "must match [0-9]+"),
    ({"min_length": 3}, "12", "must be at least 3 long"),
    ({"max_length": 3}, "1234", "must be at most 3 long"),
    ({"type": "integer", "minimum": 3}, "2", "must be at least 3"),
    ({"type": "decimal", "maximum": "3.5"}, "3.51", "must be at most 3.5"),
    ({"apply": ["bcd"]}, "12x", "must be digits"),
    ({}, {"a": 1}, "must be a single value"),
])
def test_checks(said: dict[str, Any], value: Any, told: str) -> None:
    with pytest.raises(MappingError) as caught:
        one(value, **said)
    assert (caught.value.path, caught.value.message, caught.value.source) == ("x", told, "V")


@pytest.mark.parametrize("said", [
    {"from": "$a..b"}, {"from": 1.5}, {"codes": {1: "x"}}, {"codes": {True: "x"}}, {"codes": "nowhere"}, {"one_of": [1]},
    {"apply": ["uper"]}, {"zone": "Mars/Base"}, {"format": "%Y"}, {"type": "integer", "write": "x"}, {"places": 2}, {"minimum": 1},
    {"pick": "x"},
    {"list": {"each": "$a"}, "type": "integer"}, {"list": {}}, {"list": {"each": "$a", "zip": {"x": "$b"}}},
    {"list": {"of": [{}], "fields": {}}}, {"pattern": "("}, {"type": "number"},
])
def test_what_makes_no_sense_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FieldMap.model_validate(said)


def test_nested_targets_and_conditions() -> None:
    made = fields(party__id={"from": "$ID"}, party__name={"from": "$NAME", "when": {"value": "$KIND", "equals": "person"}},
                  party__role={"from": "customer"})
    assert made.apply({"ID": "1", "NAME": "Ann", "KIND": "person"}) == {"party": {"id": "1", "name": "Ann", "role": "customer"}}
    assert made.apply({"ID": "1", "NAME": "Ann", "KIND": "firm"}) == {"party": {"id": "1", "role": "customer"}}
    with pytest.raises(ValueError, match="lies inside"):
        fields(a={"from": "$x"}, a__b={"from": "$y"})


def test_a_list_of_what_a_list_holds() -> None:
    items = fields(item={"list": {"each": "$rows", "fields": {"id": {"from": "$item.no", "type": "integer"}, "at": {"from": "$index"},
                                                             "of": {"from": "$order"}}}})
    assert items.apply({"order": "O1", "rows": [{"no": "1"}, {"no": "2"}]}) == {
        "item": [{"id": 1, "at": "0", "of": "O1"}, {"id": 2, "at": "1", "of": "O1"}]}
    assert items.apply({"order": "O1"}) == {}
    with pytest.raises(MappingError) as caught:
        items.apply({"rows": [{"no": "1"}, {"no": "x"}]})
    assert (caught.value.path, caught.value.message) == ("item[1].id", "must be a whole number")


def test_a_list_of_the_parts_of_a_text_and_several_side_by_side() -> None:
    assert fields(x={"list": {"each": "$V", "by": "&"}}).apply({"V": "a&b&c"}) == {"x": ["a", "b", "c"]}
    both = fields(x={"list": {"zip": {"offer": "$OFFERS", "n": "$NS"}, "by": "|", "fields": {
        "offer": {"from": "$item.offer"}, "quantity": {"from": "$item.n", "type": "integer"}}}})
    assert both.apply({"OFFERS": "a|b", "NS": "1|2"}) == {"x": [{"offer": "a", "quantity": 1}, {"offer": "b", "quantity": 2}]}
    with pytest.raises(MappingError, match="of one length"):
        both.apply({"OFFERS": "a|b", "NS": "1"})


def test_a_list_written_out_leaves_out_what_the_message_has_nothing_for() -> None:
    written = fields(c={"list": {"of": [{"name": {"from": "MSISDN"}, "value": {"from": "$MSISDN"}},
                                        {"name": {"from": "IMSI"}, "value": {"from": "$IMSI"}}, {"name": {"from": "fixed"}}]}})
    assert written.apply({"IMSI": "1"}) == {"c": [{"name": "IMSI", "value": "1"}, {"name": "fixed"}]}


def test_a_list_is_bounded() -> None:
    few = fields(x={"list": {"each": "$V", "by": "&", "min_items": 2, "max_items": 3}})
    assert few.apply({"V": "a&b"}) == {"x": ["a", "b"]}
    for wrong in ("a", "a&b&c&d"):
        with pytest.raises(MappingError):
            few.apply({"V": wrong})
    with pytest.raises(MappingError, match="at least 1"):
        fields(x={"required": True, "list": {"each": "$V"}}).apply({})


def test_every_failed_check_is_told() -> None:
    several = fields(a={"from": "$A", "required": True}, b={"from": "$B", "type": "integer"}, c={"from": "$C"},
                     d={"list": {"each": "$D", "fields": {"n": {"from": "$item", "type": "integer"}}}})
    problems: list[MappingError] = []
    assert several.apply({"B": "x", "C": "fine", "D": ["1", "x", "y"]}, problems)["c"] == "fine"
    assert [(p.path, p.source) for p in problems] == [("a", "A"), ("b", "B"), ("d[1].n", "D[1]"), ("d[2].n", "D[2]")]


def test_where_a_field_comes_from_is_known() -> None:
    made = fields(party__id={"from": "$CUST"}, item={"list": {"of": [{"offer": {"from": "$OFFER"}}]}}, text={"from": "{A}-{B}"})
    assert [made.source(t) for t in ("party.id", "item[0].offer", "item", "text", "nowhere")] == ["CUST", "OFFER", "", "", ""]
    nested = fields(lines={"list": {"each": "$order.line", "fields": {"n": {"from": "$item.count"}, "who": {"from": "$buyer"}}}},
                    pairs={"list": {"zip": {"a": "$AS", "b": "$BS"}, "by": ",", "fields": {"b": {"from": "$item.b", "type": "integer"}}}})
    assert [nested.source(t) for t in ("lines[2].n", "lines[0].who", "lines[0].x", "lines", "pairs[1].b")] == [
        "order.line[2].count", "buyer", "order.line", "order.line", "BS[1]"]
    with pytest.raises(MappingError) as caught:
        nested.apply({"AS": "1,2", "BS": "1,x"})
    assert (caught.value.path, caught.value.source) == ("pairs[1].b", "BS[1]")


@UNHURRIED
@given(st.dictionaries(st.sampled_from("ABCDE"), st.one_of(st.text(), st.integers(), st.lists(st.text()), st.none(),
                                                          st.dictionaries(st.text(), st.text()))))
def test_whatever_comes_nothing_but_a_mapping_error(message: dict[str, Any]) -> None:
    everything = fields(
        a={"from": "$A", "type": "integer", "minimum": 1, "maximum": 5}, b={"from": "$B", "type": "datetime", "format": "%Y%m%d"},
        c={"from": "{C}/{A.x.0}", "pattern": "[a-z]*", "max_length": 9}, d={"list": {"zip": {"x": "$D", "y": "$E"}, "by": ","}},
        e={"from": "$E", "type": "decimal", "places": 2}, f={"from": "$C", "apply": ["from_bcd"]},
        g={"from": "$D", "type": "boolean", "when": {"value": "$E", "pattern": ".*"}})
    problems: list[MappingError] = []
    made = everything.apply(message, problems)
    if problems:
        with pytest.raises(MappingError):
            everything.apply(message)
    else:
        assert everything.apply(message) == made
