"""The framed listener, asked by a client that makes its frames by hand from the published layout."""

from __future__ import annotations

import re
import struct
from functools import reduce

import pytest_twisted

from tests.adapters.mml.bed import Bed, Peer, pause

async_test = pytest_twisted.ensureDeferred
HEARTBEAT = b"`SC`0004HBHBB7BDB7BD"


def checksum(data: bytes) -> bytes:
    words = struct.unpack(f">{len(data) // 4}I", data)
    return b"%08X" % (reduce(lambda a, b: a ^ b, words) ^ 0xFFFFFFFF)


def frame(body: str, *, session: str = "00000000", transaction: int = 1, dialogue: str = "DLGCON", spoil: bool = False) -> bytes:
    data = body.encode()
    data += b" " * (-len(data) % 4)
    covered = f"1.00internalSRVM    {session:8}{dialogue}0000{transaction:08X}TXBEG 0000".encode() + data
    assert len(covered) == 56 + len(data)
    return b"`SC`%04X" % len(covered) + covered + (b"00000000" if spoil else checksum(covered))


class Answer:
    def __init__(self, whole: bytes) -> None:
        assert whole[:4] == b"`SC`"
        covered = whole[8:-8]
        assert int(whole[4:8], 16) == len(covered)
        assert whole[-8:] == checksum(covered)
        self.session, self.dialogue = covered[20:28].decode(), covered[28:34].decode()
        self.transaction, self.word = covered[38:46].decode(), covered[46:52].decode()
        self.body = covered[56:].decode().rstrip()

    @property
    def retn(self) -> str:
        found = re.match(r"ACK:[^:]*:RETN=(\w+),DESC=\"", self.body)
        assert found, self.body
        return found[1]


async def ask(peer: Peer, body: str, **more: object) -> Answer:
    peer.send(frame(body, **more))  # type: ignore[arg-type]
    return Answer(await peer.frame())


async def log_in(peer: Peer) -> str:
    answer = await ask(peer, 'LOGIN:USER="crm",PSWD="crm-secret"', dialogue="DLGLGN")
    assert answer.body == 'ACK:LOGIN:RETN=0000,DESC="success"'
    assert answer.dialogue == "DLGCON"
    assert re.fullmatch("[0-9A-F]{8}", answer.session)
    assert answer.session != "00000000"
    return answer.session


@async_test
async def test_login_command_and_logout() -> None:
    async with Bed("framed") as bed:
        peer = await bed.peer()
        session = await log_in(peer)
        answer = await ask(peer, 'LST ORDER:ORDERID="PO1"', session=session, transaction=0xABCDEF01)
        assert answer.body.startswith('ACK:LST ORDER:RETN=0000,DESC="success",ID="PO1",')
        assert 'STATE="completed"' in answer.body
        assert (answer.session, answer.transaction, answer.word) == (session, "ABCDEF01", "TXEND ")
        answer = await ask(peer, "LOGOUT", session=session)
        assert (answer.retn, answer.dialogue) == ("0000", "DLGEND")
        assert (await ask(peer, 'LST ORDER:ORDERID="PO1"', session=session)).retn == "1101"


@async_test
async def test_a_wrong_checksum_gets_1001_and_the_session_goes_on() -> None:
    async with Bed("framed") as bed:
        peer = await bed.peer()
        session = await log_in(peer)
        answer = await ask(peer, 'LST ORDER:ORDERID="PO1"', session=session, transaction=7, spoil=True)
        assert (answer.retn, answer.transaction) == ("1001", "00000007")
        assert not bed.core.asked
        assert (await ask(peer, 'LST ORDER:ORDERID="PO1"', session=session)).retn == "0000"


@async_test
async def test_refusals_have_the_same_codes_as_in_text() -> None:
    async with Bed("framed") as bed:
        peer = await bed.peer()
        assert (await ask(peer, 'LST ORDER:ORDERID="PO1"')).retn == "1101"
        assert (await ask(peer, 'LOGIN:USER="crm",PSWD="no"')).retn == "1101"
        session = await log_in(peer)
        for body, code in (("LST ORDER:ORDRID=1", "1002"), ("FLY MOON:A=1", "1003"), ("LST ORDER:=", "1001"),
                           ("LST ORDER:ORDERID=missing", "1202"), ("LST ORDER:ORDERID=broken", "2999")):
            assert (await ask(peer, body, session=session)).retn == code
        assert (await ask(peer, 'LST ORDER:ORDERID="PO1"', session="12345678")).retn == "1101"


@async_test
async def test_a_heartbeat_is_echoed_unchanged_even_while_a_command_waits() -> None:
    async with Bed("framed") as bed:
        peer = await bed.peer()
        peer.send(HEARTBEAT)
        assert await peer.frame() == HEARTBEAT
        session = await log_in(peer)
        peer.send(frame("LST ORDER:ORDERID=slow1", session=session) + HEARTBEAT + HEARTBEAT)
        assert [await peer.frame() for _ in range(2)] == [HEARTBEAT] * 2
        bed.core.slow["slow1"].callback(None)
        assert Answer(await peer.frame()).retn == "0000"


@async_test
async def test_commands_run_side_by_side_up_to_the_window_and_are_answered_in_order() -> None:
    async with Bed("framed", window=3) as bed:
        peer = await bed.peer()
        session = await log_in(peer)
        peer.send(b"".join(frame(f"LST ORDER:ORDERID=slow{n}", session=session, transaction=n) for n in range(1, 5)))
        while len(bed.core.asked) < 3:
            await pause()
        for _ in range(3):
            await pause()
        assert sorted(bed.core.slow) == ["slow1", "slow2", "slow3"]
        bed.core.slow["slow3"].callback(None)
        bed.core.slow["slow2"].callback(None)
        bed.core.slow["slow1"].callback(None)
        assert [Answer(await peer.frame()).transaction for _ in range(3)] == ["00000001", "00000002", "00000003"]
        bed.core.slow["slow4"].callback(None)
        assert Answer(await peer.frame()).transaction == "00000004"


@async_test
async def test_rubbish_between_frames_is_passed_over() -> None:
    async with Bed("framed") as bed:
        peer = await bed.peer()
        session = await log_in(peer)
        peer.send(b"rubbish`S" + frame("LST ORDER:ORDERID=PO1", session=session))
        assert Answer(await peer.frame()).retn == "0000"


@async_test
async def test_an_answer_too_long_for_a_frame_is_a_refusal() -> None:
    async with Bed("framed") as bed:
        peer = await bed.peer()
        session = await log_in(peer)
        items = [{"id": str(n), "action": "add", "quantity": 1, "productOffering": "x" * 64, "state": "completed"} for n in range(1000)]
        bed.core.more = {"productOrderItem": items}
        assert (await ask(peer, "LST ORDER:ORDERID=PO1", session=session)).retn == "2999"
        bed.core.more = {}
        assert (await ask(peer, "LST ORDER:ORDERID=PO1", session=session)).retn == "0000"
