"""Buses under test, and what a test sends over them."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from adapters.bus import BusSettings, RabbitBus
from core.bus import InProcessBus, TryAgain
from core.ids import new_id
from core.messages.base import BusinessObject, Event
from core.messages.envelope import Envelope
from core.messages.failures import Fault

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


class Ask(BusinessObject):
    text: str


class Answer(BusinessObject):
    text: str


class Happened(Event):
    text: str


MODELS = {m.__name__: m for m in (Ask, Answer, Happened, Fault)}


def message(text="?", *, key="", body=None, **more):
    own = new_id()
    return Envelope(body or Ask(text=text), message_id=own, correlation_id=f"c {own}", occurred_at=NOW, key=key, **more)


def full_message():
    return message(key="K", causation_id="cause", idempotency_key="idem", party="crm", session="S1",
                   deadline=NOW + timedelta(seconds=5), reply_to="somewhere", version=2)


class InProcess:
    """One bus of one process. A message that was not taken is sent again by its sender, as the outbox does."""

    def make(self):
        return InProcessBus(Deferred)

    async def post(self, bus, to, envelope):
        while True:
            try:
                await bus.send(to, envelope)
                return
            except TryAgain:
                await pause(0.01)
            except RuntimeError:  # what the tests' receivers fail with
                await pause(0.01)
            envelope = replace(envelope, attempt=envelope.attempt + 1)

    async def close(self):
        pass


class RabbitMq:
    """Any number of buses on one broker, each as if in a process of its own."""

    def __init__(self, url):
        self.url = url
        self.prefix = secrets.token_hex(4)
        self.buses = []

    def make(self, **settings):
        given = {"url": self.url, "prefix": self.prefix, "partitions": 2, "retry_delay": 0.02, "start_timeout": 20, **settings}
        bus = RabbitBus(BusSettings.model_validate(given), reactor=reactor, site=Path(), log=structlog.get_logger(),
                        model_of=MODELS.__getitem__)
        self.buses.append(bus)
        return bus

    async def post(self, bus, to, envelope):
        await bus.send(to, envelope)

    async def close(self):
        for bus in self.buses:
            if bus.status()["state"] != "stopped":
                await bus.stop()


def pause(seconds):
    done = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done


async def until(condition, seconds=10):
    """Look again and again until the condition holds."""
    for _ in range(int(seconds / 0.005)):
        if condition():
            return
        await pause(0.005)
    raise AssertionError("it did not come true")
