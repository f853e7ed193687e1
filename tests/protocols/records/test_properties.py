"""For every form of records: what is packed is parsed, the stream may be split anywhere, and nothing can make a codec fail."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protocols.base import LocalProtocolError
from protocols.mml import Command, Malformed, Nested, Report
from protocols.records import RecordClientCodec, RecordServerCodec
from tests.protocols.mml.speaking import fed, pieces, shape
from tests.protocols.records.speaking import RECORDS, commands, reports

SETTINGS = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
CUTS = st.lists(st.integers(0, 1 << 16), max_size=8)


def parts(message: Command | Report) -> Any:
    """What texts do not show: the parts of nested values."""
    values = message.fields.items() if isinstance(message, Report) else message.parameters
    return [value.value for _, value in values if isinstance(value, Nested)]


@pytest.mark.parametrize("name", RECORDS)
@SETTINGS
@given(data=st.data(), cuts=CUTS)
def test_a_command_comes_back_as_it_was(name: str, data: st.DataObject, cuts: list[int]) -> None:
    said = data.draw(st.lists(commands(RECORDS[name]), min_size=1, max_size=3))
    client = RecordClientCodec(RECORDS[name])
    wire = b"".join(map(client.send, said))
    heard = fed(RecordServerCodec(RECORDS[name]), pieces(wire, cuts))
    assert heard == said
    assert list(map(parts, heard)) == list(map(parts, said))


@pytest.mark.parametrize("name", RECORDS)
@SETTINGS
@given(data=st.data(), cuts=CUTS)
def test_an_answer_comes_back_as_it_was(name: str, data: st.DataObject, cuts: list[int]) -> None:
    said = data.draw(st.lists(reports(RECORDS[name]), min_size=1, max_size=3))
    server = RecordServerCodec(RECORDS[name])
    wire = b"".join(map(server.send, said))
    heard = fed(RecordClientCodec(RECORDS[name]), pieces(wire, cuts))
    assert heard == said
    assert list(map(parts, heard)) == list(map(parts, said))


def _noise() -> st.SearchStrategy[bytes]:
    marks = [b"\n", b"\r\n", b"|", b"\\", b'"', b"'", b"=", b"~|~", b"\t", b";", b"\x02", b"\x03", b"<<", b">>", b"<", b">", b"/>", b"</",
             b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?xml?>", b"<!DOCTYPE a>", b"<a>", b"</a>", b"<LSTSUB ref='1'>", b"{", b"}", b"[[[[",
             b",",             b'{"command":"A","id":"1"}',
             b"KIND|ID", b"KIND\tID\tCODE\tTEXT\tA\tB\tC", b"LST SUB|1|2", b"LST SUB         ", b"PING", b"0004",
             b"\x00\x10", b"\xff\xff", b"00007", b"&#13;", b"&x;", b"\xef\xbb\xbf", b"\x00", b" ", b"NaN", b"1e999999999", b"\xed\xa0\x80"]
    return st.lists(st.one_of(st.sampled_from(marks), st.binary(max_size=12)), max_size=30).map(b"".join)


@pytest.mark.parametrize("side", [RecordServerCodec, RecordClientCodec])
@pytest.mark.parametrize("name", RECORDS)
@settings(SETTINGS, max_examples=40)
@given(data=_noise(), cuts=CUTS)
@example(data=b"[" * 3000 + b"\n", cuts=[])
@example(data=b'{"a":' * 80 + b"1" + b"}" * 80 + b"\n", cuts=[])
@example(data=b"<a>" * 80 + b"</a>" * 80, cuts=[])
@example(data=b'{"command":"\xed\xa0\x80","id":"1"}\n{"command":"\\ud800"}\n', cuts=[3])
@example(data=b'{"command":"A","n":1e99999,"m":' + b"9" * 5000 + b"}\n", cuts=[])
def test_noise_makes_no_codec_fail_and_is_heard_the_same_however_it_comes(side: Any, name: str, data: bytes, cuts: list[int]) -> None:
    whole = side(RECORDS[name]).receive_data(data)
    assert [shape(e) for e in fed(side(RECORDS[name]), pieces(data, cuts))] == [shape(e) for e in whole]


@pytest.mark.parametrize("side", [RecordServerCodec, RecordClientCodec])
@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("filler", [b"A", b"<", b"<a>", b"<a b='", b"<!--", b"\x02", b"<<", b"|", b'"', b" ", b"\xff", b"0", b"{", b"</a>"])
def test_an_endless_record_takes_bounded_memory(side: Any, name: str, filler: bytes) -> None:
    codec = side(RECORDS[name].model_copy(update={"max_bytes": 4096}))
    for _ in range(40):
        codec.receive_data(filler * (512 // len(filler)))
        assert len(codec._cutter._held) <= 4096 + 512 + 64


@pytest.mark.parametrize("name", RECORDS)
@SETTINGS
@given(kind=st.text(max_size=12), key=st.text(max_size=8), value=st.text(max_size=20), ids=st.text(max_size=8))
@example(kind="LST SUB", key="A", value="x\nRMV SUB|1", ids="1")
@example(kind="LST SUB", key="A", value="x\r", ids="1")
@example(kind="LST SUB", key="IMSI", value="x\x03\x02RMV SUB", ids="1")
@example(kind="LST SUB", key="IMSI", value=">><<RMV SUB", ids="1")
@example(kind="LSTSUB", key="A", value="</A></LSTSUB><RMVSUB/>", ids="1")
@example(kind="A><B", key="A", value="1", ids="1")
@example(kind="A", key="A/><B", value="1", ids="1")
@example(kind="A", key="A=1|B", value="1", ids="1|2")
def test_a_command_is_sent_whole_or_not_at_all(name: str, kind: str, key: str, value: str, ids: str) -> None:
    said = Command(kind, ((key, value),), session=ids, transaction=ids)
    try:
        wire = RecordClientCodec(RECORDS[name]).send(said)
    except LocalProtocolError:
        return
    heard = RecordServerCodec(RECORDS[name]).receive_data(wire)
    assert len(heard) == (1 if wire.strip() else 0)
    for command in heard:
        if isinstance(command, Command):
            assert [v for _, v in command.parameters if v and v != value.strip()] in ([], [value])


@pytest.mark.parametrize("name", RECORDS)
@SETTINGS
@given(data=st.data())
def test_an_answer_is_one_whatever_it_holds(name: str, data: st.DataObject) -> None:
    evil = st.one_of(st.text(max_size=20), st.sampled_from(
        ["\n", "\r\n0|", "|", "\x02", "\x03", "</text>", "]]>", "<!--", '","retcode":"0', ">>", "\\"]))
    said = Report("1301", data.draw(evil), {"X": data.draw(evil), "code": data.draw(evil)}, (("T", ({"A": data.draw(evil)},)),), "LSTSUB",
                  transaction="7")
    codec = RecordServerCodec(RECORDS[name])
    try:
        wire = codec.send(said) + codec.send(said)
    except LocalProtocolError:
        return
    heard = RecordClientCodec(RECORDS[name]).receive_data(wire)
    assert not any(isinstance(e, Malformed) for e in heard)
    assert [e.retcode for e in heard if isinstance(e, Report)] == ["1301"] * 2


HOSTILE = [b"|" * 60_000 + b"\n", b"\\" * 60_001 + b"\n", b'"' * 60_001 + b"\n", b"A=" * 30_000 + b"\n",
           b"LST SUB|1|" + b"=|" * 30_000 + b"\n", b"<a>" * 20_000, b"<a " + b"b='c' " * 10_000 + b">",
           b"<a" + b"/" * 60_000 + b">", b"<" * 60_000,
           b"<!--" * 15_000,
           b"<a>" + b"<![CDATA[x]]>" * 4_600 + b"</a>", b"<a>" + b"&amp;" * 12_000 + b"</a>", b"<a>" + b"<b/>" * 15_000 + b"</a>",
           b"\x02" * 60_000 + b"\x03", b"<<" * 30_000 + b">>", b"{" * 60_000 + b"\n",
           b'{"a":"' + b"\\u0041" * 10_000 + b'"}\n', b" " * 60_000 + b"\n"]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("side", [RecordServerCodec, RecordClientCodec])
@pytest.mark.parametrize("name", RECORDS)
def test_hostile_input_takes_no_more_than_its_length(side: Any, name: str) -> None:
    for data in HOSTILE:
        side(RECORDS[name]).receive_data(data)
        codec = side(RECORDS[name])
        for at in range(0, len(data), 7):
            codec.receive_data(data[at:at + 7])
