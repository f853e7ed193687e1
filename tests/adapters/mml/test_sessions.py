"""What a conversation has beside commands and answers, as dialects declare it: logins, parts, signs of life, alarms, many connections."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from adapters.drivers import OutcomeUnknown
from adapters.mml.budget import SLOT_SECONDS, Account, LocalBudget
from protocols.mml import Command, Heartbeat, Report
from tests.adapters.mml.bed import pause
from tests.adapters.mml.elements import Pair, done

async_test = pytest_twisted.ensureDeferred


def quiet_on(*names: str) -> Any:
    return lambda command: None if command.name in names else done(command)


# Logging in.


@async_test
async def test_a_login_carries_the_dialects_extra_parameters() -> None:
    login = {"command": "LGI", "user": "OP", "secret": "PWD", "extra": {"HLRSN": "1"}}
    async with Pair(session={"login": login}) as pair:
        await pair.up()
        assert pair.element.heard[0].parameters == (("OP", "gate"), ("PWD", "very-secret"), ("HLRSN", "1"))


@async_test
async def test_tl1_logs_in_with_the_user_as_access_identifier() -> None:
    login = {"command": "ACT USER", "secret": "1", "access": "user", "tid": "NODE1"}
    async with Pair("tl1", lambda c: done(c, "COMPLD"), session={"login": login}) as pair:
        await pair.up()
        (heard,) = pair.element.heard
        assert (heard.name, heard.tid, heard.aid, dict(heard.parameters)) == ("ACT USER", "NODE1", "gate", {"1": "very-secret"})


@async_test
async def test_commands_that_prepare_a_session_follow_the_login() -> None:
    async with Pair(session={"prepare": ['REG NE:IP="10.0.0.1"', "SET CWSON:SWT=OFF"]}) as pair:
        await pair.up()
        assert [c.name for c in pair.element.heard] == ["LGI", "REG NE", "SET CWSON"]


@async_test
async def test_a_session_that_cannot_be_prepared_is_not_used() -> None:
    async with Pair(script=lambda c: done(c, "5001" if c.name == "REG NE" else "0"), session={"prepare": ["REG NE:IP=1"]}) as pair:
        await pair.until(lambda: pair.client.status()["state"] == "waiting")
        assert "5001" in pair.client.status()["last_error"]


class Terminal:
    """Answers a telnet login; `word` is what it wants to hear."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.lines: list[str] = []

    def __call__(self, data: bytes) -> bytes:
        out = b""
        for line in data.replace(b"\xff\xfd\x01", b"").replace(b"\xff\xfc\x18", b"").split(b"\r\n")[:-1]:
            self.lines.append(line.decode())
            if len(self.lines) == 1:
                out += b"\r\nPassword:"
            elif len(self.lines) == 2:
                out += b"\r\n<" if line.decode() == self.word else b"\r\nLogin incorrect\r\nlogin:"
            else:
                out += line + b"\r\nEXECUTED\r\n\r\n<"
        return out


def telnet_element(pair: Pair, terminal: Terminal) -> list[bytes]:
    """Put a terminal in the element's place. Returns what it hears."""
    heard: list[bytes] = []
    build = pair.element.buildProtocol

    def make(addr: Any) -> Any:
        peer = build(addr)
        made = peer.connectionMade

        def hello() -> None:
            made()
            peer.transport.write(b"\xff\xfb\x01\xff\xfd\x18\r\nWelcome\r\nlogin:")

        def hear(data: bytes) -> None:
            heard.append(data)
            peer.transport.write(terminal(data))

        peer.connectionMade, peer.dataReceived = hello, hear
        return peer

    pair.element.buildProtocol = make  # type: ignore[method-assign]
    return heard


@async_test
async def test_a_telnet_login_answers_prompts_and_options() -> None:
    pair = Pair("ericsson-axe")
    terminal = Terminal("very-secret")
    heard = telnet_element(pair, terminal)
    async with pair:
        await pair.up()
        assert terminal.lines == ["gate", "very-secret"]
        assert b"".join(heard).startswith(b"\xff\xfd\x01\xff\xfc\x18")
        assert (await pair.ask("HGSDC"))["retcode"] == "0"
        assert "very-secret" not in repr(pair.said.calls)


@async_test
async def test_a_telnet_login_that_fails_is_a_refusal() -> None:
    pair = Pair("ericsson-axe", secret="wrong")
    telnet_element(pair, Terminal("very-secret"))
    async with pair:
        await pair.until(lambda: pair.client.status()["state"] == "waiting")
        assert pair.client.status()["last_error"] == "login refused: Login incorrect"


@async_test
async def test_a_peer_that_never_prompts_is_given_up() -> None:
    async with Pair("ericsson-axe", session={"login_timeout": 20}) as pair:
        await pair.until(lambda: pair.element.peers)
        await pause(0.01)
        pair.clock.advance(20)
        await pair.until(lambda: pair.client.status()["state"] == "waiting" and not pair.element.peers)


@async_test
async def test_stopping_in_the_middle_of_a_login_ends_it_for_good() -> None:
    async with Pair(script=lambda c: None) as pair:
        await pair.until(lambda: pair.element.heard)
        await pair.client.stop()
        await pair.until(lambda: not pair.element.peers)
        pair.clock.advance(100)
        await pause(0.01)
        assert pair.client.status()["state"] == "stopped"
        assert pair.element.logins == 1
        assert not pair.clock.getDelayedCalls()


@pytest.mark.parametrize("dialect", ["huawei-text", "framed", "records-xml"])
@async_test
async def test_who_stops_logs_out_so_that_the_peer_frees_the_session(dialect: str) -> None:
    async with Pair(dialect) as pair:
        await pair.up()
        await pair.client.stop()
        await pair.until(lambda: not pair.element.peers)
        last = pair.element.heard[-1]
        assert (last.name, last.session) == (pair.dialect.logout, "" if dialect == "huawei-text" else "0000ABCD")
        assert not pair.clock.getDelayedCalls()


@async_test
async def test_nobody_logs_out_who_has_not_logged_in() -> None:
    async with Pair(user=None, secret=None) as pair:
        await pair.up()
        await pair.client.stop()
        await pair.until(lambda: not pair.element.peers)
        assert pair.element.heard == []


@async_test
async def test_a_peer_that_does_not_read_our_logout_is_cut_off() -> None:
    async with Pair() as pair:
        await pair.up()
        (peer,) = pair.element.peers
        peer.transport.pauseProducing()
        link = pair.client._seats[0].link
        assert link is not None
        link.transport.write(b" " * 4_000_000)
        await pair.client.stop()
        pair.clock.advance(2)
        peer.transport.resumeProducing()
        await pair.until(lambda: not pair.element.peers)


# The budget: slots and lock-outs belong to the account.

ACCOUNT = Account("hlr:7776", "gate", slots=2, attempts=3, lockout=60)


@async_test
async def test_slots_are_bounded_and_given_back() -> None:
    budget = LocalBudget(Clock())
    assert [await budget.take(ACCOUNT) for _ in range(3)] == [0, 0, SLOT_SECONDS]
    await budget.give_back(ACCOUNT)
    assert await budget.take(ACCOUNT) == 0
    assert await budget.take(Account("other:1", "gate", 1, 3, 60)) == 0


@async_test
async def test_lock_outs_grow_until_a_login_succeeds() -> None:
    clock = Clock()
    budget = LocalBudget(clock)
    for _ in range(3):
        assert await budget.take(ACCOUNT) == 0
        await budget.give_back(ACCOUNT)
        await budget.refused(ACCOUNT)
    assert await budget.take(ACCOUNT) == 60
    clock.advance(60)
    assert await budget.take(ACCOUNT) == 0
    await budget.refused(ACCOUNT)
    assert await budget.take(ACCOUNT) == 120
    clock.advance(120)
    await budget.accepted(ACCOUNT)
    await budget.refused(ACCOUNT)
    assert await budget.take(ACCOUNT) == 0


@async_test
async def test_the_guard_stops_logging_in_before_the_account_is_locked() -> None:
    login = {"command": "LGI", "user": "OPNAME", "secret": "PWD", "attempts": 3, "lockout": 600}
    async with Pair(script=lambda c: done(c, "1101"), session={"login": login}, reconnect_from=1, reconnect_to=1) as pair:
        for _ in range(20):
            await pause(0.01)
            pair.clock.advance(1)
        assert pair.element.logins == 3
        assert "lock-out" in pair.client.status()["last_error"]
        pair.element.script = done
        pair.clock.advance(600)
        await pair.up()
        assert pair.element.logins == 4


@async_test
async def test_two_connectors_share_the_slots_of_their_account() -> None:
    clock = Clock()
    budget = LocalBudget(clock)
    async with Pair(budget=budget) as first:
        await first.up()
        second = Pair(budget=budget)
        async with second:
            await second.up()  # another peer: another account
            second.client.peer = first.client.peer
            for seat in second.client._seats:
                assert seat.link is not None
                seat.link.drop("the test moves it to the first one's peer")
            second.clock.advance(1)
            await pause(0.01)
            assert "slot" in second.client.status()["last_error"]
            await first.client.stop()
            second.clock.advance(SLOT_SECONDS)
            await second.up()


# Several connections.


@async_test
async def test_several_connections_share_the_work_and_survive_each_other() -> None:
    async with Pair(script=quiet_on("LST SUB"), sessions=2) as pair:
        await pair.until(lambda: pair.client.status()["sessions"] == 2)
        asked = [pair.ask(N=str(n)) for n in range(3)]
        await pair.until(lambda: len(pair.element.heard) == 4)
        await pause(0.01)
        assert len(pair.element.heard) == 4, "two logins, one command on each connection"
        peers = {dict(heard.parameters).get("N"): peer for heard, peer in zip(pair.element.heard, pair.element.hearers, strict=True)}
        peers["0"].transport.abortConnection()
        with pytest.raises(OutcomeUnknown):
            await asked[0]
        peers["1"].say(done(pair.element.heard[3], N="1"))
        assert (await asked[1])["fields"] == {"N": "1"}
        await pair.until(lambda: len(pair.element.heard) == 5)
        pair.element.hearers[4].say(done(pair.element.heard[4], N="2"))
        assert (await asked[2])["fields"] == {"N": "2"}


@async_test
async def test_commands_that_wait_for_room_go_on_the_next_connection() -> None:
    async with Pair(script=quiet_on("LST SUB")) as pair:
        await pair.up()
        first, second = pair.ask(N="1"), pair.ask(N="2")
        await pair.until(lambda: len(pair.element.heard) == 2)
        pair.element.peers[0].transport.abortConnection()
        with pytest.raises(OutcomeUnknown):
            await first
        pair.element.script = done
        pair.clock.advance(1)
        assert (await second)["retcode"] == "0"
        assert [c.parameters for c in pair.element.heard if c.name == "LST SUB"] == [(("N", "1"),), (("N", "2"),)]


# Answers in parts.

HEAD = "+++    HLR        2003-11-21 08:54:14\r\nO&M    #1\r\n%%LST SUB:;%%\r\nRETCODE = {}  ok\r\n\r\n"
ROWS = "Subs\r\n----\r\nID  NAME\r\n{0}   a{0}\r\n(Number of results = 1)\r\n\r\n"


def part(number: int, *, more: bool, code: str = "0") -> bytes:
    return (HEAD.format(code) + ROWS.format(number) + ("To be continued...\r\n\r\n" if more else "") + "---    END\r\n").encode()


@async_test
async def test_parts_of_an_answer_are_joined_and_each_has_its_own_time() -> None:
    async with Pair(script=quiet_on("LST SUB"), session={"part_timeout": 30}) as pair:
        await pair.up()
        waiting = pair.ask()
        await pair.until(lambda: len(pair.element.heard) == 2)
        pair.clock.advance(4)
        for number in (1, 2):
            pair.element.peers[0].say(part(number, more=True))
            await pause(0.01)
            pair.clock.advance(29)
        pair.element.peers[0].say(part(3, more=False))
        assert [row["ID"] for row in (await waiting)["tables"]["Subs"]] == ["1", "2", "3"]


@async_test
async def test_a_part_that_does_not_come_leaves_the_outcome_unknown() -> None:
    async with Pair(script=quiet_on("LST SUB"), session={"part_timeout": 30}) as pair:
        await pair.up()
        waiting = pair.ask()
        await pair.until(lambda: len(pair.element.heard) == 2)
        pair.element.peers[0].say(part(1, more=True))
        await pause(0.01)
        pair.clock.advance(30)
        with pytest.raises(OutcomeUnknown, match="rest of the answer"):
            await waiting


@async_test
async def test_a_progress_code_is_not_the_answer() -> None:
    async with Pair(script=quiet_on("LST SUB")) as pair:
        await pair.up()
        waiting = pair.ask()
        await pair.until(lambda: len(pair.element.heard) == 2)
        pair.element.peers[0].say(part(1, more=False, code="99999"))
        pair.element.peers[0].say(part(2, more=False))
        reply = await waiting
        assert reply["retcode"] == "0"
        assert [row["ID"] for row in reply["tables"]["Subs"]] == ["1", "2"]


@async_test
async def test_a_text_instead_of_a_report_is_an_answer_too() -> None:
    async with Pair(script=lambda c: b"NE does not Connection\r\n" if c.name == "LST SUB" else done(c)) as pair:
        await pair.up()
        assert (await pair.ask())["retcode"] == "NOCONNECTION"


# Which answer belongs to which command.


@async_test
async def test_an_echo_tells_a_stray_answer_from_the_right_one() -> None:
    async with Pair(script=quiet_on("LST SUB"), session={"correlation": "echo"}) as pair:
        await pair.up()
        waiting = pair.ask()
        await pair.until(lambda: len(pair.element.heard) == 2)
        pair.element.peers[0].say(done(Command("DSP VER"), WHO="stray"))
        pair.element.peers[0].say(done(pair.element.heard[1], WHO="right"))
        assert (await waiting)["fields"] == {"WHO": "right"}
        assert pair.client.alarms == 1


@async_test
async def test_tl1_answers_find_their_askers_by_ctag_and_an_acknowledgement_gains_time() -> None:
    async with Pair("tl1", quiet_on("RTRV ALM"), window=2, session={"part_timeout": 60, "login": {}}) as pair:
        await pair.up()
        first, second = pair.ask("RTRV ALM"), pair.ask("RTRV ALM")
        await pair.until(lambda: len(pair.element.heard) == 2)
        tags = [c.transaction for c in pair.element.heard]
        pair.element.peers[0].say(f"IP {tags[0]}\r\n<".encode())
        pair.element.peers[0].say(done(pair.element.heard[1], "COMPLD"))
        assert (await second)["retcode"] == "COMPLD"
        pair.clock.advance(50)
        pair.element.peers[0].say(done(pair.element.heard[0], "DENY"))
        assert (await first)["retcode"] != "COMPLD"


@async_test
async def test_a_peer_that_answers_with_a_constant_ctag_is_understood_one_at_a_time() -> None:
    async with Pair("tl1", lambda c: Report("COMPLD", transaction="CTAG"), window=2, session={"login": {}}) as pair:
        await pair.up()
        assert (await pair.ask("RTRV ALM"))["retcode"] == "COMPLD"


# Signs of life.


@async_test
async def test_a_keepalive_command_is_sent_after_silence_and_never_while_busy() -> None:
    keepalive = {"send": "command", "command": "DSP VER:", "interval": 20}
    async with Pair(script=quiet_on("LST SUB"), session={"keepalive": keepalive}, timeout=30) as pair:
        await pair.up()
        for _ in range(2):
            pair.clock.advance(20)
            await pause(0.01)
        assert [c.name for c in pair.element.heard] == ["LGI", "DSP VER", "DSP VER"]
        waiting = pair.ask()
        await pair.until(lambda: len(pair.element.heard) == 4)
        pair.clock.advance(20)
        await pause(0.01)
        assert len(pair.element.heard) == 4
        pair.element.peers[0].say(done(pair.element.heard[3]))
        assert (await waiting)["retcode"] == "0"


@async_test
async def test_a_text_peer_that_looks_connected_but_answers_nothing_is_noticed_and_dropped() -> None:
    keepalive = {"send": "command", "command": "DSP VER:", "interval": 20}
    async with Pair(script=quiet_on("DSP VER"), session={"keepalive": keepalive}) as pair:
        await pair.up()
        pair.clock.advance(20)
        await pair.until(lambda: len(pair.element.heard) == 2)
        pair.clock.advance(5)
        await pair.until(lambda: not pair.element.peers)
        assert pair.client.status()["last_error"] == "no answer in time"


@async_test
async def test_a_keepalive_that_finds_the_session_lost_ends_the_connection() -> None:
    keepalive = {"send": "command", "command": "DSP VER:", "interval": 20}
    async with Pair(script=lambda c: done(c, "1101" if c.name == "DSP VER" else "0"), session={"keepalive": keepalive}) as pair:
        await pair.up()
        pair.clock.advance(20)
        await pair.until(lambda: pair.client.status()["state"] == "waiting")
        pair.clock.advance(1)
        await pair.up()
        assert pair.element.logins == 2


@async_test
async def test_no_heartbeat_while_a_command_is_outstanding() -> None:
    async with Pair("framed", quiet_on("LST SUB"), timeout=300, heartbeat=10) as pair:
        await pair.up()
        waiting = pair.ask()
        await pair.until(lambda: len(pair.element.heard) == 2)
        pair.clock.advance(20)
        await pause(0.01)
        assert pair.element.heartbeats == 0
        pair.element.peers[0].say(done(pair.element.heard[1]))
        await waiting


@async_test
async def test_the_peers_own_heartbeat_is_echoed_and_the_echo_of_ours_is_not() -> None:
    async with Pair("framed", heartbeat=10) as pair:
        await pair.up()
        pair.clock.advance(10)
        await pair.until(lambda: pair.element.heartbeats == 1)
        await pause(0.01)
        assert pair.element.heartbeats == 1
        pair.element.answers_heartbeats = False
        pair.element.peers[0].say(b"`SC`0004HBHBB7BDB7BD")
        await pair.until(lambda: pair.element.heartbeats == 2)


# What is said unasked.


@async_test
async def test_autonomous_output_goes_to_the_alarms_with_its_severity() -> None:
    alarm = b"\r\n\n   NODE1 26-11-24 05:30:39\r\n*C 1024 REPT ALM EQPT\r\n   \"CARD-1:CR,LOS,SA\"\r\n;\r\n"
    async with Pair("tl1", lambda c: done(c, "COMPLD"), session={"login": {}}) as pair:
        await pair.up()
        await pair.until(lambda: pair.element.peers)
        pair.element.peers[0].say(alarm)
        await pair.until(lambda: pair.alarms)
        (said,) = pair.alarms
        assert (said.sourceSystemId, said.externalAlarmId, said.perceivedSeverity) == ("hlr", "CARD-1 LOS", "critical")
        assert (await pair.ask("RTRV ALM"))["retcode"] == "COMPLD"


@async_test
async def test_a_secret_that_the_peer_repeats_is_not_logged() -> None:
    async with Pair() as pair:
        await pair.up()
        pair.element.peers[0].say(b"+++    HLR        2003-11-21 08:54:14\r\nEVENT LOGIN gate/very-secret\r\n---    END\r\n")
        await pair.until(lambda: pair.client.alarms)
        assert "very-secret" not in repr(pair.said.calls)
        assert "*****" in repr(pair.said.calls)
        assert pair.alarms == [], "an event is no alarm"
        pair.element.peers[0].say(b"+++    HLR        2003-11-21 08:54:14\r\nALARM 7 Fault Minor HLR 9 Security\r\n"
                                  b" Alarm name = very-secret\r\n---    END\r\n")
        await pair.until(lambda: pair.alarms)
        assert "very-secret" not in repr((pair.alarms, pair.said.calls))


@pytest.mark.parametrize("dialect", ["records-delimited", "records-fixed", "records-json", "records-xml"])
@async_test
async def test_heartbeats_of_records_are_asked_answered_and_missed(dialect: str) -> None:
    async with Pair(dialect) as pair:
        await pair.up()
        for beats in (1, 2, 3, 4, 5):
            pair.clock.advance(30)
            await pair.until(lambda beats=beats: pair.element.heartbeats == beats)
            await pause(0.01)
        (peer,) = pair.element.peers
        peer.transport.write(peer.codec.send(Heartbeat("question")))
        await pair.until(lambda: pair.client._seats[0].link._beats == 0)
        pair.element.answers_heartbeats = False
        for _ in range(5):
            pair.clock.advance(30)
            await pause(0.01)
        await pair.until(lambda: not pair.element.peers)
        assert "no sign of life" in pair.client.status()["last_error"]
