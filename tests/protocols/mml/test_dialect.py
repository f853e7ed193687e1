"""A dialect file: what it must say, and what it is told when it is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from protocols.mml import Command, Dialect, DialectError, MmlClientCodec, MmlServerCodec, Report
from tests.protocols.mml.speaking import BUNDLED, DIALECTS, of


def put(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *steps, last = path.split(".")
    here: Any = data
    for step in steps:
        here = here[int(step)] if step.isdigit() else here.setdefault(step, {})
    here[int(last) if last.isdigit() else last] = value
    return data


def problems(name: str, path: str, value: Any) -> list[tuple[str, str]]:
    with pytest.raises(DialectError) as caught:
        Dialect.load(put(of(name), path, value))
    return [(".".join(map(str, where)), text) for where, text in caught.value.problems]


@pytest.mark.parametrize(("name", "path", "value", "where", "told"), [
    ("huawei-text", "sesion", {}, "sesion", "no such field; did you mean session?"),
    ("huawei-text", "session.keepalive", {"intervall": 3}, "session.keepalive.intervall", "did you mean interval?"),
    ("huawei-text", "report.outcomes.0.lime", "x", "report.outcomes.0.lime", "did you mean line?"),
    ("framed", "frame.header.3.widht", 8, "frame.header.3.widht", "did you mean width?"),
    ("huawei-text", "framing", "framd", "framing", "must be one of text, framed, records; did you mean framed?"),
    ("huawei-text", "session.correlation", "orders", "session.correlation", "did you mean order?"),
    ("framed", "frame.checksum.policy", "warning", "frame.checksum.policy", "did you mean warn?"),
    ("huawei-text", "charset", "utf-16", "charset", "not a charset that contains ASCII"),
    ("huawei-text", "charset", "klingon", "charset", "not a charset"),
    ("huawei-text", "max_bytes", 10, "max_bytes", "must be 256 or more"),
    ("huawei-text", "report.header", ["+++ {sorce}"], "report.header.0", "{sorce} cannot stand in a line"),
    ("huawei-text", "report.header", ["+++ {time}"], "report", "header: '+++ {time}' lacks {source}"),
    ("huawei-text", "report.outcomes", [], "report", "needs `outcomes`"),
    ("huawei-text", "report.outcomes.0", {"line": "DONE"}, "report.outcomes.0", "either the line holds {code} or `code` is given"),
    ("huawei-text", "report.success", [], "report", "needs `success` and `failure`"),
    ("huawei-text", "stream.report_ends", [], "", "needs `stream.report_ends`"),
    ("huawei-text", "stream.prompt_ends", True, "", "needs `session.prompts`"),
    ("huawei-text", "command.assign", ",", "command", "must differ"),
    ("huawei-text", "command.parameter", ":", "command", "`words` must be given"),
    ("huawei-text", "results.retryable", ["0"], "results", "0 stands in two classes"),
    ("huawei-text", "session.window", 4, "session", "needs correlation by transaction or ctag"),
    ("huawei-text", "command.confirmation", {"value": True, "verbs": ["RMV"]}, "command.confirmation.value", "is true to YAML"),
    ("huawei-text", "results.texts", [{"text": "NE gone", "code": 7}], "results.texts.0.code", "is 7 to YAML, not a text"),
    ("framed", "session.part_rows", 10, "", "needs what says that more follows"),
    ("huawei-text", "session.keepalive", {"send": "command"}, "session.keepalive", "`command` is given with"),
    ("huawei-text", "session.login", {"command": "LGI"}, "session.login", "needs `user`"),
    ("framed", "frame", None, "", "needs a `frame` section"),
    ("framed", "report.form", "lines", "report", "needs `outcomes`"),
    ("framed", "frame.header.0.width", 5, "frame", "multiple of 4"),
    ("framed", "frame.header.0.name", "session", "frame", "named twice"),
    ("framed", "frame.header.6.name", "number", "", "frame.header: lacks a field whose source is `transaction`"),
    ("framed", "frame.header.0.value", "1.0000", "frame", "wider than its field"),
    ("framed", "frame.header.0.source", "session", "frame", "two fields have the same source"),
])
def test_a_mistake_is_told_with_its_path_and_the_nearest_name(name: str, path: str, value: Any, where: str, told: str) -> None:
    found = problems(name, path, value)
    assert [w for w, _ in found] == [where]
    assert told in found[0][1]


def test_every_mistake_is_told_at_once() -> None:
    data = put(put(of("framed"), "frame.flagg", "X"), "session.windo", 1)
    with pytest.raises(DialectError, match=r"frame\.flagg.*did you mean flag.*session\.windo.*did you mean window"):
        Dialect.load(data)


def test_a_missing_part_is_named() -> None:
    data = of("huawei-text")
    del data["report"]
    with pytest.raises(DialectError, match=r"report: must be given"):
        Dialect.load(data)


def test_every_bundled_file_is_called_as_its_dialect() -> None:
    assert {stem: dialect.name for stem, dialect in BUNDLED.items()} == {stem: stem for stem in BUNDLED}
    assert set(DIALECTS) >= {"huawei-text", "framed", "framed-zte", "ericsson-axe", "ericsson-cai", "nokia-dx200", "zte-text", "tl1"}


@pytest.mark.parametrize(("code", "meaning"), [
    ("0", "success"), ("99999", "progress"), ("2001", "retryable"), ("ERR1301", "not_found"), ("ERR7", "retryable"), ("4711", "refused")])
def test_what_a_code_means(code: str, meaning: str) -> None:
    data = of("huawei-text")
    data["results"]["retryable"] += ["ERR*"]
    data["results"]["not_found"] += ["ERR13*"]
    assert Dialect.load(data).results.means(code) == meaning


OWN = {
    "dialect": "acme", "framing": "text", "charset": "latin-1",
    "stream": {"terminators": ["!"], "line_end": "\n", "report_ends": [{"line": "== DONE ==", "whole": True}]},
    "command": {"word_separators": ["-"], "assign": "/", "quote": "'", "escape": "double", "upper": False,
                "confirmation": {"parameter": "SURE", "value": "YES", "verbs": ["DELETE"]}, "flags": ["ALL"], "comments": False},
    "report": {"header": ["From {source} at {time}"], "outcomes": [{"line": "Status: {code} ({text})"}],
               "success": ["Status: {code} ({text})"], "failure": ["Status: {code} ({text})"], "gap": False,
               "fields": {"separators": [":"], "title": ""}, "tables": {"titles": "group"}},
    "results": {"success": ["OK"]},
}
"""A dialect nobody has."""


def test_a_dialect_written_from_the_knobs_alone_is_spoken_both_ways() -> None:
    dialect = Dialect.load(OWN)
    client, server = MmlClientCodec(dialect), MmlServerCodec(dialect)
    said = Command("DELETE LINE", (("Number", "46 70"), ("ALL", ""), ("Name", "O'Hara!")))
    wire = client.send(said)
    assert wire == b"DELETE-LINE:Number/'46 70',ALL,Name/'O''Hara!',SURE/YES!\n"
    (heard,) = server.receive_data(wire)
    assert isinstance(heard, Command)
    assert heard.name == "DELETE LINE"
    assert heard.parameters == (("NUMBER", "46 70"), ("ALL", ""), ("NAME", "O'Hara!"), ("SURE", "YES"))
    report = Report("OK", "all gone", {"Lines left": "3"}, (("lines", ({"no": "1", "who": "Al B"}, {"no": "2", "who": "C"})),),
                    source="EX 1", time="2026-11-24 10:00:00")
    wire = server.send(report)
    assert wire == (b"From EX 1 at 2026-11-24 10:00:00\nStatus: OK (all gone)\n  Lines left  :  3\n\nlines\nno  who\n1   Al B\n2   C\n"
                    b"\n== DONE ==\n")
    assert client.receive_data(wire) == [report]
