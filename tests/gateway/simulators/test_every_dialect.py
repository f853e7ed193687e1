"""One protocol file drives and plays the same element in every bundled dialect, with the real connector and the real driver."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_twisted
import structlog
import yaml
from structlog.testing import CapturingLogger
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from adapters.mml import adapter
from config.loader import BUNDLED
from core.messages.base import Characteristic
from core.messages.catalogue import Catalogue
from core.provisioning.objects import ResourceCommand, ResourceCommandResult
from gateway.simulators import Simulated
from gateway.simulators.files import read_protocol
from gateway.simulators.trying import Trial
from plugins.api import Connector, Envelope, Failure, Kind, Surroundings, TryAgain
from protocols.mapping import Habit
from protocols.mml import Dialect

DIALECTS: dict[str, Any] = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((BUNDLED / "dialects").glob("*.yaml"))}
HLR = (BUNDLED / "demo/protocols/hlr.yaml").read_text()


def hlr_in(dialect: str) -> dict[str, Any]:
    """The demo's HLR as it would be written for another dialect: its words joined where commands are one word, its own success."""
    text = HLR
    declared = Dialect.load(DIALECTS[dialect])
    if declared.command.max_words == 1:
        for verb in ("ADD", "RMV", "LST", "MOD", "ACT", "DEA"):
            text = text.replace(f"{verb} SUB", f"{verb}SUB")
        for name in ("TPLSERV", "SS", "GPRS"):
            text = text.replace(f"MOD {name}", f"MOD{name}")
    data: dict[str, Any] = yaml.safe_load(text)
    data["dialect"] = dialect
    data["results"]["classes"]["success"] = list({*declared.results.success, "0"})
    data["simulator"]["answers"] = {"success": {"code": declared.results.ok, "text": "Operation succeeded"}}
    return data


class Pair:
    """The simulated element and the connector that drives it."""

    def __init__(self, dialect: str, folder: Path, *faults: str, secret: str = "uip-secret", timeout: float = 2) -> None:
        data = {**hlr_in(dialect), "timeout": timeout}
        file = folder / "hlr.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        self.simulated = Simulated(str(file), [Habit.parse(fault) for fault in faults])
        port = int(self.simulated.listen(reactor, port=0).rpartition(":")[2])
        self.log = CapturingLogger()
        around = Surroundings(reactor=reactor, site=folder, catalogue=Catalogue([]), dialects=DIALECTS, protocols={"hlr": data},
                              log=structlog.wrap_logger(self.log, processors=[]))
        settings = adapter.connector_settings.model_validate({"protocol": "hlr", "port": port, "user": "uip", "secret": secret,
                                                              "reconnect_from": 0.01, "reconnect_to": 0.05})
        self.connector: Connector = adapter.connector("hlr", settings, around)

    async def __aenter__(self) -> Self:
        await self.connector.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connector.stop()
        await self.simulated.stop()

    async def carried_out(self, command: str, **parameters: str) -> ResourceCommandResult:
        """Deliver a command until it has an end."""
        body = ResourceCommand(workOrder="w", command=command,
                               parameter=tuple(Characteristic(name=n, value=v) for n, v in parameters.items()))
        for attempt in range(200):
            try:
                return await self.connector.perform(Envelope(body, "m", "c", datetime.now(UTC), attempt=attempt))
            except TryAgain:
                pause: Deferred[None] = Deferred()
                reactor.callLater(0.01, pause.callback, None)
                await pause
        raise AssertionError((self.connector.status(), self.log.calls[-5:]))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest_twisted.ensureDeferred
async def test_a_subscriber_is_made_once_whatever_happens_to_the_connection(dialect: str, tmp_path: Path) -> None:
    async with Pair(dialect, tmp_path) as pair:
        imsi = "240010000000333"
        await pair.carried_out("createSubscriber", imsi=imsi, msisdn="4790000001")
        await pair.carried_out("setTeleservices", imsi=imsi, profile="basic")
        await pair.carried_out("setSupplementaryServices", imsi=imsi, profile="standard")
        result = await pair.carried_out("activateSubscriber", imsi=imsi)
        assert result.done
        assert pair.simulated.simulation.records() == {imsi: {
            "IMSI": imsi, "ISDN": "4790000001", "STATE": "ACTIVE", "TPLTS": "basic", "TPLSS": "standard"}}
        assert pair.simulated.simulation.applied == 4


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest_twisted.ensureDeferred
async def test_busy_and_refused_are_understood(dialect: str, tmp_path: Path) -> None:
    async with Pair(dialect, tmp_path) as pair:
        await pair.carried_out("createSubscriber", imsi="240010000000555", msisdn="4790000001")
        with pytest.raises(Failure) as caught:
            await pair.carried_out("createSubscriber", imsi="240010000000666", msisdn="4790000001")
        assert (caught.value.kind, "4001" in caught.value.message) == (Kind.STATE, True)
        assert (await pair.carried_out("removeSubscriber", imsi="240010000000555")).done
        assert (await pair.carried_out("removeSubscriber", imsi="240010000000555")).done
        assert pair.simulated.simulation.applied == 2


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest_twisted.ensureDeferred
async def test_garbage_and_half_answers_apply_nothing_twice(dialect: str, tmp_path: Path) -> None:
    async with Pair(dialect, tmp_path, "half:times=1:match=1111", "garbage:times=1:match=2222", timeout=0.2) as pair:
        for imsi in ("240010000001111", "240010000002222"):
            await pair.carried_out("createSubscriber", imsi=imsi, msisdn="4790000001")
        assert pair.simulated.simulation.applied == 2


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest_twisted.ensureDeferred
async def test_a_wrong_password_lets_nobody_in(dialect: str, tmp_path: Path) -> None:
    async with Pair(dialect, tmp_path, secret="wrong-one") as pair:
        for _ in range(200):
            pause: Deferred[None] = Deferred()
            reactor.callLater(0.01, pause.callback, None)
            await pause
            if pair.connector.status()["last_error"]:
                break
        with pytest.raises(TryAgain):
            await pair.connector.perform(Envelope(ResourceCommand(workOrder="w", command="activateSubscriber", parameter=(
                Characteristic(name="imsi", value="240010000000001"),)), "m", "c", datetime.now(UTC)))
        assert pair.connector.status()["state"] != "up"
        assert "wrong-one" not in repr(pair.log.calls)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_is_tried_without_a_socket(dialect: str, tmp_path: Path) -> None:
    file = tmp_path / "hlr.yaml"
    file.write_text(yaml.safe_dump(hlr_in(dialect), sort_keys=False))
    for ending, told in (("001", "done: true"), ("444", "again: hlr does not answer"), ("666", "refused: state: 4001")):
        sample = {"operation": "createSubscriber", "data": {"imsi": f"240010000000{ending}", "msisdn": "4790000001"}}
        trial = Trial(*read_protocol(str(file))).run(json.dumps(sample).encode())
        assert not trial.failed, trial.told
        assert told in trial.told
