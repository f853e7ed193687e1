from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from adapters.store import journal
from adapters.store.engine import open_engine
from adapters.store.journal import BadLine, Selection, export, parsed, take_in
from adapters.store.tables import inbox, metadata
from core.messages.base import as_json
from gateway.observability import masked
from tests.adapters.store.small import Answer, Ask, Put, Things, message

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def engine(url):
    made = open_engine(url)
    metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def empty(tmp_path):
    made = open_engine(f"sqlite:///{tmp_path}/other.db")
    metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(journal, "_PAGE", 3)


ONE = Things(number=1)


def row(number, body=None, reply=ONE, **more):
    at = NOON + number * MINUTE
    envelope = message(body or Put(id=str(number), name="Zoë"), at, name=f"m{number}", key=f"k{number}", **more)
    return {"address": "small", "message_id": envelope.message_id, "correlation_id": envelope.correlation_id, "party": envelope.party,
            "idempotency_key": envelope.idempotency_key, "session": "", "type": envelope.type, "envelope": envelope.to_json().decode(),
            "received": round(at.timestamp() * 1000), "pending": reply is None, "reply_type": reply and type(reply).__name__,
            "reply": reply and as_json(reply)}


def put(engine, *rows):
    with engine.begin() as connection:
        connection.execute(insert(inbox), list(rows))


def everything(engine):
    with engine.connect() as connection:
        return [{k: v for k, v in r.items() if k != "seq"} for r in connection.execute(select(inbox).order_by(inbox.c.seq)).mappings()]


def test_what_goes_out_comes_back_byte_for_byte(engine, empty):
    rows = [row(n) for n in range(10)]
    rows[4] = row(4, Ask(question="?"), None)
    rows[5]["idempotency_key"] = None
    rows[6]["reply"] = '{"number": 1.50}'  # JSON that is written otherwise here: from another version, or by hand
    put(engine, *rows)
    lines = list(export(engine, Selection()))
    taken = take_in(empty, lines)
    assert (taken.added, taken.present, taken.refused) == (10, 0, [])
    assert everything(empty) == rows
    again = take_in(empty, lines)
    assert (again.added, again.present, again.refused) == (0, 10, [])
    assert everything(empty) == rows
    assert take_in(engine, lines).present == 10


def test_lines_are_json_for_other_programs(empty):
    put(empty, row(0))
    [line] = map(json.loads, export(empty, Selection()))
    assert line["envelope"]["body"] == {"id": "0", "name": "Zoë", "how": "insert"}
    assert line["received"] == "2026-03-15T12:00:00+00:00"
    assert (line["replyType"], line["reply"], line["key"], line["pending"]) == ("Things", {"number": 1}, "k0", False)


SELECTIONS = [
    (Selection(), [0, 1, 2, 3, 4, 5, 6]),
    (Selection(since=NOON + 2 * MINUTE, until=NOON + 5 * MINUTE), [2, 3, 4]),
    (Selection(party="shop"), [6]),
    (Selection(type="Answer"), [5]),
    (Selection(correlation="m1"), [1]),
    (Selection(party="crm", type="Put", since=NOON + 3 * MINUTE), [3, 4]),
    (Selection(until=NOON), []),
]


def test_a_selection(engine):
    put(engine, *[row(n) for n in range(5)], row(5, Answer(text="!")), row(6, party="shop"))
    for selection, wanted in SELECTIONS:
        found = [json.loads(line)["envelope"]["head"]["messageId"] for line in export(engine, selection)]
        assert found == [f"m{n}" for n in wanted], selection


def test_a_page_holds_no_transaction_open(engine):
    put(engine, *[row(n) for n in range(7)])
    lines = export(engine, Selection())
    next(lines)
    assert engine.pool.checkedout() == 0


def test_a_dry_run_writes_nothing(engine, empty):
    put(empty, *[row(n) for n in range(4)])
    lines = list(export(empty, Selection()))
    assert take_in(engine, lines, dry_run=True).added == 4
    assert everything(engine) == []
    assert take_in(engine, lines).added == 4


def test_what_was_exported_before_its_answer_contradicts_nothing(engine, empty):
    put(empty, row(1, reply=None))
    lines = list(export(empty, Selection()))
    put(engine, row(1))
    before = everything(engine)
    taken = take_in(engine, lines)
    assert (taken.added, taken.present, taken.refused) == (0, 1, [])
    assert everything(engine) == before


def test_what_contradicts_the_journal_is_named_by_its_line(engine, empty):
    put(empty, *[row(n) for n in range(5)])
    lines = list(export(empty, Selection()))
    there = [row(0), row(1, reply=Things(number=2)), row(2, Put(id="2", name="another")), {**row(3), "message_id": "other"}]
    put(engine, *there)
    heard = []
    taken = take_in(engine, [*lines, b"\n", lines[0]], refused=lambda *what: heard.append(what))
    assert taken.refused == heard == [
        (2, "message m1 is there, with another reply; what is there was left"),
        (3, "message m2 is there, with another envelope; what is there was left"),
        (4, "key: party crm has used it for another message, other; what is there was left")]
    assert (taken.added, taken.present) == (1, 2)
    assert everything(engine) == [*there, row(4)]


def test_what_contradicts_itself_is_named_too(empty, engine):
    lines = []
    for line in ({**row(0)}, {**row(0), "reply": '{"number":9}'}, {**row(1), "idempotency_key": "k0"}):
        put(empty, line)
        lines += export(empty, Selection())
        with empty.begin() as connection:
            connection.execute(inbox.delete())
    assert [number for number, _ in take_in(engine, lines).refused] == [2, 3]
    assert everything(engine) == [row(0)]


GOOD = {"address": "small", "received": "2026-03-15T12:00:00Z", "pending": False, "key": None, "replyType": None, "reply": None,
        "envelope": {"head": {"messageId": "m", "correlationId": "c", "party": "", "session": "", "type": "Put"}, "body": {}}}


@pytest.mark.parametrize(("change", "says"), [
    (b"<xml/>", "is not JSON"),
    (b"[]", "the line: "),
    ({"address": 7}, "address: "),
    ({"address": ""}, "address: "),
    ({"received": "noon"}, "received: "),
    ({"received": "2026-03-15T12:00:00"}, "received: "),
    ({"pending": "no"}, "pending: "),
    ({"extra": 1}, "extra: "),
    ({"key": "k" * 256}, "key: "),
    ({"replyType": "Things"}, "reply: reply and replyType come together"),
    ({"envelope": "{"}, "is not JSON"),
    ({"envelope": {"head": {}, "body": {}}}, "envelope.head.messageId: "),
    ({"envelope": {"head": {**GOOD["envelope"]["head"], "type": "T" * 97}, "body": {}}}, "envelope.head.type: "),
    ({"masked": True}, "masked: was exported with --mask"),
])
def test_a_bad_line_says_what_is_wrong(change, says):
    with pytest.raises(BadLine) as bad:
        parsed(change if isinstance(change, bytes) else json.dumps({**GOOD, **change}).encode())
    assert str(bad.value).startswith(says)


def test_the_others_go_in_beside_a_bad_line(empty):
    taken = take_in(empty, [b"{}", json.dumps(GOOD).encode()])
    assert [number for number, _ in taken.refused] == [1]
    assert taken.added == 1


def test_masked_lines_hide_subscribers(empty):
    body = Put(id="call 491701234567 now", name="x")
    put(empty, row(0, body))
    [line] = export(empty, Selection(), masked)
    assert b"491701234567" not in line
    assert b"call *** now" in line
    assert take_in(empty, [line]).refused
    assert masked({"productCharacteristic": [{"name": "MSISDN", "value": "123"}, {"name": "OFFER", "value": "123"}], "password": "p"}) == {
        "productCharacteristic": [{"name": "MSISDN", "value": "***"}, {"name": "OFFER", "value": "123"}], "password": "***"}
