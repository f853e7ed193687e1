"""The listener as an element plays it: logins of every form, prompts, telnet, and how many sessions a user may have."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_twisted

from tests.adapters.mml import bed as beds
from tests.adapters.mml.bed import Bed, Peer, pause
from tests.adapters.mml.elements import Timers

async_test = pytest_twisted.ensureDeferred
LOGIN = 'LGI:OPNAME="crm",PWD="crm-secret";'


def retcode(answer: str) -> int:
    found = re.search(r"^RETCODE = (\d+)  \S", answer, re.MULTILINE)
    assert found, answer
    return int(found[1])


def with_session(monkeypatch: pytest.MonkeyPatch, dialect: str, **session: Any) -> str:
    data = beds.DIALECTS[dialect]
    monkeypatch.setitem(beds.DIALECTS, "changed", {**data, "session": {**data["session"], **session}})
    return "changed"


@async_test
async def test_one_more_login_than_a_user_may_have_is_refused_as_busy() -> None:
    async with Bed(sessions_per_user=1) as bed:
        first, second = await bed.peer(login=True), await bed.peer()
        answer = await second.ask(LOGIN)
        assert retcode(answer) == 2001
        assert "1 sessions already" in answer
        assert retcode(await second.ask('LST ORDER:ORDERID="PO1";')) == 1101
        assert retcode(await second.ask('LGI:OPNAME="shop",PWD="shop-secret";')) == 0
        assert retcode(await first.ask('LST ORDER:ORDERID="PO1";')) == 0
        assert retcode(await first.ask(LOGIN)) == 0, "the same session may log in again"
        first.transport.loseConnection()
        await first.end()
        assert retcode(await second.ask(LOGIN)) == 0


@async_test
async def test_one_more_login_can_replace_the_oldest_session() -> None:
    async with Bed(sessions_per_user=2, another_login="replaces") as bed:
        peers = [await bed.peer(login=True) for _ in range(3)]
        await peers[0].end()
        assert peers[0].clean
        for peer in peers[1:]:
            assert retcode(await peer.ask('LST ORDER:ORDERID="PO1";')) == 0


@async_test
async def test_nobody_is_replaced_by_a_login_with_a_wrong_password() -> None:
    async with Bed(sessions_per_user=1, another_login="replaces") as bed:
        first, second = await bed.peer(login=True), await bed.peer()
        assert retcode(await second.ask('LGI:OPNAME="crm",PWD="guess";')) == 1101
        assert retcode(await first.ask('LST ORDER:ORDERID="PO1";')) == 0


async def said(peer: Peer, text: str) -> str:
    """Wait until the peer has been sent `text`; give all up to there."""
    await peer.until(lambda: text.encode() in peer.buffer)
    before, _, peer.buffer = peer.buffer.partition(text.encode())
    return before.decode("latin-1") + text


@async_test
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n", b"\r\0", b"\r"])
async def test_a_telnet_login_by_prompts_with_any_line_end(line_end: bytes) -> None:
    async with Bed("ericsson-axe") as bed:
        peer = await bed.peer()
        await said(peer, "login:")
        peer.send(b"crm" + line_end)
        await said(peer, "Password:")
        peer.send(b"crm-secret" + line_end)
        await said(peer, "<")
        peer.send("LSTORDER:ORDERID=PO1;\r\n")
        answer = await said(peer, "END\r\n<")
        assert "completed" in answer
        peer.send("EXIT;\r\n")
        await peer.end()
        assert peer.clean


@async_test
async def test_a_telnet_login_in_one_go_and_byte_by_byte() -> None:
    whole = b"\xff\xfd\x03\xff\xfb\x18crm\r\ncrm-secret\r\nLSTORDER:ORDERID=PO1;\r\n"
    async with Bed("ericsson-axe") as bed:
        for chunks in ([whole], [whole[n:n + 1] for n in range(len(whole))]):
            peer = await bed.peer()
            for chunk in chunks:
                peer.send(chunk)
                await pause()
            assert "completed" in await said(peer, "END\r\n<")
            peer.transport.loseConnection()
            await peer.end()


@async_test
async def test_a_failed_telnet_login_asks_again_and_not_for_ever() -> None:
    async with Bed("ericsson-axe", max_login_tries=2) as bed:
        peer = await bed.peer()
        peer.send("crm\r\nguess\r\n")
        assert (await said(peer, "Login incorrect\r\nlogin:")).count("login:") == 2
        peer.send("crm\r\nguess\r\nLSTORDER:ORDERID=PO1;\r\n")
        await peer.end()
        assert not bed.core.asked


@async_test
async def test_a_telnet_login_line_without_end_is_cut_off() -> None:
    async with Bed("ericsson-axe") as bed:
        peer = await bed.peer()
        peer.send(b"x" * 300)
        await peer.end()
        assert peer.clean


@async_test
async def test_greeting_and_prompt_and_what_is_answered_to_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Bed(with_session(monkeypatch, "huawei-text", greeting="Welcome to UIP", prompts=["UIP> "])) as bed:
        peer = await bed.peer()
        assert await said(peer, "UIP> ") == "Welcome to UIP\r\nUIP> "
        for command, code in ((LOGIN, 0), ("FLY MOON:;", 1003), ("=;", 1001)):
            peer.send(command + "\r\n")
            answer = await said(peer, "---    END\r\nUIP> ")
            assert retcode(answer) == code


@async_test
async def test_a_dialects_idle_time_ends_a_silent_session_only(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers()
    async with Bed(with_session(monkeypatch, "huawei-text", idle_timeout=60), on=timers) as bed:
        busy, silent = await bed.peer(login=True), await bed.peer(login=True)
        busy.send('LST ORDER:ORDERID="slow1";')
        while "slow1" not in bed.core.slow:
            await pause()
        timers.clock.advance(61)
        await pause(0.01)
        timers.clock.advance(2)
        await silent.end()
        assert not busy.closed
        bed.core.slow["slow1"].callback(None)
        assert retcode(await busy.report()) == 0


@async_test
async def test_a_long_answer_goes_in_parts_where_the_dialect_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Bed(with_session(monkeypatch, "huawei-text", part_rows=2)) as bed:
        peer = await bed.peer(login=True)
        bed.core.more["productOrderItem"] = [
            {"id": str(n), "action": "add", "quantity": 1, "productOffering": "o", "state": "completed"} for n in range(1, 6)]
        peer.send('LST ORDER:ORDERID="PO1";\r\n')
        parts = [await peer.report() for _ in range(3)]
        assert ["To be continued..." in part for part in parts] == [True, True, False]
        assert [retcode(part) for part in parts] == [0, 0, 0]
        assert "state  =  completed" in parts[0]
        assert [len(re.findall(r"^\d +add ", part, re.MULTILINE)) for part in parts] == [2, 2, 1]
