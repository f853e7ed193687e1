"""Requests out of a stream: the same ones however the stream is cut, and bounds that hold before anything is kept."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.soap.requests import MAX_HEADERS, RequestReader

STREAM = (b"POST /soap HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\n\r\nfirst"
          b"POST /soap?x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3\r\nond\r\n0\r\nTrailer: no\r\n\r\n"
          b"GET /soap?wsdl HTTP/1.0\r\n\r\n")


def read(*pieces: bytes, most: int = 100) -> RequestReader:
    reader = RequestReader(most)
    for piece in pieces:
        reader.feed(piece)
    return reader


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=20))
def test_the_same_requests_however_the_stream_is_cut(cuts):
    places = [0, *sorted(set(cuts)), len(STREAM)]
    reader = read(*(STREAM[a:b] for a, b in itertools.pairwise(places)))
    assert [(r.method, r.target, r.path, r.body, keep) for r, keep in reader.whole] == [
        (b"POST", b"/soap", b"/soap", b"first", True), (b"POST", b"/soap?x", b"/soap", b"second", True),
        (b"GET", b"/soap?wsdl", b"/soap", b"", False)]
    assert reader.whole[0][0].headers[b"x-a"] == b"1, 2"
    assert b"trailer" not in reader.whole[1][0].headers
    assert (reader.begun, reader.in_message, reader.refusal) == (3, False, None)


@pytest.mark.parametrize(("sent", "status"), [
    (b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101, 413),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 70_000 + b"\r\n", 413),
    (b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * (MAX_HEADERS + 2), 431),
    (b"POST /" + b"x" * 40_000 + b" HTTP/1.1\r\n", 431),
    (b"POST / HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Type: text/html\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01", 400),
])
def test_what_is_out_of_bounds_is_refused_and_read_no_further(sent, status):
    reader = read(sent)
    assert reader.refusal is not None
    assert reader.refusal[0] == status
    assert not reader.whole


def test_who_waits_to_be_told_to_send_the_body_is_asked_once():
    reader = read(b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
    assert [reader.expected(), reader.expected()] == [True, False]
    assert read(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab").expected() is False
