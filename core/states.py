"""The states an order may be in, product, service, resource and work order alike: one table (TMF622, TMF641)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from core.messages.failures import Failure, Kind
from core.orders.objects import ProductOrderState as State

TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.ACKNOWLEDGED: frozenset({State.IN_PROGRESS, State.REJECTED, State.PENDING}),
    State.PENDING: frozenset({State.IN_PROGRESS, State.ACKNOWLEDGED, State.REJECTED, State.ASSESSING_CANCELLATION,
                              State.CANCELLED}),
    State.IN_PROGRESS: frozenset({State.HELD, State.PENDING, State.ASSESSING_CANCELLATION, State.COMPLETED, State.FAILED,
                                  State.PARTIAL}),
    State.HELD: frozenset({State.IN_PROGRESS, State.ASSESSING_CANCELLATION, State.PARTIAL, State.CANCELLED}),
    State.ASSESSING_CANCELLATION: frozenset({State.PENDING_CANCELLATION, State.PENDING, State.IN_PROGRESS, State.HELD}),
    State.PENDING_CANCELLATION: frozenset({State.CANCELLED}),
    State.REJECTED: frozenset(),
    State.CANCELLED: frozenset(),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.PARTIAL: frozenset(),
}
"""From each state, the states that may follow. `assessingCancellation` goes back to where it came from when denied."""

FINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)


def check(current: State, following: State) -> None:
    """Raise Failure(STATE) when `following` may not come after `current`."""
    allowed = TRANSITIONS[current]
    if following not in allowed:
        names = ", ".join(sorted(allowed)) or "nothing"
        raise Failure(Kind.STATE, f"not possible in state {current}: it may be followed by {names}, not by {following}")


def roll_up(parts: Collection[State]) -> State | None:
    """Return the final state that the parts' states make together, or None while one of them is not final.

    All completed is completed, all failed is failed, all cancelled is cancelled, all rejected is rejected; mixed is partial.
    Raises ValueError for no parts.
    """
    if not parts:
        raise ValueError("nothing to roll up")
    if any(part not in FINAL for part in parts):
        return None
    distinct = set(parts)
    return distinct.pop() if len(distinct) == 1 else State.PARTIAL


def diagram() -> str:
    """Draw the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> acknowledged"]
    lines += [f"    {state} --> {following}" for state, all_following in TRANSITIONS.items() for following in sorted(all_following)]
    lines += [f"    {state} --> [*]" for state in TRANSITIONS if state in FINAL]
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram())  # noqa: T201  # that is what it is run for
