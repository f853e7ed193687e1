"""The behaviour of simulated systems: records, habits, faults, users."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.mapping import Act, Conversation, Definition, Habit, Simulation, Simulator

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy

SITE = Path(__file__).parents[3] / "config/site/demo/protocols"
LOADED = {name: Definition.load(yaml.safe_load((SITE / f"{name}.yaml").read_text())) for name in ("hlr", "credit-bureau-mml")}


def simulation(name: str, *faults: str) -> Simulation:
    simulator = LOADED[name].simulator
    assert simulator
    return Simulation(simulator, [Habit.parse(f) for f in faults])


def talk(made: Simulation) -> Conversation:
    conversation = made.connect()
    assert conversation.log_in("uip", "uip-secret").ok
    return conversation


def code(conversation: Conversation, command: str, **fields: str) -> str:
    """The answer's code, or what happened instead."""
    acts = conversation.receive(command, fields).acts
    if not acts:
        return "silence"
    assert len(acts) == 1
    return acts[0].reply.code if acts[0].do == "send" else acts[0].do


def subscriber(ending: str) -> dict[str, str]:
    return {"IMSI": f"240010000000{ending}", "ISDN": "4790000001"}


def test_a_record_is_made_changed_shown_and_removed() -> None:
    hlr = talk(simulation("hlr"))
    new = subscriber("001")
    only = {"IMSI": new["IMSI"]}
    assert code(hlr, "LST SUB", **only) == "3001"
    assert code(hlr, "ADD SUB", **new) == "0"
    assert code(hlr, "ADD SUB", **new) == "3002"
    assert code(hlr, "MOD TPLSERV", **only, TPLTS="basic") == "0"
    assert code(hlr, "ACT SUB", **only) == "0"
    shown = hlr.receive("LST SUB", only).acts[0].reply
    assert shown.fields == {**new, "STATE": "ACTIVE", "TPLTS": "basic"}
    assert code(hlr, "RMV SUB", **only) == "0"
    assert code(hlr, "LST SUB", **only) == "3001"


def test_only_what_changed_something_is_told_as_applied() -> None:
    made = simulation("hlr")
    hlr = talk(made)
    new = subscriber("001")
    outcomes = [hlr.receive(command, new).applied for command in ("LST SUB", "ADD SUB", "ADD SUB", "ACT SUB", "FLY SUB")]
    assert [o and o["command"] for o in outcomes] == [None, "ADD SUB", None, "ACT SUB", None]
    assert outcomes[1]["fields"] == new
    assert made.applied == 2


@pytest.mark.parametrize(("ending", "answers", "applied"), [
    ("666", ["4001", "4001", "4001"], 0),
    ("555", ["2001", "2001", "0"], 1),
    ("444", ["silence", "silence"], 1),
    ("333", ["disconnect", "0", "3002"], 1),
    ("331", ["0"], 1),
])
def test_the_element_s_habits_follow_the_imsi(ending: str, answers: list[str], applied: int) -> None:
    made = simulation("hlr")
    hlr = talk(made)
    assert [code(hlr, "ADD SUB", **subscriber(ending)) for _ in answers] == answers
    assert made.applied == applied


def test_a_connection_breaks_before_and_after_a_change_alike() -> None:
    made = simulation("hlr")
    hlr = talk(made)
    broken = subscriber("333")
    code(hlr, "ADD SUB", **broken)
    assert made.applied == 0, "before"
    code(hlr, "ADD SUB", **broken)
    assert code(hlr, "ACT SUB", **broken) == "disconnect"
    assert made.records()[broken["IMSI"]]["STATE"] == "ACTIVE", "after"


def test_questions_are_answered_whatever_the_habit() -> None:
    hlr = talk(simulation("hlr"))
    for ending in ("666", "555", "444", "333"):
        assert code(hlr, "LST SUB", **subscriber(ending)) == "3001"


@pytest.mark.parametrize(("party", "verdict"), [("C1", "A"), ("BAD1", "D"), ("REF9", "R"), ("NOTBAD", "A"), ("SLOW1", "A")])
def test_the_bureau_s_verdict_follows_the_party(party: str, verdict: str) -> None:
    made = simulation("credit-bureau-mml")
    (act,) = talk(made).receive("CHK CREDIT", {"PARTY": party, "AMOUNT": "30"}).acts
    assert act.reply.fields["VERDICT"] == verdict
    assert act.after == (4 if party == "SLOW1" else 0)
    again = talk(made).receive("CHK CREDIT", {"PARTY": party, "AMOUNT": "30"}).acts[0].reply
    assert again.fields["SCORE"] == act.reply.fields["SCORE"]
    assert again.fields["REFERENCE"] != act.reply.fields["REFERENCE"]
    assert made.applied == 0


@UNHURRIED
@given(st.text(max_size=64))
def test_everybody_else_scores_well(party: str) -> None:
    operation = LOADED["credit-bureau-mml"].operations["QueryBureau"]
    reply = talk(simulation("credit-bureau-mml")).receive("CHK CREDIT", {"PARTY": party, "AMOUNT": "1"}).acts[0].reply
    if party and not party.startswith(("BAD", "REF", "SLOW")):
        read = operation.parse({"fields": {name: str(value) for name, value in reply.fields.items()}})
        assert read["verdict"] == "accept"
        assert read["score"] >= 620


def test_users_and_sessions() -> None:
    simulator = LOADED["hlr"].simulator
    made = Simulation(simulator.model_copy(update={"sessions": 1}))
    one, two = made.connect(), made.connect()
    assert code(one, "LST SUB", IMSI="1") == "1101"
    assert one.log_in("uip", "wrong").code == one.log_in("nobody", "uip-secret").code == "1102"
    assert one.log_in("uip", "uip-secret").ok
    assert code(one, "LST SUB", IMSI="1") == "3001"
    assert two.log_in("uip", "uip-secret").code == "2001"
    assert one.log_in("uip", "uip-secret").ok, "again on the same connection is no second session"
    one.close()
    one.close()
    assert code(one, "LST SUB", IMSI="1") == "1101"
    assert two.log_in("uip", "uip-secret").ok


def test_a_wrong_parameter_is_named_and_nothing_is_done() -> None:
    made = simulation("hlr")
    reply = talk(made).receive("ADD SUB", {"IMSI": "12"}).acts[0].reply
    assert (reply.code, made.applied) == ("1002", 0)
    assert "IMSI" in reply.text


@pytest.mark.parametrize(("fault", "expected"), [
    ("drop", ["silence"] * 4),
    ("half:every=2", ["0", "half", "0", "half"]),
    ("garbage:times=1", ["garbage", "0", "0", "0"]),
    ("disconnect:match=002", ["0", "0", "disconnect", "0"]),
    ("wrong-code=9:match=ACT", ["0", "9", "0", "9"]),
])
def test_faults_of_the_command_line(fault: str, expected: list[str]) -> None:
    hlr = talk(simulation("hlr", fault))
    assert [code(hlr, command, **subscriber(ending)) for command, ending in
            (("ADD SUB", "001"), ("ACT SUB", "001"), ("ADD SUB", "002"), ("ACT SUB", "001"))] == expected


def test_a_delay_keeps_the_reply() -> None:
    hlr = talk(simulation("hlr", "delay=0.5"))
    (act,) = hlr.receive("ADD SUB", subscriber("001")).acts
    assert isinstance(act, Act)
    assert (act.after, act.do, act.reply.code) == (0.5, "send", "0")


@pytest.mark.parametrize("fault", ["", "dealy=1", "delay=x", "delay=-1", "drop=1", "wrong-code", "drop:every=0", "drop:sometimes",
                                   "drop:every"])
def test_wrong_faults_are_refused(fault: str) -> None:
    with pytest.raises((ValueError, ValidationError)):
        Habit.parse(fault)


@pytest.mark.parametrize("wrong", [
    {"commands": {"A": {"does": "create"}}},
    {"commands": {"A": {"does": "answer", "set": {"X": {"from": "1"}}}}},
    {"commands": {"A": {"does": "answer", "answers": {"sucess": {"code": "0"}}}}},
    {"commands": {"A": {"does": "answer", "numbers": {"n": {"of": "$asked.X", "minimum": 2, "maximum": 1}}}}},
    {"commands": {"A": {"does": "answer"}}, "habits": [{"commands": ["B"]}]},
    {"commands": {}},
])
def test_mistakes_in_a_section_are_found(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Simulator.model_validate(wrong)


COMMANDS = ("ADD SUB", "RMV SUB", "LST SUB", "ACT SUB", "MOD TPLSERV")
FAULTS = ("drop", "half", "garbage", "disconnect", "delay=1", "wrong-code=2001")


@UNHURRIED
@given(st.lists(st.tuples(st.sampled_from(COMMANDS), st.sampled_from(["001", "002", "333", "444", "555", "666"])), max_size=40),
       st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(1, 4)), max_size=2))
def test_what_is_told_as_applied_explains_the_records(asked: list[tuple[str, str]], faults: list[tuple[str, int]]) -> None:
    """Whatever the habits and faults: replaying the applied changes alone gives the same records, and success means applied."""
    made = simulation("hlr", *(f"{fault}:every={n}" for fault, n in faults))
    hlr = talk(made)
    told: list[Any] = []
    for command, ending in asked:
        fields = {**subscriber(ending), "TPLTS": "basic"}
        acts, applied = hlr.receive(command, fields)
        if applied is not None:
            assert command != "LST SUB"
            told.append(applied)
        for act in acts:
            if act.reply and act.reply.ok and command != "LST SUB":
                assert applied is not None
    plain = Simulation(LOADED["hlr"].simulator.model_copy(update={"habits": ()}))
    again = talk(plain)
    for applied in told:
        assert again.receive(applied["command"], applied["fields"]).applied is not None
    assert plain.records() == made.records()
    assert made.applied == len(told)
    alive = Counter(a["key"] for a in told if a["command"] == "ADD SUB")
    alive.subtract(a["key"] for a in told if a["command"] == "RMV SUB")
    assert set(made.records()) == {key for key, n in alive.items() if n}
