"""Telnet: what is text comes through whole, options are settled once, and splitting changes nothing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adapters.mml.telnet import DO, DONT, ECHO, IAC, SB, SE, SUPPRESS_GO_AHEAD, WILL, WONT, Telnet

CHUNKS = st.lists(st.one_of(
    st.binary(max_size=8), st.just(bytes((IAC, IAC))), st.binary(max_size=6).map(lambda b: bytes((IAC, SB)) + b + bytes((IAC, SE))),
    st.tuples(st.sampled_from([DO, DONT, WILL, WONT]), st.integers(0, 254)).map(lambda o: bytes((IAC, *o)))), max_size=8).map(b"".join)


def test_what_is_welcome_is_agreed_to_and_the_rest_refused() -> None:
    asked = bytes((IAC, WILL, ECHO, IAC, WILL, 31, IAC, DO, 24, IAC, DO, SUPPRESS_GO_AHEAD))
    assert Telnet().receive(b"lo" + asked + b"gin:") == (
        b"login:", bytes((IAC, DO, ECHO, IAC, DONT, 31, IAC, WONT, 24, IAC, WILL, SUPPRESS_GO_AHEAD)))


def test_an_option_that_is_settled_is_not_answered_again() -> None:
    telnet = Telnet()
    assert telnet.receive(bytes((IAC, WILL, ECHO)))[1]
    assert telnet.receive(bytes((IAC, WILL, ECHO, IAC, WONT, SUPPRESS_GO_AHEAD, IAC, DONT, 24))) == (b"", b"")
    assert telnet.receive(bytes((IAC, WONT, ECHO))) == (b"", bytes((IAC, DONT, ECHO)))


def test_subnegotiations_and_doubled_bytes() -> None:
    assert Telnet().receive(bytes((IAC, SB, 24, 1, IAC, SE)) + b"a" + bytes((IAC, IAC)) + b"b\0") == (b"a\xffb", b"")
    assert Telnet.escaped(b"a\xffb") == b"a\xff\xffb"


@given(CHUNKS, st.lists(st.integers(0, 100), max_size=6))
def test_splitting_anywhere_changes_nothing(data: bytes, cuts: list[int]) -> None:
    whole = Telnet().receive(data)
    telnet, text, answer = Telnet(), b"", b""
    places = sorted({0, len(data), *(min(c, len(data)) for c in cuts)})
    for start, stop in pairwise(places):
        piece, said = telnet.receive(data[start:stop])
        text, answer = text + piece, answer + said
    assert (text, answer) == whole


@given(st.lists(st.tuples(st.sampled_from([DO, DONT, WILL, WONT]), st.integers(0, 5)), max_size=10))
def test_two_sides_never_go_on_for_ever(options: list[tuple[int, int]]) -> None:
    here, there = Telnet(), Telnet()
    said = b"".join(bytes((IAC, *o)) for o in options)
    for _ in range(40):
        said = here.receive(there.receive(said)[1])[1]
    assert not said


@given(st.binary(max_size=64).filter(lambda b: b"\0" not in b))
def test_what_is_sent_arrives(data: bytes) -> None:
    assert Telnet().receive(Telnet.escaped(data)) == (data, b"")
