"""What real elements do that no page says: each pitfall seen on the wire, by itself."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from protocols.base import LocalProtocolError
from protocols.mml import (
    HEARTBEAT,
    Acknowledgement,
    Alarm,
    Command,
    Dialect,
    Heartbeat,
    Joiner,
    ListValue,
    Malformed,
    MmlClientCodec,
    MmlServerCodec,
    Prompt,
    Range,
    Report,
)
from protocols.mml.frames import checksum
from tests.protocols.mml.speaking import DIALECTS, VECTORS, of

ACK = (VECTORS / "framed-zte.client.login-ack.bin").read_bytes()


def client(name: str, data: bytes | str, **changes: Any) -> list[Any]:
    dialect = Dialect.load({**of(name), **changes})
    return list(MmlClientCodec(dialect).receive_data(data.encode(dialect.charset) if isinstance(data, str) else data))


def server(name: str, data: bytes | str) -> list[Any]:
    return list(MmlServerCodec(DIALECTS[name]).receive_data(data.encode() if isinstance(data, str) else data))


def transcript(name: str) -> list[Any]:
    dialect = name.partition(".")[0]
    return list(MmlClientCodec(DIALECTS[dialect]).receive_data((VECTORS / name).read_bytes()))


def frame(body: bytes, *, check: bytes | None = None, transaction: bytes = b"00000007", multiple: int = 4) -> bytes:
    body += b" " * (-len(body) % multiple)
    covered = b"1.00internalSRVM    00000001DLGCON0000" + transaction + b"TXEND 0000" + body
    return b"`SC`%04X%b%b" % (len(covered), covered, checksum(covered) if check is None else check)


# Frames.

def test_the_published_frames_have_their_checksums() -> None:
    assert checksum(ACK[8:-8]) == ACK[-8:] == b"A4CAA59A"
    assert checksum(HEARTBEAT[8:12]) == HEARTBEAT[12:] == b"B7BDB7BD"
    (report,) = client("framed-zte", ACK)
    assert report == Report("000000", "success", command="LOGIN", session="000056FF", transaction="00000001")


def short_checksum_body() -> bytes:
    """A body whose frame's checksum begins with a zero: there are none without bytes above 127."""
    bodies = [b"ACK:X:RETN=0000,DESC=" + b" " * n + "中国人".encode("gbk") + bytes([last])
              for n in range(4) for last in range(0x21, 0x7F) if last not in b";,='\""]
    return next(b for b in bodies if frame(b)[-8:-7] == b"0")


@pytest.mark.parametrize("tail", [b"", b" ", b";", HEARTBEAT, b"`SC`"])
def test_a_checksum_without_its_leading_zeros_is_right(tail: bytes) -> None:
    whole = frame(short_checksum_body())
    short = whole[:-8] + whole[-8:].lstrip(b"0")
    assert len(short) < len(whole)
    events = client("framed-zte", short + tail)
    assert isinstance(events[0], Report)
    assert events[1:] == ([Heartbeat()] if tail == HEARTBEAT else [])
    assert isinstance(client("framed-zte", whole[:-8] + whole[-8:].lstrip(b"0").rjust(8))[0], Report)


def test_a_wrong_checksum_that_is_too_short_does_not_swallow_the_next_frame() -> None:
    bad, good = client("framed", frame(b"ACK:X:RETN=0000", check=b"123") + frame(b"ACK:Y:RETN=0000"))
    assert isinstance(bad, Malformed)
    assert bad.transaction == "00000007"
    assert good.command == "Y"


@pytest.mark.parametrize("body", [b"ACK:X:RETN=0", b"ACK:X:RETN=00", b"ACK:X:RETN=000", b"ACK:X:RETN=0000"])
@pytest.mark.parametrize("fill", [b"\0", b" "])
def test_a_length_that_is_no_multiple_of_four_is_read(body: bytes, fill: bytes) -> None:
    covered = b"1.00internalSRVM    00000001DLGCON000000000007TXEND 0000" + body
    (report,) = client("framed", b"`SC`%04x%b%b" % (len(covered), covered, checksum(covered, fill)))
    assert isinstance(report, Report)


def test_heartbeats_come_before_the_reply_and_residue_between_frames() -> None:
    lower = HEARTBEAT.replace(b"B7BDB7BD", b"b7bdb7bd")
    # The last of the junk is a flag's beginning, whose end is the beginning of the true one.
    data = HEARTBEAT + b"\r\n" + lower + b"; junk ` `S `SC" + frame(b"ACK:X:RETN=0000") + b";\r\n" + HEARTBEAT
    assert [type(e) for e in client("framed", data)] == [Heartbeat, Heartbeat, Malformed, Report, Heartbeat]


@pytest.mark.parametrize("body", [b"ACK:X:RETN=0000,DESC=ok;", b"ACK:X:RETN=0000,DESC=ok ;  ", b"ACK:X:RETN=0000,DESC=ok"])
def test_the_terminator_stands_inside_or_nowhere(body: bytes) -> None:
    (report,) = client("framed", frame(body))
    assert (report.retcode, report.description) == ("0000", "ok")


@pytest.mark.parametrize(("frame", "wire"), [
    ({"flag": "", "length": {"width": 6, "base": "decimal"}, "header": [], "body_multiple": 1}, b"000009LST X:A=1"),
    ({"flag": "", "length": {"width": 2, "base": "binary", "counts_more": 2}, "header": [], "body_multiple": 1}, b"\x00\x0bLST X:A=1"),
    ({"flag": "\x02", "length": {"width": 4, "base": "decimal"}, "header": [{"name": "kind", "width": 3, "value": "CMD"}]},
     b"\x020015CMDLST X:A=1   ")])
def test_frames_may_lack_a_flag_a_header_and_digits(frame: dict[str, Any], wire: bytes) -> None:
    changes = {"frame": {**frame, "checksum": {"kind": "none"}}, "session": {"correlation": "order"}}
    said = Command("LST X", (("A", "1"),))
    dialect = Dialect.load({**of("framed"), **changes})
    assert MmlClientCodec(dialect).send(said) == wire
    whole = wire * 3
    for cut in range(len(whole)):
        codec = MmlServerCodec(dialect)
        assert codec.receive_data(whole[:cut]) + codec.receive_data(whole[cut:]) == [said] * 3


def test_without_a_flag_a_wrong_length_is_the_end() -> None:
    frame_ = {"flag": "", "length": {"width": 4, "base": "decimal"}, "header": [], "body_multiple": 1, "checksum": {"kind": "none"}}
    codec = MmlServerCodec(Dialect.load({**of("framed"), "frame": frame_, "session": {"correlation": "order"}}))
    good, bad = codec.receive_data(b"0005LST XGET /0005LST X")
    assert (good, bad.error.message, bad.error.fatal) == (Command("LST X"), "the frame's length is not a number", True)
    assert codec.receive_data(b"0005LST X") == []


def test_a_length_that_lies_costs_one_frame_not_the_stream() -> None:
    lying = frame(b"ACK:X:RETN=0000").replace(b"`SC`0048", b"`SC`0060")
    events = client("framed", lying + frame(b"ACK:Y:RETN=0000") + frame(b"ACK:Z:RETN=0000"))
    assert [e.command for e in events if isinstance(e, Report)] == ["Y", "Z"]
    assert isinstance(events[0], Malformed)


def test_words_are_padded_to_eight_columns_and_verbs_come_in_any_case() -> None:
    (command,) = server("framed", frame(b"lst     sub     :isdn=1"))
    assert (command.name, command.parameters) == ("LST SUB", (("ISDN", "1"),))
    (report,) = client("framed", frame(b"Ack:Lst Sub:Retn=0000,desc=ok,Imsi=1"))
    assert (report.retcode, report.description, report.command, report.fields) == ("0000", "ok", "LST SUB", {"IMSI": "1"})


def test_a_wrong_checksum_is_a_fault_a_doubt_or_nothing() -> None:
    bad = frame(b"ACK:X:RETN=0000", check=b"00000000")
    data = of("framed")
    told = {}
    for policy in ("enforce", "warn", "ignore"):
        data["frame"]["checksum"]["policy"] = policy
        (told[policy],) = client("framed", bad, frame=data["frame"])
    assert isinstance(told["enforce"], Malformed)
    assert told["warn"].suspect == "wrong checksum"
    assert told["ignore"].suspect == ""


def test_a_table_in_one_line_comes_in_many_ways() -> None:
    rows = ({"A": "1", "B": "2"}, {"A": "3", "B": "4"})
    for text in ('ATTR=A&B, RESULT="1|2&3|4"', "ATTR='A|B',RESULT='1|2|3|4|'", 'ATTR="A&B|",RESULT="1|2|",RESULT="3|4|"'):
        (report,) = client("framed", frame(b'ACK:X:RETN=0000,DESC="ok",' + text.encode()))
        assert report.tables == (("rows", rows),), text


@pytest.mark.parametrize(("text", "rows"), [
    ('ATTR=A&B&C,RESULT="1&&3"', [{"A": "1", "B": "", "C": "3"}]), ('ATTR=A&B,RESULT="&5"', [{"A": "", "B": "5"}]),
    ('ATTR="A"&"B",RESULT="1"&"x & y"', [{"A": "1", "B": "x & y"}]), ('ATTR=A & B,RESULT="1|"', [{"A": "1", "B": ""}]),
    ('ATTR=A&B,RESULT="1&2&3&4"', [{"A": "1", "B": "2"}, {"A": "3", "B": "4"}]), ('ATTR=A,RESULT="1&2"', [{"A": "1"}, {"A": "2"}]),
    ('ATTR=A&B,RESULT="1|2&3|4&"', [{"A": "1", "B": "2"}, {"A": "3", "B": "4"}])])
def test_rows_and_cells_may_be_parted_alike(text: str, rows: list[dict[str, str]]) -> None:
    (report,) = client("framed", frame(b"ACK:X: RETN=0000, DESC=ok," + text.encode()))
    assert report.tables == (("rows", tuple(rows)),)


def test_counts_under_the_name_of_the_columns_are_fields() -> None:
    (report,) = client("framed", frame(b'ACK:X:RETN=0,ATTR=TOTAL=1,FINISHED=1,ATTR=A & B,RESULT="1|2";'))
    assert report.fields == {"FINISHED": "1", "TOTAL": "1"}
    assert report.tables == (("rows", ({"A": "1", "B": "2"},)),)


# Huawei's reports.

def test_parts_of_an_answer_are_joined_whatever_each_repeats() -> None:
    joiner = Joiner()
    *first, whole = [joiner.add(part) for part in transcript("huawei-text.client.multi-part.txt")]
    assert first == [None, None]
    assert not joiner.waiting
    assert whole is not None
    assert (whole.retcode, whole.total, whole.source, whole.serial) == ("0", 3, "MSC1", 100)
    ((title, rows),) = whole.tables
    assert title == "Subscribers"
    assert [row["IMSI"][-1] for row in rows] == ["1", "2", "3", "4"]


def test_parts_in_another_language_and_progress_are_parts() -> None:
    for name in ("huawei-text.client.multi-part-local.txt", "huawei-text.client.progress.txt"):
        joiner = Joiner()
        assert [whole is None for whole in map(joiner.add, transcript(name))] == [True, False]


def test_joined_rows_are_bounded() -> None:
    part = Report("0", tables=(("T", ({"A": "1"},) * 60),), more=True)
    joiner = Joiner(most_rows=100)
    for _ in range(1000):
        assert joiner.add(part) is None
    whole = joiner.add(replace(part, more=False))
    assert whole is not None
    assert len(whole.tables[0][1]) <= 100
    assert whole.suspect


def test_a_report_inside_another_is_the_answer() -> None:
    (report,) = transcript("huawei-text.client.nested.txt")
    assert (report.source, report.via, report.serial) == ("HLR9820", "U2000", 63447)
    refused = ("+++    U2000        2018-01-02 03:04:05\nRETCODE = 7  no right\n\n"
               "+++    HLR        2018-01-02 03:04:06\nRETCODE = 0  ok\n---    END\n")
    (report,) = client("huawei-text", refused)
    assert (report.retcode, report.description) == ("7", "no right")


def test_an_alarm_between_answers_is_no_answer() -> None:
    alarm, report = transcript("huawei-text.client.alarm-between.txt")
    assert isinstance(alarm, Alarm)
    assert (alarm.kind, alarm.source, alarm.fields["Alarm name"]) == ("alarm", "HLR9820", "Link failure")
    assert "3302" in alarm
    assert report.retcode == "3001"


def test_values_span_lines_and_may_look_like_others() -> None:
    (report,) = transcript("huawei-text.client.long-values.txt")
    assert report.fields == {"Name": "MPU", "Comment": "first line\nsecond = line\nthird line", "State": "Normal"}
    assert report.command.endswith('DETAIL="a long text"')


def test_texts_instead_of_reports_are_results() -> None:
    reports = transcript("huawei-text.client.variants.txt")
    results = DIALECTS["huawei-text"].results
    assert [(r.retcode, results.means(r.retcode)) for r in reports] == [
        ("SUCCESS0001", "success"), ("ERR1234", "refused"), ("NOCONNECTION", "retryable"), ("NETIMEOUT", "ambiguous"),
        ("UNREGISTERED", "session_lost"), ("268435459", "refused")]
    assert [r.command for r in reports[:2]] == ["LST VER:", "LST VER:"]


def test_such_a_text_inside_a_report_is_data() -> None:
    text = "+++    NE        2018-01-02 03:04:05\nRETCODE = 0  ok\n\nReason\nNE does not Connection\n\n---    END\n"
    (report,) = client("huawei-text", text)
    assert report.retcode == "0"


def test_several_tables_records_and_wide_characters() -> None:
    (report,) = transcript("huawei-text.client.two-tables.txt")
    assert [(title, len(rows)) for title, rows in report.tables] == [("Teleservices", 2), ("Forwarding", 2)]
    assert report.tables[1][1][1] == {"Service": "CFB", "Number": "", "Time": "NULL"}
    (report,) = transcript("huawei-text.client.localised.txt")
    assert report.tables[0][1][0]["版本号"] == "1"
    (report,) = transcript("huawei-text.client.repeated.txt")
    assert [row["State"] for row in report.tables[0][1]] == ["Normal", "Fault"]


def test_an_empty_table_is_told() -> None:
    text = "RETCODE = 0  ok\n\nBoards\n------\nSlot  State\n(Number of results = 0)\n\n---    END\n"
    (report,) = client("huawei-text", text)
    assert report.tables == (("Boards", ()),)


@pytest.mark.parametrize("end", ["---    END", "---   END", "--- END", "-----------    END", "---\tEND"])
def test_an_end_is_known_as_soon_as_it_has_come(end: str) -> None:
    assert [r.retcode for r in client("huawei-text", f"RETCODE = 5  x\r\n{end}")] == ["5"]


def test_an_end_may_go_on_to_the_end_of_its_line() -> None:
    stream = {**of("nokia-dx200")["stream"], "report_ends": [{"line": "END JOB", "rest": True}]}
    report = {**of("nokia-dx200")["report"], "outcomes": [{"line": "EXEC'D", "code": "0"}, {"line": "NOT EXEC'D", "code": "REJECTED"}]}
    text = "EXEC'D\r\nEND JOB 0012\r\n<NOT EXEC'D\r\nUNKNOWN\r\nEND JOB 0013 AT 12:00\r\n<"
    heard = client("nokia-dx200", text, stream=stream, report=report)
    assert [e.retcode if isinstance(e, Report) else e for e in heard] == ["0", Prompt("<"), "REJECTED", Prompt("<")]


def test_bodies_in_gbk_and_backslashes_inside_characters() -> None:
    dialect = DIALECTS["zte-text"]
    name = "乗\\昞;x"    # the second byte of the first character is a backslash
    assert "乗".encode("gbk")[1:] == b"\\"
    wire = MmlClientCodec(dialect).send(Command("ADD USER", (("NAME", name),)))
    for n in range(1, len(wire)):
        codec = MmlServerCodec(dialect)
        (command,) = [*codec.receive_data(wire[:n]), *codec.receive_data(wire[n:])]
        assert isinstance(command, Command)
        assert command.parameters == (("NAME", name),)


def test_bytes_that_are_not_of_the_charset_are_replaced_or_refused() -> None:
    raw = b"RETCODE = 0  \xff\xfe\r\n---    END\r\n"
    assert client("huawei-text", raw)[0].description == "\ufffd\ufffd"
    (refused,) = client("huawei-text", raw, decoding="refuse")
    assert isinstance(refused, Malformed)


# Ericsson, Nokia, TL1.

def test_an_ericsson_row_keeps_its_columns_when_the_first_is_blank() -> None:
    report, prompt = transcript("ericsson-axe.client.leading-blank.txt")
    assert report.fields == {"MSISDN": "", "IMSI": "250270100273000", "STATE": "NOT CONNECTED", "AUTHD": ""}
    assert prompt == Prompt("<")


def test_ericsson_results() -> None:
    reports = [e for e in transcript("ericsson-axe.client.outcomes.txt") if isinstance(e, Report)]
    assert [(r.retcode, r.description) for r in reports] == [("0", ""), ("14", "SUBSCRIBER DATA NOT ALLOWED"), ("FORMAT", "")]


def test_ericsson_sections_without_blank_lines_need_their_titles_declared() -> None:
    report = of("ericsson-axe")["report"]
    report["tables"]["sections"] = ["SUBSCRIBER IDENTITY", "LOCATION DATA"]
    text = ("HLR SUBSCRIBER DATA\nSUBSCRIBER IDENTITY\nMSISDN       IMSI\n79274006414  250270100604804\n"
            "LOCATION DATA\nVLR ADDRESS    MSC NUMBER\n4-79270009013  79270009012\nEND\n")
    (read,) = client("ericsson-axe", text, report=report)
    assert [title for title, _ in read.tables] == ["SUBSCRIBER IDENTITY", "LOCATION DATA"]
    assert read.fields["MSC NUMBER"] == "79270009012"


def test_nokia_listing_and_error() -> None:
    reports = [e for e in transcript("nokia-dx200.client.session.txt") if isinstance(e, Report)]
    assert reports[0].fields["ROUTING CATEGORY"] == "1"
    assert (reports[1].retcode, reports[1].description) == ("12406", "UNKNOWN SUBSCRIBER")


def test_nokia_listings_of_several_objects_and_tables() -> None:
    cells, group, numbers, radio = (e for e in transcript("nokia-dx200.client.listings.txt") if isinstance(e, Report))
    assert [row["BTS NAME"] for row in dict(cells.tables)["rows"]] == ["NORTH1", "NORTH2"]
    assert dict(cells.tables)["rows"][1] == {
        "BTS NAME": "NORTH2", "BTS NUMBER": "102", "LA NAME": "LAC55", "LA LAC": "55", "CELL IDENTITY (CI)": "102",
        "BTS ADMINISTRATIVE STATE": "UNLOCKED", "NO NCAS SUPPORT (NONCAS)": "TRUE", "TIMER EXPIRES (WARNING)": "ENABLED",
        "ORIGINATING CELL": "7"}
    assert cells.fields == dict(cells.tables)["rows"][0]
    assert group.fields == {"MSS ROLE (MSSROLE)": "ANCHOR"}
    assert dict(group.tables)["DISPATCHER LIST:"][1] == {
        "NUMBER (E.164 NP)": "04170000202", "TON": "UNK", "ALERT": "Y", "JOIN": "-", "MSS POOL NAME": ""}
    assert {"NETWORK PARAMETERS:", "INITIATOR LISTS:", "CELL LIST NAME  CLID"} < set(group.notes)
    assert dict(numbers.tables)["rows"][1] == {
        "AREA SERVICE NUMBER": "49185901", "ROUTING ZONE": "1999", "SERVICE TYPE": "0", "ANALYSIS TREE IN CM": "113",
        "SERVICE NUMBER INDEX": "2"}
    assert dict(radio.tables)["RADIO NETWORK CONFIGURATION IN BSC:"][2] == {
        "LAC CI HOP": "EDGE TRX-001", "AD ST": "U", "OP STATE": "WO", "FREQ": "94", "F R T": "0", "ET- PCM": "1796",
        "BCCH/CBCH/ ERACH": "MBCCH", "D-CHANNEL NAME": "", "ST": ""}


def test_a_menu_s_name_before_the_prompt_is_nothing_an_element_says() -> None:
    assert not any(isinstance(e, Alarm) for e in transcript("nokia-dx200.client.listings.txt"))
    assert any(isinstance(e, Alarm) for e in client("nokia-dx200", "\r\nDISTURBANCE 1001\r\nBTS HANDLING COMMAND <EP_>\r\n<"))


def test_ericsson_lone_values_and_headers_under_them() -> None:
    subscriber, state = (e for e in transcript("ericsson-axe.client.sections.txt") if isinstance(e, Report))
    assert [row["SUD"] for row in dict(subscriber.tables)["PERMANENT SUBSCRIBER DATA"]] == [
        "CAT-10", "DBSG-1", "TS11-1", "TS22-1", "OFA-1", "PWD-1234", "SCHAR-4-0"]
    assert (subscriber.fields["AMSISDN"], subscriber.fields["BC"]) == ("NONE", "")
    assert [rows for title, rows in subscriber.tables if title == "SUPPLEMENTARY SERVICE DATA"] == [
        ({"BSG": "TS10", "SS": "CFU", "STATUS": "ACT-OP", "FNUM": "46700000001", "TIME": ""},
         {"BSG": "TS10", "SS": "CFB", "STATUS": "NOT REGISTERED", "FNUM": "", "TIME": ""}),
        ({"BSG": "TS60", "SS": "CFNRY", "STATUS": "ACT-OP", "FNUM": "46700000002", "TIME": "20"},)]
    assert state.fields == {"IMSI": "240010000000001", "MSISDN": "4670123456", "STATE": "IDLE", "RESTR": "", "LAI": "240-01-1208",
                            "CELL ID": "10511", "DATE": "170512", "TIME": "1454"}


def test_what_goes_on_after_an_empty_table_is_a_table_of_its_own() -> None:
    (read,) = client("ericsson-axe", "DATA\nSUD\nA-1   B-2\n\nLIST\n----\n(Number = 0)\n\nC-3   D-4\nE-5   F-6\nEND\n")
    assert read.tables == (("DATA", ({"SUD": "A-1"}, {"SUD": "B-2"})), ("LIST", ()))
    assert (read.fields, read.notes) == ({"C-3": "E-5", "D-4": "F-6"}, ())


def test_huawei_headers_one_blank_apart_in_any_script_and_times_with_a_zone() -> None:
    text = ("+++    UNC/*MEID:0 MENAME:unc*/        2023-05-17 10:36:41+8:00\nO&M    #7521\n%%DSP POOL:;%%\n"
            "RETCODE = 0  操作成功\n\n存储池信息如下\n--------------\n存储池ID 存储池名称   算法类型\n\n"
            "0        ACTION       1\n1        PHYGID       3\n(结果个数 = 2)\n\n---    END\n")
    (read,) = client("huawei-text", text.encode())
    assert (read.source, read.time) == ("UNC", "2023-05-17 10:36:41+8:00")
    assert dict(read.tables)["存储池信息如下"][1] == {"存储池ID": "1", "存储池名称": "PHYGID", "算法类型": "3"}


def test_a_name_of_two_words_stays_one_where_a_value_has_a_gap() -> None:
    text = ("%%LST SUB:;%%\nRETCODE = 0  Ok\n\nResult\n------\nName  User Label\n\nA     x  y\nB     z\n"
            "(Number of results = 2)\n\n---    END\n")
    (read,) = client("huawei-text", text)
    assert dict(read.tables)["Result"] == ({"Name": "A", "User Label": "x y"}, {"Name": "B", "User Label": "z"})


def test_a_name_twice_in_a_header_keeps_both_values() -> None:
    (read,) = client("ericsson-axe", "CELL   TYPE   TYPE\nA1     1      2\nA2     3      4\nEND\n")
    assert read.tables[0][1][1] == {"CELL": "A2", "TYPE": "3", "TYPE 2": "4"}


@pytest.mark.parametrize(("name", "said"), [("nokia-dx200", "one word"), ("huawei-text", "4 words at most")])
def test_a_name_of_too_many_words_is_told_how_many_there_may_be(name: str, said: str) -> None:
    (refused,) = server(name, b"LST A VERY BIG ORDER:ID=1;")
    assert refused.error.message == f"not a command: its name comes first, {said}"


def test_positional_blocks() -> None:
    commands = server("nokia-dx200", (VECTORS / "nokia-dx200.server.session.txt").read_bytes())
    assert commands[0].parameters == (("1", "A"), ("2", "B"), ("3-1", "C"))
    parameters = dict(commands[1].parameters)
    assert parameters["X"].items == (Range("1", "5"), "9")
    assert (parameters["2-1"], parameters["3-2"]) == ("ALL", "Y")


def test_tl1_events() -> None:
    events = transcript("tl1.client.session.txt")
    assert [type(e).__name__ for e in events] == [
        "Report", "Acknowledgement", "Prompt", "Alarm", "Report", "Report", "Acknowledgement", "Prompt", "Report", "Alarm"]
    assert events[1] == Acknowledgement("IP", "101")
    assert (events[3].severity, events[3].serial, events[3].name) == ("*C", "17", "REPT ALM EC1")
    assert events[3].fields["3-1"] == "LINE DCC Link; Failure"
    joiner = Joiner()
    assert joiner.add(events[4]) is None
    whole = joiner.add(events[5])
    assert whole is not None
    assert whole.tables[0][1][1] == {"1": "MDL-1-1-2", "PROVISIONEDTYPE": "PP1GE", "4-1": "IS"}
    assert (events[8].retcode, events[8].description) == ("IIAC", "Input, Invalid Access Identifier")


def test_tl1_of_pon_managers() -> None:
    good, bad, table = transcript("tl1.client.pon.txt")
    assert (good.retcode, good.transaction, bad.retcode) == ("0", "CTAG", "IRNE")
    assert table.fields["blktotal"] == "3"
    assert table.tables[0][1][0]["NAME"] == "first one"


def test_tl1_says_its_own_codes_and_lists_of_aids() -> None:
    codec = MmlServerCodec(DIALECTS["tl1"])
    assert b"DENY\r\n   ICNV\r\n" in codec.send(Report("1003", "what?", transaction="9"))
    wire = MmlClientCodec(DIALECTS["tl1"]).send(Command("RTRV-EQPT", tid="NE1", aid="A-1&A-2", transaction="9"))
    assert wire == b"RTRV-EQPT:NE1:A-1&A-2:9:;\r\n"


def test_an_alarm_is_sent_as_it_is_read() -> None:
    for name, severity in (("tl1", "**"), ("huawei-text", "ALARM")):
        said = Alarm.of("", kind="alarm", severity=severity, serial="17", name="LINK DOWN", source="NE1", time="26-01-02 03:04:05",
                        fields={"Cause": "LOS"})
        (heard,) = MmlClientCodec(DIALECTS[name]).receive_data(MmlServerCodec(DIALECTS[name]).send(said))
        assert isinstance(heard, Alarm)
        assert (heard.kind, heard.severity, heard.name, dict(heard.fields)) == ("alarm", severity, "LINK DOWN", {"Cause": "LOS"})


def test_an_echo_is_dropped_and_prompts_are_told() -> None:
    codec = MmlClientCodec(DIALECTS["zte-text"])
    echo = codec.send(Command("LST SUB", (("A", "1"),)))
    assert codec.receive_data(b"root > " + echo + b"ACK:LST SUB:RETN=0;\r\nroot > ") == [
        Prompt("root > "), Report("0", command="LST SUB"), Prompt("root > ")]


# What is masked, what is refused, what it costs.

@pytest.mark.parametrize(("name", "text", "raw"), [
    ("huawei-text", 'LGI:OPNAME="a",PWD="b,;c";', 'LGI:OPNAME="a",PWD=*****'),
    ("huawei-text", 'lgi : opname = "a" , pwd = x ;', "lgi : opname = \"a\" , pwd = *****"),
    ("ericsson-cai", "LOGIN:me:secret;", "LOGIN:me:*****"),
    ("tl1", "ACT-USER:NE:me:1::secret;", "ACT-USER:NE:me:1::*****"),
    ("tl1", "LOGIN:::1::UN=u,PWD=secret;", "LOGIN:::1::UN=u,PWD=*****"),
])
def test_secrets_are_masked_in_what_is_kept(name: str, text: str, raw: str) -> None:
    (command,) = server(name, text)
    assert "".join(command.raw.split()) == "".join(raw.split())


def test_a_list_is_a_list_only_when_made_one() -> None:
    codec = MmlClientCodec(DIALECTS["huawei-text"])
    assert codec.send(Command("SET X", (("A", "AT&T"),))) == b'SET X:A="AT&T";\r\n'
    assert codec.send(Command("SET X", (("A", ListValue.of(["1", Range("3", "5"), "x y"])),))) == b'SET X:A=1&3&&5&"x y";\r\n'
    for bad in (ListValue.of([]), ListValue.of(["", "1"])):
        with pytest.raises(LocalProtocolError):
            codec.send(Command("SET X", (("A", bad),)))


@pytest.mark.parametrize(("name", "value"), [
    ("ericsson-axe", 'say "x"'), ("nokia-dx200", 'a"'), ("huawei-text", "a\nb"), ("framed", "a\0b"), ("zte-text", "☃"),
    ("ericsson-axe", "中"), ("tl1", "a\x9b"), ("framed", "x" * 65_000), ("huawei-text", "x" * 65_536)])
def test_what_the_dialect_cannot_say_is_refused(name: str, value: str) -> None:
    with pytest.raises(LocalProtocolError):
        MmlClientCodec(DIALECTS[name]).send(Command({"ericsson-axe": "HGSDC", "nokia-dx200": "ZMIO"}.get(name, "LST SUB"), (("A", value),),
                                                    transaction="1"))


def test_a_whole_command_of_an_operator_is_checked() -> None:
    codec = MmlClientCodec(DIALECTS["huawei-text"])
    assert codec.whole('REG NE:IP="10.0.0.1"') == b"REG NE:IP=10.0.0.1;\r\n"
    for bad in ("", "REG NE:IP", "A:=;", 'REG NE:IP="'):
        if bad != "REG NE:IP":
            with pytest.raises(LocalProtocolError):
                codec.whole(bad)
    assert codec.line("me") == b"me\r\n"
    with pytest.raises(LocalProtocolError):
        codec.line("me\nyou")


def _steps(side: Any, name: str, data: bytes) -> int:
    """How many Python-level steps it takes: a measure that does not depend on how busy the machine is."""
    import sys
    count = 0

    def tracer(*_: Any) -> Any:
        nonlocal count
        count += 1
        return tracer

    codec = side(DIALECTS[name])
    sys.settrace(tracer)
    try:
        codec.receive_data(data)
    finally:
        sys.settrace(None)
    return count


def big(name: str, size: int) -> tuple[bytes, bytes]:
    """A command and a report that grow with `size`."""
    word = {"ericsson-axe": "HGSDC", "nokia-dx200": "ZMIO", "ericsson-cai": "SET HLRSUB"}.get(name, "LST SUB")
    tag = {"transaction": "00000001", "session": "00000001"}
    blocks = name in ("ericsson-axe", "nokia-dx200", "tl1")
    command = Command(word, tuple((f"P{n}", "x y" if n % 2 else "1") for n in range(min(size, 400) if blocks else size)), **tag)
    rows = tuple({"1": f"a{n}", "2": "b"} for n in range(size))
    report = Report(DIALECTS[name].results.ok, "", {}, (("rows", rows),), "", source="NE", time="2026-01-01 00:00:00", **tag)
    return MmlClientCodec(DIALECTS[name]).send(command), MmlServerCodec(DIALECTS[name]).send(report)


@pytest.mark.parametrize("name", DIALECTS)
def test_the_cost_grows_with_the_length_not_with_its_square(name: str) -> None:
    small, large = big(name, 200), big(name, 1600)
    for side, few, many in ((MmlServerCodec, small[0], large[0]), (MmlClientCodec, small[1], large[1])):
        assert _steps(side, name, many) <= _steps(side, name, few) * 12 + 500


_END = b"\n---    END\n"
HOSTILE = {
    "quotes": b'LST X:A="' + b'\\"' * 16_000 + b";",
    "comments": b"/*" * 32_000,
    "blanks": b"+++ " + b" " * 60_000 + b"x" + _END,
    "blanks before a mark": b"/*** " + b" " * 60_000 + b"x" + _END,
    "blanks in an echo": b"%%" + b" " * 60_000 + b"x" + _END,
    "equals": b" = " * 20_000 + _END,
    "echo": b"%%" * 30_000 + _END,
    "echoes": b"%%x\n" * 15_000 + _END,
    "digits": b"RETCODE = " + b"1" * 60_000 + _END,
    "dots": b"." * 60_000 + b"\nCOMMAND EXECUTED\n",
    "rows": b'"' * 60_000 + b"\n;",
    "flags": b"`SC`FDE8" * 8_000,
    "lists": b"LST X:A=" + b"1&" * 30_000 + b"1;",
    "ranges": b"ZMIO:" + b"1&&2&" * 12_000 + b"1;",
    "dashes": b"-" * 60_000 + _END,
    "ack": b'ACK:X:RETN=0,A="' + b'\\"' * 30_000 + b"\n",
    "texts": b"NE does not Connection\n" * 2_800,
    "head": b"A " * 30_000 + b";",
    "times": b"+++ x " + b"2020-01-01 10:00 " * 3_500 + _END,
    "count": b"(" * 30_000 + b"=1)" + _END,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("side", [MmlServerCodec, MmlClientCodec])
@pytest.mark.parametrize("name", DIALECTS)
def test_hostile_input_takes_no_more_than_its_length(side: Any, name: str) -> None:
    for data in HOSTILE.values():
        side(DIALECTS[name]).receive_data(data)
        if DIALECTS[name].framing == "framed":
            side(DIALECTS[name]).receive_data(frame(data[:60_000]))
    whole = MmlClientCodec(DIALECTS[name]).send(Command({"ericsson-axe": "HGSDC", "nokia-dx200": "ZMIO", "ericsson-cai": "SET HLRSUB"}.get(
        name, "LST SUB"), (("A", "x y" * 5_000),), transaction="1"))
    codec = side(DIALECTS[name])
    for at in range(0, len(whole), 3):
        codec.receive_data(whole[at:at + 3])


def test_noise_of_a_second_never_stops_a_codec() -> None:
    source = random.Random(7)
    parts = [*HOSTILE.values(), HEARTBEAT, ACK, b"---    END\n", b";", b"<"]
    for name, dialect in DIALECTS.items():
        for side in (MmlServerCodec, MmlClientCodec):
            codec = side(dialect)
            for _ in range(20):
                part = source.choice(parts)
                at = source.randrange(len(part))
                codec.receive_data(part[at:at + source.randrange(400)])
            assert codec.dialect.name == name


def test_a_blank_line_may_stand_between_a_header_and_its_rows() -> None:
    (report,) = client("huawei-text", (VECTORS / "huawei-text.client.header-apart.txt").read_bytes())
    (title, rows), (_, continued) = report.tables
    assert title.startswith("No7 Trunk Group")
    assert [(row["Trunk group number"], row["DPC"], row["Trunk group name"]) for row in rows] == [
        ("20", "0037E6", "AAA BBB PL"), ("23", "0017EE", "CCC LC A")]
    assert [row["Circuit type"] for row in continued] == ["ISUP", "ISUP"]
    assert report.notes == ()


def test_a_line_in_columns_with_no_rows_under_it_is_still_a_note() -> None:
    text = ("RETCODE = 0  Operation succeeded\n\nnothing  to show\n\nOther  title\n------------\nA    B\n1    2\n\n---    END\n")
    (report,) = client("huawei-text", text)
    assert report.notes == ("nothing  to show",)
    assert [rows for _, rows in report.tables] == [({"A": "1", "B": "2"},)]


def test_headers_of_words_in_capitals_are_parted_as_their_rows_are() -> None:
    text = ("<PLLDP;\r\nPROCESSOR LOAD DATA\r\nINT PLOAD CALIM  OFFDO FTCHMPL\r\n 1    3    72000    38     171\r\n"
            " 2         72000    34      29\r\n\r\nVLR ADDRESS       MSC NUMBER\r\n4-4790000001      4-4790000002\r\nEND\r\n<")
    report = next(e for e in client("ericsson-axe", text) if isinstance(e, Report))
    (_, rows), *rest = report.tables
    assert rows == ({"INT": "1", "PLOAD": "3", "CALIM": "72000", "OFFDO": "38", "FTCHMPL": "171"},
                    {"INT": "2", "PLOAD": "", "CALIM": "72000", "OFFDO": "34", "FTCHMPL": "29"})
    assert {**report.fields, **(rest[0][1][0] if rest else {})} == {"VLR ADDRESS": "4-4790000001", "MSC NUMBER": "4-4790000002"}


def test_names_one_blank_apart_are_parted_where_values_begin_under_them() -> None:
    text = ("<ZUSI:COMP;\r\nUNITS\r\nUNIT       PHYS STATE LOCATION              INFO\r\n"
            "OMU        -    WO-EX 1A001-03              -\r\nMCMU-0     0001 SP-EX 1A002-01              IDLE NOW\r\n"
            "BCSU-12         TE-EX\r\n\r\nCOMMAND EXECUTED\r\n<")
    ((_, rows),) = next(e for e in client("nokia-dx200", text) if isinstance(e, Report)).tables
    assert rows == (
        {"UNIT": "OMU", "PHYS": "-", "STATE": "WO-EX", "LOCATION": "1A001-03", "INFO": "-"},
        {"UNIT": "MCMU-0", "PHYS": "0001", "STATE": "SP-EX", "LOCATION": "1A002-01", "INFO": "IDLE NOW"},
        {"UNIT": "BCSU-12", "PHYS": "", "STATE": "TE-EX", "LOCATION": "", "INFO": ""})


@pytest.mark.parametrize(("lines", "code", "text"), [
    ("/*** SYNTAX ERROR ***/", "FAILED", "SYNTAX ERROR"),
    ("/*** UNIT IS BUSY ***/\r\nCOMMAND EXECUTED", "0", "UNIT IS BUSY"),
    ("/*** NO SUCH UNIT ***/\r\n/*** DX ERROR: 12 ***/\r\nCOMMAND EXECUTION FAILED", "12", "NO SUCH UNIT")])
def test_nokia_says_what_is_wrong_in_a_comment_and_no_more(lines: str, code: str, text: str) -> None:
    (answer,) = (e for e in client("nokia-dx200", f"ZUSI:X;\r\n\r\n{lines}\r\n<") if isinstance(e, Report))
    assert (answer.retcode, answer.description) == (code, text)


def test_tl1_as_several_managers_write_it() -> None:
    heard = client("tl1", (VECTORS / "tl1.client.managers.txt").read_bytes())
    answers = [event for event in heard if isinstance(event, Report)]
    assert [(a.transaction, a.retcode) for a in answers] == [
        ("C", "COMPLD"), ("165", "COMPLD"), ("780", "COMPLD"), ("1", "COMPLD"), ("2", "COMPLD"), ("ea", "COMPLD"), ("12345", "IIAC"),
        ("113", "IISP"), ("113", "COMPLD")]
    assert answers[6].description == "Input, Invalid Access Identifier"
    assert [row["1"] for row in answers[4].tables[0][1]] == ["172.20.222.225", "172.20.222.224"]
    alarms = [(event.severity, event.serial, event.name) for event in heard if isinstance(event, Alarm)]
    assert [(serial, name) for _, serial, name in alarms] == [
        ("243", "REPT ALM EQPT"), ("12", "REPT EVT T1"), ("13", "REPT EVT T1"), ("", "")]


def test_nokia_labels_with_colons_and_a_blank_line_under_a_header() -> None:
    heard = client("nokia-dx200", (VECTORS / "nokia-dx200.client.gateway.txt").read_bytes())
    analysis, gateway = (event for event in heard if isinstance(event, Report))
    assert (analysis.retcode, analysis.command) == ("0", "ZZRQI:ROU:NAME=AIMSI")
    assert analysis.fields["STATE OF SUBANALYSIS"] == "NORMAL SIDE"
    assert analysis.fields["DEFAULT RESULT"] == "CDNBR    : SUBANALYSIS"
    assert analysis.tables == ()
    assert gateway.fields["PACKAGE(S)"].splitlines() == ["0x0000 VER 1 (nat)", "0x0001 VER 1 (g)", "0x0002 VER 1 (root)"]
    assert gateway.fields["DOMAIN NAME"] == ""
    ((_, rows),) = gateway.tables
    assert [(row["NUMBER"], row["VALUE NAME"]) for row in rows] == [("0", "-"), ("50", "ATM AAL2"), ("51", "TOPOLOGY")]


ALMAF = """+++    HLR9820        2010-07-13 09:45:11
O&M    #3321
%%LST ALMAF:;%%
RETCODE = 0  Operation succeeded

ALARM  2101  Fault  Major  HLR  1022  Communication
       Sync serial No.  =  331
            Alarm name  =  Link failure

ALARM  2102  Fault  Minor  HLR  1023  Power
       Sync serial No.  =  332
            Alarm name  =  Fan stopped
          Cleared time  =  2010-07-13 09:12:00

(Number of results = 2)

To be continued...

---    END
+++    HLR9820        2010-07-13 09:45:12
O&M    #3322
%%LST ALMAF:;%%
RETCODE = 0  Operation succeeded

ALARM  2103  Fault  Warning  HLR  1024  Software
       Sync serial No.  =  333
            Alarm name  =  CPU overload

(Number of results = 1)

---    END
"""


def test_a_line_of_values_stands_over_each_record() -> None:
    joiner = Joiner()
    (whole,) = [w for w in map(joiner.add, client("huawei-text", ALMAF)) if w is not None]
    ((title, rows),) = whole.tables
    assert title == "rows"
    assert [list(row.values()) for row in rows] == [
        ["2101 Fault Major HLR 1022 Communication", "331", "Link failure"],
        ["2102 Fault Minor HLR 1023 Power", "332", "Fan stopped", "2010-07-13 09:12:00"],
        ["2103 Fault Warning HLR 1024 Software", "333", "CPU overload"]]
    assert list(rows[1]) == ["ALARM", "Sync serial No.", "Alarm name", "Cleared time"]


def test_a_title_may_lack_its_rule() -> None:
    (report,) = client("huawei-text", "+++  H  2020-01-01 00:00:00\nRETCODE = 0  ok\n\nSubscriber data\n   IMSI  =  24001\n"
                                      "   ISDN  =  \n---    END\n")
    assert (report.fields, report.tables) == ({"IMSI": "24001", "ISDN": ""}, ())
