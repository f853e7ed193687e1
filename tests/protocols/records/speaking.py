"""Dialects of records, the bundled ones and variants of each knob, and for each what it can say: strategies for property tests."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import strategies as st

from protocols.mml import Command, Dialect, Nested, Report
from tests.protocols.mml.speaking import BUNDLED, FOLDER

LETTERS = "abcXYZ019 _.:;=,&|'\"\\/*<>-%(){}[]é"


def of(name: str) -> dict[str, Any]:
    """A bundled file, parsed, to be changed."""
    data = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def changed(name: str, called: str, **record: Any) -> Dialect:
    """A bundled dialect with parts of its record section changed."""
    data = of(name)
    return Dialect.load({**data, "dialect": called, "record": {**data["record"], **record}})


ROW = {"row": {"kind": "ROW", "title": "TABLE"}}
SAME = {"*": ["KIND", "ID", "CODE", "TEXT", "A", "B", "C"]}
VARIANTS = [
    changed("records-delimited", "quoted", delimited={"separator": ";", "quote": '"', "escape": "double", "assign": "="}),
    changed("records-delimited", "quoted-escaped", delimited={"separator": ",", "quote": "'", "escape": "\\", "assign": ":"}),
    changed("records-delimited", "wide-separator", delimited={"separator": "~|~", "assign": "="}, frame={"kind": "marks"}),
    changed("records-delimited", "headed", layouts=SAME, answers={}, rows=None, delimited={"separator": "\t", "header": True}),
    changed("records-fixed", "unended", frame={"kind": "width"}),
    changed("records-fixed", "in-marks", frame={"kind": "marks", "start": "<<", "stop": ">>"}),
    changed("records-json", "counted", frame={"kind": "length", "length": {"width": 2, "base": "binary", "counts_itself": True}}),
    changed("records-json", "rpc", kind="method", code="error.code", text="error.message", assumed="0", more={"field": "more"}, document={
        "fields": "params", "answer_fields": "result", "constants": {"jsonrpc": "2.0"}}),
    changed("records-xml", "in-elements", frame={"kind": "length", "length": {"width": 5, "base": "decimal"}}, kind="head.command",
            id="head.id", code="head.code", text="head.text", session="", answer="{command}", document={
                "root": "message", "namespace": "urn:x", "fields": "body", "lists": ["body.T"]}),
]
RECORDS = {name: dialect for name, dialect in BUNDLED.items() if dialect.framing == "records"} | {d.name: d for d in VARIANTS}


def flat(dialect: Dialect) -> bool:
    assert dialect.record is not None
    return dialect.record.format in {"delimited", "fixed"}


def text(dialect: Dialect, most: int = 12) -> st.SearchStrategy[str]:
    """A value that the dialect can say: fixed fields end where their blanks begin."""
    assert dialect.record is not None
    marked = dialect.record.frame.kind == "marks" and dialect.record.frame.start == "<<"
    letters = LETTERS.replace("<", "").replace(">", "") if marked else LETTERS
    escapes = not flat(dialect) or (dialect.record.format == "delimited" and dialect.record.delimited.escape == "\\")
    more = "\n\t" if escapes else ""
    some = st.text(letters + more, min_size=1, max_size=most)
    return some.map(lambda s: s.strip() or "x") if flat(dialect) else some


def names(dialect: Dialect) -> st.SearchStrategy[str]:
    """Names of fields that have a place."""
    assert dialect.record is not None
    if dialect.name == "headed":
        return st.sampled_from(["A", "B", "C"])
    return st.from_regex(r"[A-Z][A-Z0-9_]{0,6}", fullmatch=True).filter(lambda n: n not in {"KIND", "ID", "CODE", "TEXT", "TABLE", "T"})


def nested(dialect: Dialect) -> st.SearchStrategy[str]:
    """A value with parts of its own."""
    leaf = text(dialect)
    name = st.sampled_from(["a", "b", "c"])
    several = st.lists(leaf, min_size=2, max_size=3)
    inner = st.dictionaries(name, st.one_of(leaf, several, st.dictionaries(name, leaf, min_size=1, max_size=2)), min_size=1, max_size=3)
    return st.one_of(inner, several, st.lists(inner, min_size=2, max_size=2)).map(Nested.of)


KEYS = st.text("0123456789ABCDEF", min_size=8, max_size=8).filter(lambda k: k.strip("0") != "")


@st.composite
def commands(draw: st.DrawFn, dialect: Dialect) -> Command:
    """A command the dialect can say."""
    assert dialect.record is not None
    one_word = dialect.command.max_words == 1
    if dialect.record.format == "fixed":
        name = draw(st.sampled_from(["ADD SUB", "LOGIN", "FLY"]))
        said = {"ADD SUB": ["IMSI", "ISDN"], "LOGIN": ["USER", "PASSWORD"]}.get(name, [])
        parameters = {key: draw(text(dialect)) for key in said if draw(st.booleans())}
    else:
        name = draw(st.sampled_from(["ADDSUB", "FLY"] if one_word else ["ADD SUB", "LST SUB"]))
        values = text(dialect) if flat(dialect) else st.one_of(text(dialect), nested(dialect))
        parameters = draw(st.dictionaries(names(dialect), values, max_size=5))
        if dialect.name == "headed":
            parameters = {key: parameters[key] for key in "ABC" if key in parameters}
        elif name == "LST SUB" and dialect.record.format == "delimited":
            parameters = {key: parameters[key] for key in ["IMSI", *parameters] if key in parameters}
    return Command(name, tuple(parameters.items()), name, transaction=draw(KEYS), session=draw(KEYS) if dialect.record.session else "")


@st.composite
def reports(draw: st.DrawFn, dialect: Dialect) -> Report:
    """An answer the dialect can say."""
    record = dialect.record
    assert record is not None
    code, told = draw(st.sampled_from(["0", "1301", "77"])), draw(text(dialect, 20))
    if flat(dialect):
        told = " ".join(told.split())
    one_word = dialect.command.max_words == 1
    if record.format == "fixed":
        command = draw(st.sampled_from(["LST SUB", "FLY"]))
        fields = {key: draw(text(dialect, 10)) for key in ["IMSI", "ISDN", "STATE"] if command == "LST SUB" and draw(st.booleans())}
        tables: dict[str, Any] = {}
    else:
        command = draw(st.sampled_from(["ADDSUB"] if one_word else ["ADD SUB", "FLY"]))
        values = text(dialect) if flat(dialect) else st.one_of(text(dialect), nested(dialect))
        fields = draw(st.dictionaries(names(dialect), values, max_size=5))
        fields = {k: v for k, v in fields.items() if not isinstance(v, Nested) or not _is_table(v.value)}
        row = st.dictionaries(names(dialect), text(dialect), min_size=1, max_size=3)
        tables = draw(st.dictionaries(st.just("T"), st.lists(row, min_size=2, max_size=3).map(tuple), max_size=1))
        if dialect.name == "headed":
            fields, tables = {key: fields[key] for key in "ABC" if key in fields}, {}
    return Report(code, told, fields, tuple(tables.items()), command, transaction=draw(KEYS), session=draw(KEYS) if record.session else "",
                  more=record.more is not None and draw(st.booleans()))


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(i, dict) and all(isinstance(v, str) for v in i.values()) for i in value)
