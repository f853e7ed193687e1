"""The text listener on real sockets: every answer of the outside contract, and peers that do not behave."""

from __future__ import annotations

import re

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.adapters.mml.bed import Bed, pause
from tests.adapters.mml.elements import Timers

async_test = pytest_twisted.ensureDeferred


def retcode(answer: str) -> int:
    found = re.search(r"^RETCODE = (\d+)  \S", answer, re.MULTILINE)
    assert found, answer
    return int(found[1])


@async_test
async def test_a_report_looks_as_published() -> None:
    async with Bed() as bed:
        peer = await bed.peer(login=True)
        answer = await peer.ask('LST ORDER:ORDERID="PO1";')
    assert re.match(r"\+\+\+    UIP +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\r\nO&M    #\d+\r\n%%LST ORDER:ORDERID=\"PO1\"%%\r\n"
                    r"RETCODE = 0  Operation succeeded\r\n", answer), answer
    assert "  id  =  PO1\r\n" in answer
    assert answer.endswith("---    END\r\n")


@async_test
@pytest.mark.parametrize(("command", "code"), [
    ("=;", 1001),
    ('LST ORDER:ORDERID="a;', 1001),
    ("LST ORDER:=;", 1001),
    ('LST ORDER:ORDRID="1";', 1002),
    ('ADD ORDER:EXTID="1";', 1002),
    ("FLY MOON:;", 1003),
    ('LST ORDER:ORDERID="missing";', 1202),
    ('LST ORDER:ORDERID="broken";', 2999),
    ('LST ORDER:ORDERID="wrong";', 2999),
])
async def test_every_refusal_has_its_code_and_the_session_goes_on(command: str, code: int) -> None:
    async with Bed() as bed:
        peer = await bed.peer(login=True)
        answer = await peer.ask(command)
        assert retcode(answer) == code
        assert "Traceback" not in answer
        assert retcode(await peer.ask('LST ORDER:ORDERID="PO1";')) == 0


@async_test
@pytest.mark.parametrize(("login", "command", "kind"), [
    (True, "=;", "malformed"), (True, 'LST ORDER:ORDRID="1";', "invalid"), (True, "FLY MOON:;", "unknownOperation"),
    (False, 'LST ORDER:ORDERID="PO1";', "authentication"), (False, 'LGI:OPNAME="crm",PWD="guess";', "authentication"),
])
async def test_what_is_refused_before_it_is_carried_out_is_counted_and_can_be_found(login: bool, command: str, kind: str) -> None:
    async with Bed() as bed:
        peer = await bed.peer(login=login)
        assert "correlationId  =  N" in await peer.ask(command)
        assert bed.refused_as(kind) == 1
        assert bed.core.asked == []


@async_test
async def test_a_refusal_carries_field_and_correlation_id() -> None:
    async with Bed() as bed:
        peer = await bed.peer(login=True)
        assert re.search(r"  correlationId  =  N\d+\r\n", await peer.ask('LST ORDER:ORDERID="missing";'))
        assert re.search(r"  field  =  productOrderItem\[0\].productOffering\r\n", await peer.ask(
            'ADD ORDER:EXTID="1",CUSTID="C",CUSTNAME="Ann";'))


@async_test
async def test_login_logout_and_wrong_passwords() -> None:
    async with Bed() as bed:
        peer = await bed.peer()
        assert retcode(await peer.ask('LST ORDER:ORDERID="PO1";')) == 1101
        assert retcode(await peer.ask('LGI:OPNAME="crm";')) == 1002
        answer = await peer.ask('LGI:OPNAME="crm",PWD="wrong-secret";')
        assert retcode(answer) == 1101
        assert "wrong-secret" not in answer
        assert '%%LGI:OPNAME="crm",PWD=*****%%' in answer
        assert retcode(await peer.ask('LGI:OPNAME="shop",PWD="shop-secret";')) == 0
        assert retcode(await peer.ask('LST ORDER:ORDERID="PO1";')) == 1102
        assert retcode(await peer.ask("LGO:;")) == 0
        assert retcode(await peer.ask('LST ORDER:ORDERID="PO1";')) == 1101
        assert retcode(await peer.ask('LGI:OPNAME="crm",PWD="crm-secret";')) == 0
        assert retcode(await peer.ask('LST ORDER:ORDERID="PO1";')) == 0
        assert len(bed.sessions) == 1


@async_test
async def test_guesses_sent_in_one_go_end_with_the_last_try() -> None:
    async with Bed(max_login_tries=3) as bed:
        peer = await bed.peer()
        peer.send('LGI:OPNAME="crm",PWD="1";' * 3 + 'LGI:OPNAME="crm",PWD="crm-secret";LST ORDER:ORDERID="PO1";')
        assert [retcode(await peer.report()) for _ in range(3)] == [1101] * 3
        await peer.end()
        assert peer.clean
        assert not peer.buffer
        assert not bed.core.asked


@async_test
async def test_too_many_sessions_are_told_so() -> None:
    async with Bed(max_sessions=1) as bed:
        first = await bed.peer(login=True)
        second = await bed.peer()
        assert retcode(await second.report()) == 2001
        await second.end()
        assert second.clean
        assert retcode(await first.ask('LST ORDER:ORDERID="PO1";')) == 0


@async_test
async def test_msgid_is_the_idempotency_key() -> None:
    async with Bed() as bed:
        peer = await bed.peer(login=True)
        assert retcode(await peer.ask('ADD ORDER:EXTID="E1",CUSTID="C",CUSTNAME="Ann",OFFER="o",MSGID="K-7";')) == 0
        assert bed.core.asked[0].idempotency_key == "K-7"
        assert bed.core.asked[0].party == "crm"


@async_test
async def test_pipelined_commands_are_carried_out_one_by_one_in_order() -> None:
    async with Bed() as bed:
        peer = await bed.peer(login=True)
        peer.send('LST ORDER:ORDERID="slow1";LST ORDER:ORDERID="PO2";=;LST ORDER:ORDERID="PO3";')
        while "slow1" not in bed.core.slow:
            await pause()
        assert len(bed.core.asked) == 1
        bed.core.slow["slow1"].callback(None)
        answers = [await peer.report() for _ in range(4)]
        assert [retcode(a) for a in answers] == [0, 0, 1001, 0]
        assert [re.findall(r"  id  =  (\w+)", a) for a in answers] == [["slow1"], ["PO2"], [], ["PO3"]]


@async_test
async def test_a_full_window_stops_reading_from_the_peer() -> None:
    async with Bed(window=4) as bed:
        peer = await bed.peer(login=True)
        (connection,) = bed.listener.connections
        peer.send('LST ORDER:ORDERID="slow1";' + 'LST ORDER:ORDERID="PO2";' * 3)
        while "slow1" not in bed.core.slow:
            await pause()
        for _ in range(3):
            await pause()
        assert connection.transport not in reactor.getReaders()
        peer.send('LST ORDER:ORDERID="PO9";')
        bed.core.slow["slow1"].callback(None)
        assert [retcode(await peer.report()) for _ in range(5)] == [0] * 5


@async_test
async def test_a_peer_that_vanishes_aborts_nothing() -> None:
    async with Bed() as bed:
        peer = await bed.peer(login=True)
        peer.send('ADD ORDER:EXTID="slow1",CUSTID="C",CUSTNAME="Ann",OFFER="o";')
        while "slow1" not in bed.core.slow:
            await pause()
        peer.transport.abortConnection()
        while bed.listener.connections:
            await pause()
        assert len(bed.sessions) == 0
        assert bed.admission.in_flight == 1
        bed.core.slow["slow1"].callback(None)
        await pause()
        assert bed.admission.in_flight == 0


@async_test
async def test_a_peer_that_has_said_all_still_gets_its_answers() -> None:
    async with Bed() as bed:
        peer = await bed.peer()
        peer.send('LGI:OPNAME="crm",PWD="crm-secret";LST ORDER:ORDERID="slow1";')
        peer.transport.loseWriteConnection()
        while "slow1" not in bed.core.slow:
            await pause()
        bed.core.slow["slow1"].callback(None)
        assert [retcode(await peer.report()) for _ in range(2)] == [0, 0]
        await peer.end()
        assert peer.clean


@async_test
async def test_an_oversized_command_is_answered_and_the_connection_closed_cleanly() -> None:
    async with Bed() as bed:
        peer = await bed.peer(login=True)
        other = await bed.peer(login=True)
        peer.send('LST ORDER:ORDERID="' + "9" * 1_000_000)
        assert retcode(await peer.report()) == 1001
        await peer.end()
        assert peer.clean
        assert retcode(await other.ask('LST ORDER:ORDERID="PO1";')) == 0


@async_test
async def test_a_peer_that_does_not_read_is_cut_off_and_others_do_not_notice() -> None:
    timers = Timers()
    async with Bed(on=timers, write_timeout=30) as bed:
        bed.core.more = {"note": "x" * 500}
        peer, other = await bed.peer(login=True), await bed.peer(login=True)
        (connection,) = [c for c in bed.listener.connections if c._peer.endswith(f":{peer.transport.getHost().port}")]
        peer.transport.pauseProducing()
        asked = -1
        while asked != len(bed.core.asked) or not connection._full:
            asked = len(bed.core.asked)
            peer.send('LST ORDER:ORDERID="PO1";' * 500)
            await pause(0.02)
        for _ in range(20):
            await pause()
        assert len(bed.core.asked) == asked
        assert retcode(await other.ask('LST ORDER:ORDERID="PO1";')) == 0
        timers.clock.advance(31)
        while connection in bed.listener.connections:
            await pause()
        peer.transport.resumeProducing()
        await peer.end()
        assert retcode(await other.ask('LST ORDER:ORDERID="PO1";')) == 0


@async_test
@pytest.mark.parametrize(("login", "seconds"), [(False, 31), (True, 901)])
async def test_idle_and_nameless_sessions_end(login: bool, seconds: int) -> None:
    clock = Clock()
    async with Bed(clock=clock) as bed:
        peer = await bed.peer(login=login)
        await pause(0.01)
        clock.advance(seconds - 2)
        bed.sessions.sweep()
        await pause(0.01)
        assert not peer.closed
        clock.advance(2)
        bed.sessions.sweep()
        await peer.end()
        assert peer.clean


@async_test
async def test_drain_answers_what_was_taken_and_then_closes() -> None:
    async with Bed() as bed:
        peer, idle = await bed.peer(login=True), await bed.peer(login=True)
        peer.send('LST ORDER:ORDERID="slow1";')
        while "slow1" not in bed.core.slow:
            await pause()
        drained = Deferred.fromCoroutine(bed.listener.drain())
        await idle.end()
        assert bed.listener.status()["state"] == "draining"
        assert not drained.called
        with pytest.raises(Exception, match="refused"):
            await bed.peer()
        bed.core.slow["slow1"].callback(None)
        assert retcode(await peer.report()) == 0
        await peer.end()
        assert peer.clean
        await drained


@async_test
async def test_status_tells_state_and_address() -> None:
    bed = Bed()
    assert bed.listener.status()["state"] == "stopped"
    async with bed:
        assert bed.listener.status() == {"state": "listening", "address": f"127.0.0.1:{bed.port}", "connections": 0}
