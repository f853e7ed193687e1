"""Requests out of a stream of bytes (HTTP/1.1, RFC 9112), without sockets: every bound is kept before anything is stored."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import httptools

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 32_768
_ONCE = (b"authorization", b"content-type", b"content-encoding", b"soapaction", b"host")


@dataclass(slots=True)
class Request:
    """A whole request. Header names are in small letters; a header sent several times is joined with commas."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes = b""

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]


class _Rejected(Exception):
    """Stops the parser."""


class RequestReader:
    """One peer's requests, of `max_request` bytes at most. Nothing more is read when there is a `refusal`, a status and the reason, or
    after an `upgrade` to another protocol. `whole` holds the requests that have come, each with whether the connection may stay;
    `begun` counts those that have begun.
    """

    def __init__(self, max_request: int) -> None:
        self.whole: deque[tuple[Request, bool]] = deque()
        self.refusal: tuple[int, str] | None = None
        self.upgrade = False
        self.begun = 0
        self._max_request = max_request
        self._parser = httptools.HttpRequestParser(self)
        self._reset()

    def _reset(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._header_count = self._header_bytes = self._size = self._raw = 0
        self._chunks: list[bytes] = []
        self.in_message = self._in_body = self._expects = False

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        try:
            self._parser.feed_data(data)
            self._raw += len(data)
            if self.in_message and self._raw > 2 * (self._max_request + MAX_HEADER_BYTES):
                self._reject(413, "too much between the bytes that count")
        except httptools.HttpParserUpgrade:
            self.upgrade = True
        except (httptools.HttpParserError, _Rejected):
            self.refusal = self.refusal or (400, "not HTTP/1.1")

    def head(self) -> Request | None:
        """What is known of the request that is being read."""
        return self._request() if self._target else None

    def expected(self) -> bool:
        """Whether the peer waits to be told that it may send the body of its request; asked once."""
        expects, self._expects = self._expects, False
        return expects

    def _request(self, body: bytes = b"") -> Request:
        return Request(self._parser.get_method(), self._target, self._headers, body)

    def _reject(self, status: int, reason: str) -> None:
        """Read no further: the parser stops at what a callback raises."""
        self.refusal = (status, reason)
        raise _Rejected(reason)

    # What the parser tells us

    def on_message_begin(self) -> None:
        """The parser's: the first byte of a request."""
        self._reset()
        self.in_message = True
        self.begun += 1

    def on_url(self, part: bytes) -> None:
        """The parser's: a part of the target."""
        self._target += part
        self._bound_headers(len(part))

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's: a header (or, behind a chunked body, a trailer, which nobody needs)."""
        self._header_count += 1
        self._bound_headers(len(name) + len(value))
        if self._in_body:
            return
        name = name.lower()
        if name in self._headers:
            if name in _ONCE:
                self._reject(400, f"the header {name.decode('latin-1')} stands twice")
            value = self._headers[name] + b", " + value
        self._headers[name] = value

    def _bound_headers(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES or self._header_count > MAX_HEADERS:
            self._reject(431, "too many headers")

    def on_headers_complete(self) -> None:
        """The parser's: the body follows."""
        self._in_body = True
        length = self._headers.get(b"content-length")
        if length is not None and int(length) > self._max_request:
            self._reject(413, f"more than {self._max_request} bytes")
        self._expects = self._headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, part: bytes) -> None:
        """The parser's: a part of the body."""
        self._size += len(part)
        if self._size > self._max_request:
            self._reject(413, f"more than {self._max_request} bytes")
        self._chunks.append(part)

    def on_message_complete(self) -> None:
        """The parser's: the request is whole."""
        self.in_message = self._expects = False
        chunks = self._chunks
        self.whole.append((self._request(chunks[0] if len(chunks) == 1 else b"".join(chunks)), self._parser.should_keep_alive()))
