"""The MML simulator on real sockets, spoken to with the client codec."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import yaml
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol

from config.documents import SiteError
from config.loader import BUNDLED
from gateway.simulators import Simulated
from protocols.mapping import Habit
from protocols.mml import Command, Dialect, Heartbeat, Malformed, MmlClientCodec, Report


def dialect(name: str) -> Dialect:
    return Dialect.load(yaml.safe_load((BUNDLED / "dialects" / f"{name}.yaml").read_text()))


class Peer(Protocol):
    """A client that hands out what arrives, one at a time."""

    def __init__(self, speaks: Dialect) -> None:
        self.codec = MmlClientCodec(speaks)
        self.events: list[Any] = []
        self.raw = b""
        self.lost = False
        self.waiting: Deferred[None] | None = None

    def dataReceived(self, data: bytes) -> None:
        self.raw += data
        self.events += self.codec.receive_data(data)
        self.wake()

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True
        self.wake()

    def wake(self) -> None:
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(None)

    async def until(self, is_so: Any) -> None:
        while not is_so():
            self.waiting = Deferred()
            await self.waiting

    async def ask(self, name: str, **more: str) -> Any:
        return await self.say(Command(name, tuple(more.items())))

    async def say(self, command: Command | Heartbeat) -> Any:
        self.transport.write(self.codec.send(command))
        await self.until(lambda: self.events or self.lost)
        return self.events.pop(0) if self.events else "lost"


class Bed:
    """A simulator and its peers, all closed at the end."""

    def __init__(self) -> None:
        self.report = io.StringIO()
        self.simulated: list[Simulated] = []
        self.peers: list[Peer] = []

    async def peer(self, name: str, *faults: str, speaks: str = "huawei-text", login: bool = True) -> Peer:
        simulated = Simulated(name, [Habit.parse(f) for f in faults], self.report)
        self.simulated.append(simulated)
        self.port = int(simulated.listen(reactor, port=0).rpartition(":")[2])
        return await self.another(speaks, login=login)

    async def another(self, speaks: str = "huawei-text", *, login: bool = True) -> Peer:
        peer = await HostnameEndpoint(reactor, "127.0.0.1", self.port).connect(Factory.forProtocol(lambda: Peer(dialect(speaks))))
        self.peers.append(peer)
        if login:
            assert (await peer.ask("LGI", OPNAME="uip", PWD="uip-secret")).retcode == "0"
        return peer

    async def close(self) -> None:
        for simulated in self.simulated:
            await simulated.stop()
        for peer in self.peers:
            peer.transport.loseConnection()
            await peer.until(lambda peer=peer: peer.lost)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.report.getvalue().splitlines()]


@pytest.fixture
def bed() -> Any:
    made = Bed()
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.close()))


@pytest_twisted.ensureDeferred
async def test_a_subscriber_is_made_and_the_report_tells_it(bed: Bed) -> None:
    hlr = await bed.peer("hlr")
    made = await hlr.ask("ADD SUB", IMSI="240010000000001", ISDN="4790000001")
    assert (made.retcode, made.source) == ("0", "HLR9820")
    shown = await hlr.ask("LST SUB", IMSI="240010000000001")
    assert shown.fields == {"IMSI": "240010000000001", "ISDN": "4790000001", "STATE": "INACTIVE"}
    (line,) = bed.lines()
    assert (line["simulator"], line["command"], line["fields"]["IMSI"]) == ("hlr", "ADD SUB", "240010000000001")


@pytest_twisted.ensureDeferred
async def test_without_login_nothing_is_done_and_the_password_is_not_echoed(bed: Bed) -> None:
    hlr = await bed.peer("hlr", login=False)
    assert (await hlr.ask("ADD SUB", IMSI="240010000000001", ISDN="4790000001")).retcode == "1101"
    assert (await hlr.ask("LGI", OPNAME="uip", PWD="guessed-wrong")).retcode == "1102"
    assert b"guessed-wrong" not in hlr.raw
    assert bed.lines() == []


@pytest_twisted.ensureDeferred
async def test_a_broken_connection_is_as_if_before_or_after(bed: Bed) -> None:
    hlr = await bed.peer("hlr")
    assert await hlr.ask("ADD SUB", IMSI="240010000000333", ISDN="4790000001") == "lost"
    again = await bed.another()
    assert bed.lines() == []
    assert (await again.ask("ADD SUB", IMSI="240010000000333", ISDN="4790000001")).retcode == "0"
    assert await again.ask("ACT SUB", IMSI="240010000000333") == "lost"
    assert [line["command"] for line in bed.lines()] == ["ADD SUB", "ACT SUB"]


@pytest_twisted.ensureDeferred
async def test_half_a_reply_and_then_the_end(bed: Bed) -> None:
    hlr = await bed.peer("hlr", "half")
    hlr.raw = b""
    assert await hlr.ask("LST SUB", IMSI="1") == "lost"
    assert hlr.raw.startswith(b"+++")
    assert b"END" not in hlr.raw


@pytest_twisted.ensureDeferred
async def test_garbage_is_no_message_and_the_connection_stays(bed: Bed) -> None:
    hlr = await bed.peer("hlr", "garbage:times=1")
    hlr.raw = b""
    hlr.transport.write(hlr.codec.send(Command("LST SUB", (("IMSI", "1"),))))
    await hlr.until(lambda: b"GARBAGE" in hlr.raw)
    assert (await hlr.ask("LST SUB", IMSI="1")).retcode == "3001"


@pytest_twisted.ensureDeferred
async def test_answers_keep_their_order_when_one_is_late(bed: Bed) -> None:
    hlr = await bed.peer("hlr", "delay=0.02:times=1")
    asked = reactor.seconds()
    for imsi in ("1", "2", "3"):
        hlr.transport.write(hlr.codec.send(Command("LST SUB", (("IMSI", imsi),))))
    await hlr.until(lambda: len(hlr.events) == 3)
    assert reactor.seconds() - asked >= 0.02
    assert [report.command for report in hlr.events] == [f"LST SUB:IMSI={n}" for n in (1, 2, 3)]


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_read_is_answered(bed: Bed) -> None:
    hlr = await bed.peer("hlr")
    hlr.transport.write(b"ADD SUB:IMSI==;")
    await hlr.until(lambda: hlr.events)
    assert hlr.events.pop().retcode == "1001"
    assert (await hlr.ask("FLY MOON")).retcode == "1003"


@pytest_twisted.ensureDeferred
async def test_the_same_file_in_frames(bed: Bed, tmp_path: Path) -> None:
    data = yaml.safe_load((BUNDLED / "demo/protocols/hlr.yaml").read_text())
    file = tmp_path / "hlr-framed.yaml"
    file.write_text(yaml.safe_dump({**data, "dialect": "framed"}))
    hlr = await bed.peer(str(file), speaks="framed", login=False)
    login = await hlr.say(Command("LOGIN", (("USER", "uip"), ("PSWD", "uip-secret")), transaction="00000001", dialogue="DLGLGN"))
    assert isinstance(login, Report)
    assert login.retcode == "0"
    assert login.session
    said = Command("ADD SUB", (("IMSI", "240010000000001"), ("ISDN", "4790000001")), session=login.session, transaction="0000002A")
    answer = await hlr.say(said)
    assert (answer.retcode, answer.session, answer.transaction) == ("0", login.session, "0000002A")
    assert await hlr.say(Heartbeat()) == Heartbeat()
    broken = bytearray(hlr.codec.send(said))
    broken[-1] ^= 1
    hlr.transport.write(bytes(broken))
    await hlr.until(lambda: hlr.events)
    assert (hlr.events[0].retcode, hlr.events[0].transaction) == ("1001", "0000002A")
    assert not any(isinstance(event, Malformed) for event in hlr.events)


@pytest.mark.parametrize(("name", "told"), [("hlrr", "did you mean hlr"), ("nowhere.yaml", "cannot be read")])
def test_a_wrong_name_is_answered_with_the_right_one(name: str, told: str) -> None:
    with pytest.raises(SiteError, match=told):
        Simulated(name)


def test_a_file_without_a_simulator_or_with_mistakes_is_refused_with_its_line(tmp_path: Path) -> None:
    data = yaml.safe_load((BUNDLED / "demo/protocols/hlr.yaml").read_text())
    simulator = data.pop("simulator")
    file = tmp_path / "plain.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(SiteError, match="no `simulator:` section"):
        Simulated(str(file))
    simulator["commands"]["ADD SUB"]["does"] = "creat"
    file.write_text(yaml.safe_dump({**data, "simulator": simulator}, sort_keys=False))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "creat" in text and "does:" in text)
    with pytest.raises(SiteError) as caught:
        Simulated(str(file))
    assert [(p.line, p.path) for p in caught.value.problems] == [(line, "simulator.commands.ADD SUB.does")]




@pytest_twisted.ensureDeferred
async def test_an_answer_that_the_dialect_cannot_say_is_told_and_the_session_goes_on(bed: Bed, tmp_path: Path) -> None:
    data = yaml.safe_load((BUNDLED / "demo/protocols/hlr.yaml").read_text())
    data["simulator"]["commands"]["FLY SUB"] = {"does": "answer", "answers": {"success": {"code": "no code"}}}
    file = tmp_path / "hlr.yaml"
    file.write_text(yaml.safe_dump(data))
    hlr = await bed.peer(str(file))
    answer = await hlr.ask("FLY SUB")
    assert (answer.retcode, "cannot be said" in answer.description) == ("1001", True)
    assert (await hlr.ask("LST SUB", IMSI="1")).retcode == "3001"


@pytest_twisted.ensureDeferred
async def test_alarms_are_said_to_who_has_logged_in_once_a_connection(bed: Bed) -> None:
    simulated = Simulated("hlr", report=bed.report, alarms=[("link-failure", 0.0), ("link-restored", 0.0)])
    bed.simulated.append(simulated)
    bed.port = int(simulated.listen(reactor, port=0).rpartition(":")[2])
    peer = await bed.another()
    await peer.until(lambda: len(peer.events) == 2)
    raised, cleared = (told for event in peer.events for told, _ in dialect("huawei-text").alarms.read(event))
    assert (raised["externalAlarmId"], raised["perceivedSeverity"]) == ("3302", "critical")
    assert (cleared["externalAlarmId"], cleared["perceivedSeverity"]) == ("3302", "cleared")
    assert raised["alarmReportingTime"].year >= 2026
    peer.events.clear()
    assert (await peer.ask("LGI", OPNAME="uip", PWD="uip-secret")).retcode == "0"
    assert (await peer.ask("LST SUB", IMSI="240010000000001")).retcode == "3001", "nothing is said again"


def test_an_alarm_that_the_file_has_not_is_answered_with_the_nearest() -> None:
    with pytest.raises(SiteError, match="did you mean link-failure"):
        Simulated("hlr", alarms=[("link-failur", 0.0)])
