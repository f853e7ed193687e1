"""The relay by itself, with a bus played by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from adapters.store.jobs import Outgoing, Upkeep
from adapters.store.relay import Relay
from core.bus import TryAgain
from core.ids import TimeOrderedIds
from core.messages.base import BusinessObject
from core.messages.envelope import Envelope

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Node:
    id = ""
    others = False

    def owns(self) -> bool:
        return True


class Bus:
    """What is sent waits while the peer is silent; when it is gone, everything is refused at once."""

    def __init__(self) -> None:
        self.gone = False
        self.sent: list[Deferred[None]] = []
        self.asked = 0

    async def send(self, _to: str, _envelope: Envelope[Any]) -> None:
        self.asked += 1
        if self.gone:
            raise TryAgain("gone")
        waiting: Deferred[None] = Deferred()
        self.sent.append(waiting)
        await waiting


def test_however_many_wait_when_the_peer_is_gone_each_is_tried_again() -> None:
    """More than Python's stack could hold, were each refused within the refusal of the one before."""
    clock, bus, upkeep, count = Clock(), Bus(), Upkeep(), 3_000
    relay = Relay(reactor=clock, model_of=lambda _: BusinessObject, utcnow=lambda: NOW, read=lambda _: succeed([]), upkeep=lambda: upkeep,
                  node=Node(), ids=lambda: TimeOrderedIds(lambda: 0), in_flight=256)
    relay.resume(bus)
    relay.add([Outgoing(f"{number:05d}", "connector.hlr", Envelope(BusinessObject(), f"m{number}", "c", NOW, key=str(number)), 0)
               for number in range(count)])
    assert len(bus.sent) == 256
    bus.gone = True
    for waiting in bus.sent:
        waiting.errback(TryAgain("gone"))
    assert bus.asked == count
    assert len(upkeep.retries) == count
    bus.gone = False
    bus.sent.clear()
    for again in upkeep.after:
        again()
    clock.advance(60)
    while bus.sent:
        now, bus.sent = bus.sent, []
        for waiting in now:
            waiting.callback(None)
    assert len(upkeep.taken) == count
