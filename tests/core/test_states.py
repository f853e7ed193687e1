"""The table of states, its diagram and the rolling up of parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages.failures import Failure, Kind
from core.orders.objects import ProductOrderState as State
from core.states import FINAL, TRANSITIONS, check, diagram, roll_up

README = Path(__file__).parents[2] / "core" / "README.md"
states = st.sampled_from(State)


def test_the_table_is_the_contracts():
    """As etom.md writes it; `back` of assessingCancellation is where it can come from."""
    told = """
    acknowledged -> inProgress rejected pending
    pending -> inProgress acknowledged rejected assessingCancellation cancelled
    inProgress -> held pending assessingCancellation completed failed partial
    held -> inProgress assessingCancellation partial cancelled
    assessingCancellation -> pendingCancellation pending inProgress held
    pendingCancellation -> cancelled
    """
    table = {before: set(after.split()) for before, after in (line.split(" -> ") for line in told.strip().splitlines())
             for before in [before.strip()]}
    assert {str(s): {str(f) for f in following} for s, following in TRANSITIONS.items() if following} == table
    assert {str(s) for s in FINAL} == {"rejected", "cancelled", "completed", "failed", "partial"}


def test_every_state_has_its_row_and_can_be_reached_and_left():
    assert set(TRANSITIONS) == set(State)
    reached, new = {State.ACKNOWLEDGED}, {State.ACKNOWLEDGED}
    while new:
        new = {following for state in new for following in TRANSITIONS[state]} - reached
        reached |= new
    assert reached == set(State)
    ends = set(FINAL)
    for _ in State:
        ends |= {state for state, following in TRANSITIONS.items() if following & ends}
    assert ends == set(State)


@given(before=states, after=states)
def test_check_allows_what_the_table_holds_and_nothing_else(before, after):
    if after in TRANSITIONS[before]:
        check(before, after)
    else:
        with pytest.raises(Failure) as refused:
            check(before, after)
        assert refused.value.kind is Kind.STATE
        assert str(before) in refused.value.message


@given(st.data())
def test_any_walk_through_the_table_goes_on_until_it_ends_in_a_final_state(data):
    state, steps = State.ACKNOWLEDGED, 0
    while state not in FINAL and steps < 50:
        following = data.draw(st.sampled_from(sorted(TRANSITIONS[state])))
        check(state, following)
        state, steps = following, steps + 1
    assert (state in FINAL) == (not TRANSITIONS[state])


@given(st.lists(states, min_size=1, max_size=6))
def test_parts_make_a_whole_only_when_all_have_ended(parts):
    whole = roll_up(parts)
    if any(part not in FINAL for part in parts):
        assert whole is None
    elif len(set(parts)) == 1:
        assert whole == parts[0]
    else:
        assert whole is State.PARTIAL
    assert roll_up(list(reversed(parts))) == whole


def test_nothing_has_no_state():
    with pytest.raises(ValueError, match="nothing to roll up"):
        roll_up([])


def test_the_diagram_in_the_readme_is_the_tables():
    assert f"```mermaid\n{diagram()}\n```" in README.read_text(), "run python -m core.states and put it in core/README.md"
