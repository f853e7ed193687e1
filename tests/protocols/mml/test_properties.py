"""For every dialect: what is packed is parsed, the stream may be split anywhere, and nothing can make a codec fail."""

from __future__ import annotations

import functools
import operator
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml import Command, ListValue, Malformed, MmlClientCodec, MmlServerCodec, Prompt, Report
from protocols.mml.frames import checksum
from tests.protocols.mml.speaking import DIALECTS, VECTORS, commands, fed, pieces, reports, shape

SETTINGS = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
CUTS = st.lists(st.integers(0, 1 << 16), max_size=8)


@pytest.mark.parametrize("name", DIALECTS)
@SETTINGS
@given(data=st.data(), cuts=CUTS)
def test_a_command_comes_back_as_it_was(name: str, data: st.DataObject, cuts: list[int]) -> None:
    said = data.draw(st.lists(commands(name), min_size=1, max_size=3))
    client = MmlClientCodec(DIALECTS[name])
    wire = b"".join(map(client.send, said))
    heard = fed(MmlServerCodec(DIALECTS[name]), pieces(wire, cuts))
    assert heard == said
    for one, other in zip(heard, said, strict=True):
        assert [v.items for _, v in one.parameters if isinstance(v, ListValue)] == [
            v.items for _, v in other.parameters if isinstance(v, ListValue)]


@pytest.mark.parametrize("name", DIALECTS)
@SETTINGS
@given(data=st.data(), cuts=CUTS)
def test_a_report_comes_back_as_it_was(name: str, data: st.DataObject, cuts: list[int]) -> None:
    said = data.draw(st.lists(reports(name), min_size=1, max_size=3))
    server = MmlServerCodec(DIALECTS[name])
    wire = b"".join(map(server.send, said))
    heard = fed(MmlClientCodec(DIALECTS[name]), pieces(wire, cuts))
    assert [e for e in heard if not isinstance(e, Prompt)] == said


@pytest.mark.parametrize("path", sorted(VECTORS.iterdir()), ids=lambda p: p.name)
def test_a_transcript_may_be_split_anywhere(path: Any) -> None:
    name, side = path.name.split(".")[:2]
    make = MmlClientCodec if side == "client" else MmlServerCodec
    data = path.read_bytes()
    whole = [shape(e) for e in make(DIALECTS[name]).receive_data(data)]
    assert whole
    assert not any("Malformed" in str(e) for e in whole)
    assert [shape(e) for e in fed(make(DIALECTS[name]), [data[n:n + 1] for n in range(len(data))])] == whole
    for seed in range(25):
        cuts = random.Random(seed).choices(range(len(data)), k=seed % 7 + 1)
        assert [shape(e) for e in fed(make(DIALECTS[name]), pieces(data, cuts))] == whole


def _noise() -> st.SearchStrategy[bytes]:
    vectors = b"".join(path.read_bytes() for path in sorted(VECTORS.iterdir()))
    marks = [b"`SC`", b"`SC`0004HBHBB7BDB7BD", b"---    END", b"\r\n", b";", b">", b"<", b"%%", b"/*", b"*/", b'"', b"\\", b"RETCODE = ",
             b"ACK:", b"RESP:",
             b"M  1 COMPLD", b"+++ ", b"COMMAND EXECUTED\r\n", b"END\r\n", b":", b",", b"=", b"&&", b"\x81", b"\xff", b"0", b"FDE8"]
    parts = st.integers(0, len(vectors) - 200).flatmap(lambda at: st.integers(1, 200).map(lambda n: vectors[at:at + n]))
    return st.lists(st.one_of(st.sampled_from(marks), parts, st.binary(max_size=20)), max_size=25).map(b"".join)


@pytest.mark.parametrize("side", [MmlServerCodec, MmlClientCodec])
@pytest.mark.parametrize("name", DIALECTS)
@settings(SETTINGS, max_examples=50)
@given(data=_noise(), cuts=CUTS)
@example(data=b"`SC`FDE8" * 20, cuts=[])
@example(data=b'"' * 50 + b";", cuts=[])
@example(data=b"<" * 20 + b"ENTER USERNAME <\n", cuts=[3, 5])
def test_noise_makes_no_codec_fail_and_is_heard_the_same_however_it_comes(side: Any, name: str, data: bytes, cuts: list[int]) -> None:
    whole = side(DIALECTS[name]).receive_data(data)
    assert [shape(e) for e in fed(side(DIALECTS[name]), pieces(data, cuts))] == [shape(e) for e in whole]


def _lines() -> st.SearchStrategy[bytes]:
    said = [line for path in sorted(VECTORS.iterdir()) if path.suffix == ".txt" for line in path.read_bytes().splitlines()]
    marks = [b"", b"(Number of results = 0)", b"----", b"---  ----", b"END", b"COMMAND EXECUTED", b"---    END", b";", b"(a = 3)"]
    return st.lists(st.one_of(st.sampled_from(said), st.sampled_from(marks)), max_size=40).map(lambda lines: b"\r\n".join([*lines, b""]))


@pytest.mark.parametrize("name", DIALECTS)
@settings(SETTINGS, max_examples=100)
@given(data=_lines())
@example(data=b"DATA\r\nSUD\r\nA-1   B-2\r\n\r\nLIST\r\n----\r\n(Number = 0)\r\n\r\nC-3   D-4\r\nE-5   F-6\r\nEND\r\n")
def test_lines_of_answers_in_any_order_make_no_codec_fail(name: str, data: bytes) -> None:
    MmlClientCodec(DIALECTS[name]).receive_data(data)


@pytest.mark.parametrize("side", [MmlServerCodec, MmlClientCodec])
@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("filler", [b"A", b'"', b"/*", b"+++\n", b" ", b"\n", b"`SC`FDE8", b"`SC`", b"LST X:A=\"", b"\x81", b"- ", b"((="])
def test_an_endless_message_takes_bounded_memory(side: Any, name: str, filler: bytes) -> None:
    dialect = DIALECTS[name].model_copy(update={"max_bytes": 4096})
    codec = side(dialect)
    for _ in range(40):
        codec.receive_data(filler * (512 // len(filler)))
        held = [getattr(getattr(codec, a, None), "_held", b"") for a in ("_frames", "_texts", "_cutter")]
        assert sum(map(len, held)) <= 4096 + 512 + 64


@pytest.mark.parametrize("name", DIALECTS)
@SETTINGS
@given(words=st.text(max_size=12), key=st.text(max_size=8), value=st.text(max_size=20), ids=st.text(max_size=10))
@example(words="LST SUB", key="A", value='x";RMV SUB:A="1', ids="1")
@example(words="LST SUB", key="A", value="x;\r\nRMV SUB:A=1", ids="1")
@example(words="LST SUB;RMV SUB", key="A", value="1", ids="1")
@example(words="LST SUB", key="A=1,B", value="1", ids="1")
@example(words="HGSDC", key="A", value="1\x85END", ids="1;X")
def test_a_command_is_sent_whole_or_not_at_all(name: str, words: str, key: str, value: str, ids: str) -> None:
    said = Command(words, ((key, value),), session=ids, transaction=ids, tid=ids, aid=ids)
    try:
        wire = MmlClientCodec(DIALECTS[name]).send(said)
    except LocalProtocolError:
        return
    heard = MmlServerCodec(DIALECTS[name]).receive_data(wire)
    assert len(heard) == 1
    (command,) = heard
    assert isinstance(command, Command)
    assert command.parameters in (((key.upper(), value),), ((key, value),), ()) or name == "tl1"
    assert [v for _, v in command.parameters if v] == ([value] if value else [])


@pytest.mark.parametrize("name", DIALECTS)
@SETTINGS
@given(data=st.data())
def test_a_report_never_ends_early_whatever_it_holds(name: str, data: st.DataObject) -> None:
    evil = st.one_of(st.text(max_size=20), st.sampled_from(
        ["---    END", "--- END", ";", ">", "<", "END", "COMMAND EXECUTED", "EXECUTED", "RETCODE = 0", "M  1 COMPLD", "To be continued...",
         "x\r\n---    END\r\ny", 'a";b', "NE does not Connection",
         "root > ", "Enter command: ", "`SC`0004HBHBB7BDB7BD", "*/", "ACK:X:RETN=0"]))
    rows = data.draw(st.lists(st.fixed_dictionaries({"A": evil, "B": evil}), min_size=2, max_size=3))
    said = Report("1301", data.draw(evil), {"X": data.draw(evil), "Y": "1"}, (("T", tuple(rows)), (data.draw(evil), tuple(rows))),
                  data.draw(evil), session="1", transaction="7", source="NE", time="2026-01-01 00:00:00")
    wire = MmlServerCodec(DIALECTS[name]).send(said)
    heard = MmlClientCodec(DIALECTS[name]).receive_data(wire + wire)
    answers = [e for e in heard if not isinstance(e, Prompt)]
    assert not any(isinstance(e, Malformed) for e in answers)
    assert len(answers) == 2
    assert [e.retcode for e in answers] == ["1301"] * 2


@settings(max_examples=600, deadline=None)
@given(body=st.lists(st.sampled_from(["A", "B_1", "a", "=", ",", '"', "\\", " ", "1", "x y", ";", "&", "PWD", ":", '="1,2"', "=1,", "中"]),
                     max_size=12).map("".join))
@example(body='aA=1,B="2,3"')
@example(body='A="x,B="y"')
@example(body='A="1,2",a B=3')
@example(body="A=1 B=2,C=3")
@example(body="A=1,")
def test_what_is_read_in_one_go_is_read_as_parameter_by_parameter(body: str) -> None:
    language = MmlServerCodec(DIALECTS["huawei-text"])._language

    def read(how: Any) -> Any:
        try:
            return how()
        except RemoteProtocolError as error:
            return str(error)

    text = f"NEW ORDER:{body}"
    assert read(lambda: language.parse(text)) == read(lambda: language._parse_liberally(text, "NEW ORDER", 10, frozenset({"PWD"})))


@SETTINGS
@given(data=st.binary(max_size=64), times=st.integers(0, 40))
def test_the_checksum_is_that_of_all_words(data: bytes, times: int) -> None:
    covered = data * times
    words = [int.from_bytes(covered[at:at + 4].ljust(4, b"\0"), "big") for at in range(0, len(covered), 4)]
    assert checksum(covered) == b"%08X" % (functools.reduce(operator.xor, words, 0) ^ 0xFFFFFFFF)
