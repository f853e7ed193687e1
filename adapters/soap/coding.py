"""Content codings: a gzipped request opened within its bound, a long reply gzipped for who takes it."""

from __future__ import annotations

import zlib
from typing import Final

from plugins.api import Failure, Kind

WORTH_IT: Final = 1_400
"""Shorter replies go into one packet anyway (bytes)."""
_GZIP = 16 + zlib.MAX_WBITS


def opened(body: bytes, coding: bytes, limit: int) -> bytes:
    """Undo a request's Content-Encoding. Raises Failure(MALFORMED): another coding, damaged, or more than `limit` bytes."""
    coding = coding.strip().lower()
    if coding in (b"", b"identity"):
        return body
    if coding not in (b"gzip", b"x-gzip"):
        raise Failure(Kind.MALFORMED, "the only content coding taken is gzip")
    inflater = zlib.decompressobj(_GZIP)
    try:
        text = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise Failure(Kind.MALFORMED, "the gzipped message is damaged") from None
    if len(text) > limit:
        raise Failure(Kind.MALFORMED, f"more than {limit} bytes")
    if not inflater.eof or inflater.unused_data:
        raise Failure(Kind.MALFORMED, "the gzipped message is damaged")
    return text


def closed_for(accepted: bytes, body: bytes) -> bytes | None:
    """Gzip a reply when it is long and the peer takes it; None when it goes as it is. The same body gives the same bytes."""
    if len(body) < WORTH_IT or not any(_takes(part) for part in accepted.lower().split(b",")):
        return None
    deflater = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return deflater.compress(body) + deflater.flush()


def _takes(part: bytes) -> bool:
    coding, _, parameters = part.partition(b";")
    return coding.strip() in (b"gzip", b"*") and parameters.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
