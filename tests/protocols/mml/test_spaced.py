"""Command lines: parameters parted by blanks, in the shapes that a dialect file can give them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml import Command, Dialect, DialectError, MmlClientCodec, MmlServerCodec, Report
from protocols.mml.grammar import CommandGrammar
from protocols.mml.spaced import SpacedLanguage

SHAPES: dict[str, dict[str, Any]] = {
    "add subscriber IMSI=1": {"block": " ", "words": 2, "single_words": ["login"], "upper": False},
    "show sub imsi 1 all": {"block": " ", "words": 2, "assign": " ", "flags": ["all"], "upper": False},
    "ADD-SUB 1 NAME=2": {"block": " ", "words": 1, "word_separators": ["-"], "style": "mixed"},
    "ADD SUB: IMSI=1": {"block": ":"},
    "ADD SUB: 1 2": {"block": ":", "style": "positional", "block_always": False},
}


def language(shape: str, mask: tuple[str, ...] = (), **more: Any) -> SpacedLanguage:
    return SpacedLanguage(CommandGrammar(parameter=" ", **SHAPES[shape], **more), mask)


@pytest.mark.parametrize(("shape", "text", "name", "parameters"), [
    ("add subscriber IMSI=1", '  add   subscriber imsi=24201  profile="gold plan" ', "ADD SUBSCRIBER",
     (("IMSI", "24201"), ("PROFILE", "gold plan"))),
    ("add subscriber IMSI=1", "login user=x", "LOGIN", (("USER", "x"),)),
    ("show sub imsi 1 all", 'show sub imsi 24201 all name "a b"', "SHOW SUB", (("IMSI", "24201"), ("ALL", ""), ("NAME", "a b"))),
    ("ADD-SUB 1 NAME=2", "ADD-SUB 4790 NAME=Ann X=1&2", "ADD SUB", (("1", "4790"), ("NAME", "Ann"), ("X", "1&2"))),
    ("ADD SUB: IMSI=1", "ADD SUB:IMSI=1 /* why */ ISDN=2", "ADD SUB", (("IMSI", "1"), ("ISDN", "2"))),
    ("ADD SUB: 1 2", "ADD SUB: 1 2", "ADD SUB", (("1", "1"), ("2", "2"))),
    ("ADD SUB: 1 2", "ADD SUB", "ADD SUB", ()),
])
def test_a_line_is_read(shape: str, text: str, name: str, parameters: tuple[tuple[str, str], ...]) -> None:
    command = language(shape).parse(text)
    assert (command.name, command.parameters) == (name, parameters)


@pytest.mark.parametrize(("shape", "text", "said", "position"), [
    ("add subscriber IMSI=1", "add subscriber imsi", "imsi has no value", 15),
    ("add subscriber IMSI=1", "add subscriber im/si=1", "not NAME=value", 15),
    ("add subscriber IMSI=1", 'add subscriber imsi="1', "not closed", 15),
    ("add subscriber IMSI=1", "", "name comes first", 0), ("add subscriber IMSI=1", "24 201", "name comes first", 0),
    ("show sub imsi 1 all", "show sub all imsi", "imsi has no value", 13),
    ("ADD SUB: IMSI=1", "ADD SUB:" + "A=1 " * 600, "more than 512", None)])
def test_what_is_no_command_is_told_with_its_place(shape: str, text: str, said: str, position: int | None) -> None:
    with pytest.raises(RemoteProtocolError, match=said) as refused:
        language(shape).parse(text)
    assert position is None or refused.value.position == position


VALUES = st.text('abZ01 ._-/:;=,&"\\é', min_size=1, max_size=12).map(str.strip).filter(bool)
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True).filter(lambda name: name != "ALL")


@st.composite
def commands(draw: st.DrawFn, shape: str) -> Command:
    style = SHAPES[shape].get("style", "named")
    parameters = []
    for number in range(1, draw(st.integers(0, 5)) + 1):
        positional = style == "positional" or (style == "mixed" and draw(st.booleans()))
        parameters.append((str(number) if positional else draw(NAMES), draw(VALUES)))
    return Command("ADD SUB", tuple(parameters))


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_command_comes_back_as_it_was(shape: str, data: st.DataObject) -> None:
    speaks = language(shape, list_separator="", range_separator="")
    said = data.draw(commands(shape))
    try:
        text = speaks.pack(said)
    except LocalProtocolError:
        assert SHAPES[shape].get("style") == "mixed"  # a value with `=` in it cannot stand without a name
        return
    heard = speaks.parse(text)
    assert (heard.name, heard.parameters) == (said.name, said.parameters)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=100, deadline=None)
@given(text=st.text('adsub AIMS01=:"\\/*-&\n\té', max_size=40))
def test_nothing_else_is_ever_raised(shape: str, text: str) -> None:
    with suppress(RemoteProtocolError):
        language(shape).parse(text)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", ["a" * 60_000, '"' * 60_000, '\\"' * 30_000, "=" * 60_000, "/*" * 30_000], ids=lambda text: text[:2])
def test_a_long_line_ends_too(shape: str, text: str) -> None:
    """A way that looks at bytes again and again would take minutes, and the test's time runs out."""
    with suppress(RemoteProtocolError):
        language(shape).parse(f"ADD SUB: {text}")


def test_secrets_are_hidden_where_they_stand() -> None:
    heard = language("show sub imsi 1 all", ("pwd", "set sub:key")).parse('set sub pwd "a b" name pwd key k')
    assert heard.raw == 'set sub pwd ***** name pwd key *****'
    assert dict(heard.parameters) == {"PWD": "a b", "NAME": "pwd", "KEY": "k"}


@pytest.mark.parametrize(("command", "said"), [
    (Command("ADD SUB", (("ALL", "x"),)), "cannot have this value"), (Command("ADD SUB", (("A.B", "x"),)), "not a parameter name"),
    (Command("ADD", ()), "not a command name"), (Command("ADD SUB", (("A", "x\ny"),)), "control character")])
def test_what_cannot_be_said_is_not_sent(command: Command, said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        language("show sub imsi 1 all").pack(command)


@pytest.mark.parametrize(("grammar", "said"), [
    ({"block": " "}, "blanks only where `parameter`"), ({"parameter": " ", "block": " "}, "`words` must say"),
    ({"parameter": " ", "assign": " ", "style": "mixed"}, "cannot be mixed"), ({"assign": "ab"}, "one punctuation character, or a blank"),
    ({"parameter": " ", "leading": ["tid"]}, "cannot be where"), ({"parameter": " ", "plain": "a-z "}, "cannot hold a blank")])
def test_a_grammar_that_cannot_be_is_refused_in_words(grammar: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CommandGrammar(**grammar)


ROUTER = {"dialect": "router", "framing": "text", "charset": "utf-8",
          "stream": {"terminators": ["\n"], "prompt_ends": True, "line_end": "\r\n", "report_ends": [{"line": "--- end", "whole": True}]},
          "command": {"parameter": " ", "block": " ", "assign": " ", "words": 2, "single_words": ["EXIT"], "upper": False},
          "report": {"form": "lines", "outcomes": [{"line": "ok", "code": "0"}, {"line": "% {code} {text}"}], "success": ["ok"],
                     "failure": ["% {code} {text}"], "end_after_outcome": False, "outcome_first": False, "echo": ["router1> {echo}"],
                     "assumed": "0", "assumed_at_prompt": True},
          "results": {"success": ["0"]}, "session": {"prompts": ["router1> "], "correlation": "order"}}


def answers(client: MmlClientCodec, data: bytes) -> list[Report]:
    return [event for event in client.receive_data(data) if isinstance(event, Report)]


def test_a_router_is_served_and_driven() -> None:
    dialect = Dialect.load(ROUTER)
    client, server = MmlClientCodec(dialect), MmlServerCodec(dialect)
    line = client.send(Command("show subscriber", (("imsi", "24201"), ("name", "Ann Lee"))))
    assert line == b'show subscriber imsi 24201 name "Ann Lee"\r\n'
    (heard,) = server.receive_data(line)
    assert (heard.name, dict(heard.parameters)) == ("SHOW SUBSCRIBER", {"IMSI": "24201", "NAME": "Ann Lee"})
    refused = answers(client, server.send(Report("7", "no such subscriber")) + b"router1> ")
    assert [(read.retcode, read.description) for read in refused] == [("7", "no such subscriber")]
    (shown,) = answers(client, b"Interface  State  Speed\r\ngi0/0      up     1000\r\ngi0/1      down   100\r\n\r\nrouter1> ")
    assert (shown.retcode, shown.tables[0][1][1]) == ("0", {"Interface": "gi0/1", "State": "down", "Speed": "100"})
    assert answers(client, b"\r\nrouter1> ") == []


def test_the_login_is_known_however_it_is_written() -> None:
    session = {**ROUTER["session"], "login": {"command": "login", "user": "user", "secret": "password"}, "logout": "exit"}
    dialect = Dialect.load({**ROUTER, "session": session})
    assert (dialect.login.command, dialect.login.user, dialect.login.secret, dialect.logout) == ("LOGIN", "USER", "PASSWORD", "EXIT")
    assert dialect.session.login.command == "login"  # what we say ourselves is written as it stands


def test_a_wrong_mark_is_told_in_words() -> None:
    with pytest.raises(DialectError, match="one punctuation character, or a blank"):
        Dialect.load({**ROUTER, "command": {"assign": "is"}})
