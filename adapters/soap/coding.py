"""Content codings: a gzipped request opened within its bound, a long reply gzipped for who takes it."""

from __future__ import annotations

import zlib
from typing import Final

from adapters.soap.http import Response
from adapters.soap.requests import Request

WORTH_IT: Final = 1_400
"""Shorter replies go into one packet anyway (bytes)."""
_GZIP = 16 + zlib.MAX_WBITS


class UnopenedError(Exception):
    """A body that cannot be opened; `status` is HTTP's."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def opened(body: bytes, coding: bytes, limit: int) -> bytes:
    """Undo a request's Content-Encoding. Raises UnopenedError: another coding, damaged, or more than `limit` bytes."""
    coding = coding.strip().lower()
    if coding in (b"", b"identity"):
        return body
    if coding not in (b"gzip", b"x-gzip"):
        raise UnopenedError(415, "the only content coding taken is gzip")
    inflater = zlib.decompressobj(_GZIP)
    try:
        text = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise UnopenedError(400, "the gzipped message is damaged") from None
    if len(text) > limit:
        raise UnopenedError(413, f"more than {limit} bytes")
    if not inflater.eof or inflater.unused_data:
        raise UnopenedError(400, "the gzipped message is damaged")
    return text


def close_for(request: Request, response: Response) -> None:
    """Gzip a response when it is long and the peer takes it. The same body gives the same bytes."""
    accepted = request.headers.get(b"accept-encoding")
    if accepted is None or len(response.body) < WORTH_IT or not any(_takes(part) for part in accepted.lower().split(b",")):
        return
    deflater = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    response.body = deflater.compress(response.body) + deflater.flush()
    response.headers += b"Content-Encoding: gzip\r\n"


def _takes(part: bytes) -> bool:
    coding, _, parameters = part.partition(b";")
    return coding.strip() in (b"gzip", b"*") and parameters.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
