"""What became of a load's orders, held against one that nothing disturbed."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.chaos.load import BySoap, Load, Order
from tests.chaos.stage import Stage
from tests.end_to_end import running
from tests.end_to_end.running import FINAL, MmlClient, retcode

MILESTONES = ("creditApproved", "serviceOrderIssued", "serviceActivated", "billingStarted")


@dataclass(frozen=True, slots=True)
class End:
    """How an order ended: its state, what it passed, what the element applied, and what is to be paid."""

    state: str
    milestones: tuple[str, ...]
    applied: tuple[str, ...]
    total: str
    charges: int


@dataclass(slots=True)
class Verdict:
    """`acknowledged` of `sent` were answered; `lost`, `doubled` and `stuck` must be empty. `recovered` is in seconds."""

    sent: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    recovered: float = 0.0
    again: int = 0

    @property
    def good(self) -> bool:
        return self.acknowledged == self.sent and not (self.lost or self.doubled or self.stuck)

    def __str__(self) -> str:
        return (f"{self.acknowledged}/{self.sent} acknowledged, {len(self.lost)} lost, {len(self.doubled)} doubled, "
                f"{len(self.stuck)} stuck, recovered in {self.recovered:.1f} s ({self.again} times asked again)")

    def explained(self) -> str:
        """The first few of what went wrong."""
        return "\n".join(f"    {what}: {line}" for what in ("lost", "doubled", "stuck") for line in getattr(self, what)[:5])


def end_of(mml: MmlClient, order: Order, applied: Mapping[str, list[str]], until: float) -> End | None:
    """How the order has ended; None when it has not by `until` (monotonic seconds), or is not known at all."""
    while True:
        answer = mml.ask(f'LST ORDER:EXTID="{order.key}";')
        if retcode(answer) != 0:
            return End("not found", (), (), "", 0)
        state = running.field(answer, "state")
        if state in FINAL - {"held"}:
            break
        if time.monotonic() > until:
            return None
        time.sleep(0.05)
    bill = mml.ask(f'RUN BILL:ACCOUNT="ACC-{order.customer}";')
    known = retcode(bill) == 0
    return End(state, tuple(name for name in MILESTONES if re.search(rf"^{name} ", answer, re.MULTILINE)),
               tuple(applied[order.imsi]), running.field(bill, "taxIncludedAmount.value") if known else "no bill",
               len(re.findall(r"^.*(?:Activation|Monthly) fee", bill, re.MULTILINE)))


def applied_by_imsi(stage: Stage) -> dict[str, list[str]]:
    """What the element says it has applied, in order."""
    applied: dict[str, list[str]] = defaultdict(list)
    for line in stage.world.report("hlr"):
        applied[str(line["fields"]["IMSI"])].append(str(line["command"]))
    return applied


def judge(stage: Stage, load: Load, undisturbed: End, seconds: float) -> Verdict:
    """Wait until every order of the load has ended, and compare."""
    until = time.monotonic() + seconds
    verdict = Verdict(len(load.orders), load.acknowledged, again=load.again.total())
    mml = MmlClient(stage.port("mml"))
    asked = BySoap(stage.port("soap"))
    states = {order.key: end_of(mml, order, defaultdict(list), until) for order in load.orders}
    applied = applied_by_imsi(stage)
    for order in load.orders:
        ids = load.answered[order.key]
        if not ids:
            verdict.lost += [f"{order.key}: never answered: {load.refused[order.key]}"] if order.key in load.refused else []
            continue
        if states[order.key] is None:
            verdict.stuck.append(order.key + mml.ask(f'LST ORDER:EXTID="{order.key}";')[-700:])
            continue
        ids.add(asked.submit(order))  # the same key once more
        end = end_of(mml, order, applied, until)
        if len(ids) > 1 or (end and (len(end.applied) > len(undisturbed.applied) or end.charges > undisturbed.charges)):
            verdict.doubled.append(f"{order.key} {sorted(ids)} {end}")
        elif end != undisturbed:
            verdict.lost.append(f"{order.key} {end}")
    mml.close()
    return verdict
