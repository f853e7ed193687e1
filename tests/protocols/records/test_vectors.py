"""Records byte by byte, as peers write them, and each mistake that a peer or a dialect file can make."""

from __future__ import annotations

from typing import Any

import pytest

from protocols.base import LocalProtocolError
from protocols.mml import Alarm, Command, Dialect, DialectError, Heartbeat, Malformed, Nested, Report
from protocols.records import RecordClientCodec, RecordServerCodec
from tests.protocols.mml.speaking import fed
from tests.protocols.records.speaking import RECORDS, changed, of

OK = "Operation succeeded"


def command(name: str, fields: dict[str, Any], number: str = "00000001", session: str = "") -> Command:
    return Command(name, tuple(fields.items()), name, session, number)


MESSAGE = b"<m:message xmlns:m='urn:y'><head><command>LSTSUB</command><id>1</id></head><body><A>1</A><A>2</A></body></m:message>"
COMMANDS = [
    ("records-delimited", b"LST SUB|00000001|240010000000001\n", command("LST SUB", {"IMSI": "240010000000001"})),
    ("records-delimited", b"LST SUB|00000001||WITH=all\r\n", command("LST SUB", {"WITH": "all"})),
    ("records-delimited", b"ADD SUB|00000001|NOTE=a\\|b\\\\c\\nd|X=\n", command("ADD SUB", {"NOTE": "a|b\\c\nd", "X": ""})),
    ("quoted", b'LST SUB;1;"a;""b"""\n', command("LST SUB", {"IMSI": 'a;"b"'}, "1")),
    ("quoted", b'LST SUB;1;""\n', command("LST SUB", {"IMSI": ""}, "1")),
    ("headed", b"B\tKIND\tID\n7\tLST SUB\t1\n", command("LST SUB", {"B": "7"}, "1")),
    ("wide-separator", b"rest\x02LST SUB~|~1~|~24|00\x03", command("LST SUB", {"IMSI": "24|00"}, "1")),
    ("records-fixed", b"LST SUB         00000001240010000000001\r\n", command("LST SUB", {"IMSI": "240010000000001"})),
    ("records-fixed", b"LOGIN           00000001uip\n", command("LOGIN", {"USER": "uip"})),
    ("unended", b"RMV SUB         00000001240010000000001", command("RMV SUB", {"IMSI": "240010000000001"})),
    ("records-json", b'{"command":"LST SUB","id":1,"fields":{"N":1.50,"B":true,"L":[1,"a",null],"O":{"P":null,"Q":"\xc3\xa9"},"Z":null}}\n',
     command("LST SUB", {"N": "1.50", "B": "true", "L": Nested.of(["1", "a"]), "O": Nested.of({"Q": "é"})}, "1")),
    ("counted", b"\0\x21" + b'{"command":"LST SUB","id":"1"} ', command("LST SUB", {}, "1")),
    ("rpc", b'{"jsonrpc":"2.0","method":"LST SUB","params":{"IMSI":"24"},"id":"1"}\n', command("LST SUB", {"IMSI": "24"}, "1")),
    ("records-xml", b"<?xml version='1.0'?>\n<!-- <x> --><LSTSUB ref='1'><IMSI><![CDATA[2<4]]></IMSI></LSTSUB>", command(
        "LSTSUB", {"IMSI": "2<4"}, "1")),
    ("records-xml", b"<LSTSUB ref='1' session='0A'/>", command("LSTSUB", {}, "1", "0A")),
    ("in-elements", b"%05d" % len(MESSAGE) + MESSAGE, command("LSTSUB", {"A": Nested.of(["1", "2"])}, "1")),
]


@pytest.mark.parametrize(("name", "data", "meant"), COMMANDS)
def test_a_command_is_read(name: str, data: bytes, meant: Command) -> None:
    (heard,) = RecordServerCodec(RECORDS[name]).receive_data(data)
    assert heard == meant
    assert [getattr(v, "value", v) for _, v in heard.parameters] == [getattr(v, "value", v) for _, v in meant.parameters]
    assert fed(RecordServerCodec(RECORDS[name]), [data[n:n + 1] for n in range(len(data))]) == [meant]


ANSWERS = [
    ("records-delimited", b"ROW|1|T|A=1\nROW|1|T|A=2\nLST SUB|1|0|Operation succeeded|STATE=ACTIVE\n",
     Report("0", OK, {"STATE": "ACTIVE"}, (("T", ({"A": "1"}, {"A": "2"})),), "LST SUB", transaction="1")),
    ("records-delimited", b"ERROR||1001|cannot be read\n", Report("1001", "cannot be read")),
    ("records-fixed", b"LST SUB         000000010000" + OK.encode().ljust(60) + b"240010000000001" + b" " * 61 + b"\r\n",
     Report("0", OK, {"IMSI": "240010000000001"}, (), "LST SUB", transaction="00000001")),
    ("records-json", b'{"command":"LST SUB","id":"1","retcode":"0","description":"Operation succeeded","fields":{"T":[{"A":"1"}]}}\n',
     Report("0", OK, {}, (("T", ({"A": "1"},)),), "LST SUB", transaction="1")),
    ("rpc", b'{"jsonrpc":"2.0","method":"LST SUB","id":"1","result":{"STATE":"ACTIVE"}}\n',
     Report("0", "", {"STATE": "ACTIVE"}, (), "LST SUB", transaction="1")),
    ("rpc", b'{"jsonrpc":"2.0","method":"LST SUB","id":"1","error":{"code":"-32601","message":"no such method"}}\n',
     Report("-32601", "no such method", {}, (), "LST SUB", transaction="1")),
    ("records-xml", b'<LSTSUBResponse ref="1" result="0" text="Operation succeeded"><STATE>ACTIVE</STATE></LSTSUBResponse>',
     Report("0", OK, {"STATE": "ACTIVE"}, (), "LSTSUB", transaction="1")),
]


@pytest.mark.parametrize(("name", "data", "meant"), ANSWERS)
def test_an_answer_is_read_and_written_so(name: str, data: bytes, meant: Report) -> None:
    assert RecordClientCodec(RECORDS[name]).receive_data(data) == [meant]
    assert RecordServerCodec(RECORDS[name]).send(meant) == data


@pytest.mark.parametrize(("name", "data", "told", "fatal"), [
    ("records-delimited", b"|1\n", "a record has no KIND", False),
    ("records-delimited", b"LST SUB|1|2|no pair\n", "is not NAME=value", False),
    ("headed", b"ID\tA\n", "does not name KIND", True),
    ("headed", b"KIND\tID\nA\t1\t2\n", "has 3 values; the header line names 2", False),
    ("quoted", b'LST SUB;1;"a\n', "not ended as it was begun", False),
    ("records-fixed", b"LST SUB         00000001240010000000001X\r\n", "longer than its layout of 39 bytes", False),
    ("unended", b"GET SUB         ", "", False),
    ("records-json", b"[]\n", "not a JSON object", False),
    ("records-json", b"{\n", "not JSON", False),
    ("records-json", b'{"command":{"a":"b"},"id":"1"}\n', "has no command", False),
    ("counted", b"\0\x01", "does not count itself", True),
    ("in-elements", b"0x11", "", False),
    ("in-elements", b"0x111", "is not a number", True),
    ("rpc", b'{"jsonrpc":"1.0","method":"A"}\n', "jsonrpc is not '2.0'", False),
    ("records-xml", b"<!DOCTYPE a [<!ENTITY e 'x'>]><a/>", "document type declaration", True),
    ("records-xml", b"<a><b></a></b>", "not well-formed", False),
    ("records-xml", b"<a>&e;</a>", "not well-formed", False),
    ("records-xml", b"</a>", "has not begun", False),
    ("records-xml", b"noise<a ref='1'/>", "between two records", False),
    ("records-xml", b"<a>" * 65 + b"</a>" * 65, "nested deeper than 64", False),
    ("wide-separator", b"\x02LST SU\x02PING\x03", "before the one before it has ended", False),
])
def test_what_cannot_be_read_is_told(name: str, data: bytes, told: str, fatal: bool) -> None:
    codec = RecordServerCodec(RECORDS[name])
    heard = codec.receive_data(data)
    if not told:
        assert heard == []
        return
    bad = [event for event in heard if isinstance(event, Malformed)]
    assert len(bad) == 1
    assert (told in str(bad[0].error), bad[0].error.fatal) == (True, fatal), str(bad[0].error)
    assert not (fatal and codec.receive_data(data))


def test_a_record_that_is_too_long_ends_the_connection_however_it_comes() -> None:
    dialect = RECORDS["records-json"].model_copy(update={"max_bytes": 300})
    data = b'{"command":"A","x":"' + b"x" * 400 + b'"}\n{"command":"A"}\n'
    for size in (1, 7, len(data)):
        heard = fed(RecordServerCodec(dialect), [data[n:n + size] for n in range(0, len(data), size)])
        assert [str(event.error) for event in heard] == ["a record is longer than 300 bytes"]
        assert heard[0].error.fatal


def test_half_an_answer_is_none() -> None:
    codec = RecordClientCodec(RECORDS["records-delimited"])
    assert codec.receive_data(b"LST SUB|1|0|Operation succ") + codec.receive_data(b"") == []


def test_what_comes_unasked_is_an_alarm() -> None:
    client = RecordClientCodec(RECORDS["records-delimited"])
    (alarm,) = client.receive_data(b"ALARM|2|link down|CODE=7\n")
    assert isinstance(alarm, Alarm)
    assert (alarm.name, alarm.fields) == ("ALARM", {"SEVERITY": "2", "WHAT": "link down", "CODE": "7"})
    said = Alarm.of("", fields={"SEVERITY": "2", "WHAT": "link down"})
    assert RecordServerCodec(RECORDS["records-delimited"]).send(said) == b"ALARM|2|link down\n"
    (stray,) = RecordClientCodec(RECORDS["records-json"]).receive_data(b'{"hello":"world"}\n')
    assert isinstance(stray, Alarm)


@pytest.mark.parametrize(("name", "question", "answer"), [
    ("records-delimited", b"PING\n", b"PONG\n"), ("records-fixed", b"PING            \r\n", b"PING            \r\n"),
    ("records-json", b'{"command":"PING"}\n', b'{"command":"PONG"}\n'), ("records-xml", b"<Ping/>", b"<Pong/>")])
def test_a_heartbeat_is_answered(name: str, question: bytes, answer: bytes) -> None:
    client, server = RecordClientCodec(RECORDS[name]), RecordServerCodec(RECORDS[name])
    assert client.send(Heartbeat()).rstrip() == question.rstrip()
    (beat,) = server.receive_data(question)
    assert isinstance(beat, Heartbeat)
    assert server.send(Heartbeat("answer")).rstrip() == answer.rstrip()
    assert client.receive_data(answer) == [Heartbeat("answer" if question != answer else "either")]


@pytest.mark.parametrize(("name", "said", "told"), [
    ("records-fixed", command("ADD SUB", {"IMSI": "2400100000000012"}), "IMSI: is longer than 15 bytes"),
    ("records-fixed", command("ADD SUB", {"IMSI": "中"}), "IMSI: holds a character that latin-1 has not"),
    ("records-fixed", command("ADD SUB", {"COLOUR": "red"}), "ADD SUB has no field 'COLOUR'"),
    ("records-delimited", command("ADD SUB", {"A=B": "1"}), "cannot be called 'A=B'"),
    ("records-delimited", command("ADD SUB", {"A": Nested.of({"B": "1"})}), "parts of its own"),
    ("headed", command("ADD SUB", {"D": "1"}), "no field 'D'"),
    ("records-xml", command("ADD SUB", {}), "cannot be the name of an element"),
    ("records-xml", command("ADDSUB", {"A": "\x07"}), "characters that XML cannot carry"),
    ("records-xml", command("ADDSUB", {"ref": "1"}), "'ref' cannot stand beside the record's own"),
])
def test_what_cannot_be_said_is_told(name: str, said: Command, told: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        RecordClientCodec(RECORDS[name]).send(said)
    assert told in caught.value.message


def test_numbers_and_booleans_are_written_as_such_where_the_file_says_so() -> None:
    typed = changed("records-json", "typed", document={"types": {"COUNT": "number", "ON": "boolean", "ITEMS.PRICE": "number"}})
    said = command("SET", {"COUNT": "10", "ON": "true", "ITEMS": Nested.of([{"PRICE": "1.50"}])}, "1")
    wire = RecordClientCodec(typed).send(said)
    assert wire == b'{"command":"SET","id":"1","COUNT":10,"ON":true,"ITEMS":[{"PRICE":1.50}]}\n'
    assert RecordServerCodec(typed).receive_data(wire) == [said]
    with pytest.raises(LocalProtocolError, match="COUNT: is not a number"):
        RecordClientCodec(typed).send(command("SET", {"COUNT": "0x10"}))


def test_a_number_filled_with_zeros_is_there_or_not() -> None:
    name, layout = "NEW SUBSCRIBER", "NEW SUBSCRIBER  00000001" + " " * 74
    for fields, told in (({"COUNT": "7"}, "07"), ({"COUNT": "0"}, "00"), ({}, "  ")):
        wire = RecordClientCodec(RECORDS["records-fixed"]).send(command(name, fields))
        assert wire.decode().startswith(layout + told)
        assert RecordServerCodec(RECORDS["records-fixed"]).receive_data(wire) == [command(name, fields)]


def test_every_record_may_stand_for_one_command() -> None:
    feed = Dialect.load({"dialect": "feed", "framing": "records", "record": {
        "format": "delimited", "command": "RECORD USAGE", "code": "CODE", "text": "TEXT",
        "layouts": {"*": ["SOURCE", "MSISDN", {"value": "1"}]}, "answers": {"*": ["CODE", "TEXT"]}}})
    assert RecordServerCodec(feed).receive_data(b"S1|4790000001|1\n") == [
        Command("RECORD USAGE", (("SOURCE", "S1"), ("MSISDN", "4790000001")))]
    assert RecordClientCodec(feed).send(command("RECORD USAGE", {"SOURCE": "S1"}, "")) == b"S1||1\n"
    assert RecordServerCodec(feed).send(Report("0", OK, command="RECORD USAGE")) == b"0|Operation succeeded\n"


def test_a_refusal_is_told_even_where_there_is_no_room_for_its_fields() -> None:
    codec = RecordServerCodec(RECORDS["records-fixed"])
    wire = codec.send(Report("1202", "no such order", {"field": "id"}, (), "LST SUB", transaction="00000001"))
    assert RecordClientCodec(RECORDS["records-fixed"]).receive_data(wire)[0].retcode == "1202"
    with pytest.raises(LocalProtocolError, match="no field 'field'"):
        codec.send(Report("0", OK, {"field": "id"}, (), "LST SUB", transaction="00000001"))


@pytest.mark.parametrize(("name", "record", "told"), [
    ("records-delimited", {"layouts": {}}, "need `layouts`"),
    ("records-delimited", {"layouts": {"*": ["KIND"], "A": ["ID", "KIND"]}}, "at the same place in every layout"),
    ("records-delimited", {"layouts": {"*": ["KIND", "A", "A"]}}, "layouts.*: a field is named twice"),
    ("records-delimited", {"layouts": {"*": ["ID"]}}, "layouts.*: lacks KIND"),
    ("records-delimited", {"delimited": {"separator": "|", "quote": "|"}}, "must differ"),
    ("records-delimited", {"delimited": {"escape": "double"}}, "needs a `quote`"),
    ("records-delimited", {"delimited": {"header": True}}, "one layout, `*`"),
    ("records-delimited", {"frame": {"kind": "root"}}, "is not for delimited records"),
    ("records-fixed", {"layouts": {"*": ["KIND"]}}, "layouts.*: KIND has no width"),
    ("records-fixed", {"layouts": {"*": [{"name": "KIND", "width": 2, "value": "ABC"}]}}, "value of KIND is wider"),
    ("records-json", {"layouts": {"*": ["A"]}}, "are for delimited and fixed"),
    ("records-json", {"kind": ""}, "say where a record's kind is"),
    ("records-json", {"command": "A"}, "say where a record's kind is"),
    ("records-json", {"frame": {"kind": "width"}}, "is not for json records"),
    ("records-json", {"codee": "x"}, "no such field; did you mean code?"),
])
def test_a_mistake_in_the_record_section_is_told(name: str, record: dict[str, Any], told: str) -> None:
    with pytest.raises(DialectError) as caught:
        changed(name, "wrong", **record)
    assert told in str(caught.value)


@pytest.mark.parametrize(("more", "told"), [
    ({"record": None}, "needs a `record` section"),
    ({"framing": "text"}, "only that has one"),
    ({"stream": {}}, "records have no `stream`"),
    ({"session": {"prompts": ["<"]}}, "records have no prompts"),
    ({"session": {"correlation": "echo"}}, "correlation"),
])
def test_a_mistake_around_it_too(more: dict[str, Any], told: str) -> None:
    with pytest.raises(DialectError) as caught:
        Dialect.load({**of("records-json"), **more})
    assert told in str(caught.value)
