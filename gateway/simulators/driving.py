"""A business command carried out by the driver on the file's simulated system, in memory and at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure as TwistedFailure

from adapters.drivers import Driver
from core.credit.objects import QueryBureau
from core.messages.base import BusinessObject, Characteristic
from core.messages.failures import Failure, Kind
from core.provisioning.objects import ResourceCommand
from gateway.simulators.memory import Between, MemoryClient
from gateway.simulators.telling import Told
from plugins.api import Envelope, TryAgain
from plugins.checking import checked
from protocols.mapping import Definition, Simulation

ATTEMPTS = 20
"""How often an operation is tried; a running gateway goes on for as long as the file's patience."""


def carry_out(sample: bytes, definition: Definition, simulation: Simulation | None, wire: Between | None, told: Told) -> None:
    """Carry out `{"operation": NAME, "data": {...}}` and tell the conversation and its end."""
    try:
        asked = json.loads(sample)
        name, data = asked["operation"], asked.get("data", {})
    except (ValueError, KeyError, TypeError):
        told.fail('is not {"operation": NAME, "data": {...}}')
        return
    if simulation is None:
        told.fail("there is no `simulator:` to carry it out on")
        return
    told.say("operation", {name: data})
    try:
        result = _driven(_command_of(name, data), definition, MemoryClient(simulation, wire, told.say), told)
    except Failure as failure:
        if failure.kind in {Kind.STATE, Kind.UNAVAILABLE}:
            told.say("refused", str(failure))
        else:
            told.fail(str(failure))
        return
    told.say("object", {type(result).__name__: result.model_dump(mode="json", exclude_none=True)})


def _driven(body: BusinessObject, definition: Definition, client: MemoryClient, told: Told) -> BusinessObject:
    """Carry out a command as the relay would: again and again until it has an end. Raises Failure."""
    clock = Clock()
    driver = Driver(definition.protocol, definition, client, clock, clock.seconds)
    for attempt in range(ATTEMPTS):
        ended: list[Any] = []
        envelope: Envelope[Any] = Envelope(body, "try", "try", datetime.fromtimestamp(0, UTC), attempt=attempt)
        Deferred.fromCoroutine(driver.perform(envelope)).addBoth(ended.append)
        result = ended[0]
        if isinstance(result, TwistedFailure):
            error = result.value
            if not isinstance(error, TryAgain):
                result.raiseException()
            told.say("again", str(error))
            clock.advance(error.delay or 1.0)
            continue
        made: BusinessObject = result
        return made
    raise Failure(Kind.UNAVAILABLE, f"no end after {ATTEMPTS} attempts")


def _command_of(name: str, data: Mapping[str, Any]) -> BusinessObject:
    if name == "QueryBureau":
        return checked(QueryBureau, data)
    return ResourceCommand(workOrder="try", command=name,
                           parameter=tuple(Characteristic(name=key, value=str(value)) for key, value in data.items()))
