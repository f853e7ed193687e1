"""Cutting a byte stream into messages: text ended by `;` outside quotes, report blocks, and `SC` frames."""

from __future__ import annotations

import re
from collections.abc import Iterator

from protocols.base import RemoteProtocolError

Cut = bytes | RemoteProtocolError
FLAG = b"`SC`"
_PLAIN = re.compile(rb'[;"]|/\*')
_QUOTED = re.compile(rb'["\\\n]')
_END = re.compile(rb"^---+[ \t]+END[ \t]*\r?\n", re.MULTILINE)
_HEX = re.compile(rb"[0-9A-Fa-f]{4}\Z")


class TextCutter:
    """Cuts commands. Looks at each byte once, however it arrives; a line end inside quotes is where a lost quote ends."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._at = 0
        self._inside = b""

    def cut(self, data: bytes) -> Iterator[Cut]:
        """Take bytes; give each whole command without its `;`, and what went wrong."""
        self._held += data
        start = 0
        while (found := self._next()) is not None:
            whole, bad = bytes(self._held[start:found]), self._inside == b"\n"
            start = self._at
            if bad:
                self._inside = b""
                yield RemoteProtocolError("a quoted value is not closed on its line")
            elif len(whole) > self._limit:
                yield RemoteProtocolError(f"longer than {self._limit} bytes")
            else:
                yield whole
        del self._held[:start]
        self._at -= start
        if len(self._held) > self._limit:
            self._held.clear()
            self._at = 0
            yield RemoteProtocolError(f"longer than {self._limit} bytes", fatal=True)

    def _next(self) -> int | None:
        """Index of the next terminator, or None until more arrives."""
        held = self._held
        while True:
            if self._inside == b"/*":
                end = held.find(b"*/", self._at)
                if end < 0:
                    self._at = max(self._at, len(held) - 1)
                    return None
                self._at, self._inside = end + 2, b""
                continue
            found = (_QUOTED if self._inside else _PLAIN).search(held, self._at)
            if found is None:
                # a slash at the very end may be half of a comment's opening
                self._at = max(self._at, len(held) - (not self._inside and held.endswith(b"/")))
                return None
            what = found[0]
            if what == b"\\":
                if found.end() == len(held):
                    self._at = found.start()
                    return None
                self._at = found.end() + (held[found.end()] != 0x0A)
                continue
            self._at = found.end()
            if what in {b";", b"\n"}:
                self._inside = b"\n" if what == b"\n" else b""
                return found.start()
            self._inside = b"" if self._inside else what


class ReportCutter:
    """Cuts report blocks at their `---    END` line."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._at = 0

    def cut(self, data: bytes) -> Iterator[Cut]:
        """Take bytes; give each whole report."""
        self._held += data
        while found := _END.search(self._held, self._at):
            whole = bytes(self._held[:found.start()])
            del self._held[:found.end()]
            self._at = 0
            yield whole if len(whole) <= self._limit else RemoteProtocolError(f"longer than {self._limit} bytes")
        self._at = self._held.rfind(b"\n") + 1
        if len(self._held) > self._limit:
            self._held.clear()
            self._at = 0
            yield RemoteProtocolError(f"longer than {self._limit} bytes", fatal=True)


class FrameCutter:
    """Cuts `SC` frames; skips to the next flag when between them stands anything else."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()

    def cut(self, data: bytes) -> Iterator[Cut]:
        """Take bytes; give each whole frame from its flag to its checksum."""
        held = self._held
        held += data
        at = 0
        while True:
            found = held.find(FLAG, at)
            if found < 0:
                keep = next((n for n in (3, 2, 1) if held[at:].endswith(FLAG[:n])), 0)
                at = len(held) - keep
                break
            at = found
            if len(held) - at < 8:
                break
            size = bytes(held[at + 4:at + 8])
            length = int(size, 16) if _HEX.match(size) else -1
            if length < 4 or length + 16 > self._limit:
                yield RemoteProtocolError(f"the frame's length is {'not allowed' if length >= 0 else 'not hexadecimal'}")
                at += 4
                continue
            if len(held) - at < length + 16:
                break
            yield bytes(held[at:at + length + 16])
            at += length + 16
        del held[:at]


def checksum(data: bytes) -> bytes:
    """XOR of all big-endian 32-bit words, inverted, as eight hexadecimal digits; a short last word is zero-filled."""
    data += bytes(-len(data) % 4)
    number = int.from_bytes(data, "big")
    bits = len(data) * 8
    while bits > 32:  # fold halves: whole words stay aligned, and the work halves each time
        half = (bits // 64) * 32
        number = (number >> half) ^ (number & ((1 << half) - 1))
        bits -= half
    return b"%08X" % (number ^ 0xFFFFFFFF)
