"""Frames with a length: cutting them out of a stream, reading and writing their header, the checksum."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.frame_model import Frame, HeaderField

_HEARD = frozenset({"session", "dialogue", "transaction"})
"""What a message takes from its frame's header."""
_BLOCK = 512
_FOLDS = (2048, 1024, 512, 256, 128, 64, 32)
"""The checksum takes so many bytes at once, and folds them half on half down to one word. Words stay aligned all the way."""
_MOST_RETRIES = 8
"""Flags inside a frame with a wrong checksum that are tried as the beginning of the next one."""


class Piece(NamedTuple):
    """A frame's header and body, and whether its checksum was right. A heartbeat has neither."""

    covered: bytes
    sound: bool
    heartbeat: bool = False


class FrameCutter:
    """Cuts frames; skips to the next flag when between them stands anything else."""

    def __init__(self, frame: Frame, limit: int) -> None:
        self._frame = frame
        self._flag = frame.flag.encode()
        self._length = frame.length
        self._check = frame.checksum_width
        self._least = sum(f.width for f in frame.header)
        self._most = min(frame.length.maximum, limit)
        self._heartbeat = frame.heartbeat.encode().upper()
        digits = {"hex": "[0-9A-Fa-f]", "decimal": "[0-9]", "binary": "."}[frame.length.base]
        self._opening = re.compile(re.escape(self._flag) + f"({digits}{{{frame.length.width}}})".encode(), re.DOTALL)
        beat = self._opening.match(self._heartbeat)
        self._beat_size = -1 if beat is None else self._told(beat[1])
        self._held = bytearray()
        self._bad_until = 0
        self._retries = 0

    def cut(self, data: bytes) -> Iterator[Piece | RemoteProtocolError]:
        """Take bytes; give each whole frame."""
        held = self._held
        held += data
        at = 0
        while True:
            found = held.find(self._flag, at)
            if found < 0:
                at = self._partial_flag(at)
                break
            at = found
            start = at + len(self._flag) + self._length.width
            opened = self._opening.match(held, at)
            size = -1 if opened is None else self._told(opened[1])
            if size == self._beat_size or not self._least <= size <= self._most:
                beat = self._beats(at)
                if beat is None or len(held) < start:
                    break
                if beat:
                    yield Piece(b"", sound=True, heartbeat=True)
                    at += len(self._heartbeat)
                    continue
                if opened is None or not self._least <= size <= self._most:
                    yield RemoteProtocolError("the frame's length is not " + ("a number" if opened is None else "allowed"),
                                              fatal=not self._flag)
                    if not self._flag:  # nothing tells where the next one begins
                        held.clear()
                        return
                    at += 1  # a flag's last byte may be the next one's first
                    continue
            if len(held) < start + size:
                break
            covered = bytes(held[start:start + size])
            end, sound = self._checked(covered, start + size)
            if end < 0:
                break
            yield Piece(covered, sound)
            at = end if sound else self._behind_bad(at, end)
        del held[:at]
        self._bad_until = max(0, self._bad_until - at)

    def _partial_flag(self, at: int) -> int:
        held, flag = self._held, self._flag
        keep = next((n for n in range(min(len(flag) - 1, len(held) - at), 0, -1) if held.endswith(flag[:n])), 0)
        return len(held) - keep

    def _beats(self, at: int) -> bool | None:
        """Whether a heartbeat stands here; None when too little has come to tell."""
        beat = self._heartbeat
        if not beat:
            return False
        here = bytes(self._held[at:at + len(beat)]).upper()
        if here == beat:
            return True
        return None if len(here) < len(beat) and beat.startswith(here) else False

    def _told(self, digits: bytes) -> int:
        """Bytes of header and body."""
        if self._length.base == "binary":
            return int.from_bytes(digits, "big") - self._length.counts_more
        return int(digits, 16 if self._length.base == "hex" else 10) - self._length.counts_more

    def _checked(self, covered: bytes, at: int) -> tuple[int, bool]:
        """Where the frame ends and whether its checksum is right; -1 when too little has come."""
        width = self._check
        window = bytes(self._held[at:at + width])
        if not width:
            return at, True
        right = checksums(covered)
        if window == right[0]:
            return at + width, True
        for one in right:
            # Written without its leading zeros it is shorter than its field, and nothing fills the field up.
            short = one.lstrip(b"0") or b"0"
            if len(short) < width and window[:1] != b"0" and window.upper().startswith(short):
                blanks = len(window[len(short):]) - len(window[len(short):].lstrip(b" "))
                return at + len(short) + blanks, True
        if len(window) < width:
            return -1, False
        cut_short = window.find(self._flag[:1]) if self._flag and not self._flag[:1].isalnum() else -1
        end = at + (cut_short if cut_short >= 0 else width)
        given = bytes(self._held[at:end]).strip().upper().rjust(width, b"0")
        return end, self._frame.checksum.policy == "ignore" or given in right

    def _behind_bad(self, at: int, end: int) -> int:
        """Where to go on behind a frame with a wrong checksum: its length may be wrong too, so a flag inside it is tried."""
        if self._frame.checksum.policy != "enforce" or not self._flag:
            return end
        if end > self._bad_until:
            self._bad_until, self._retries = end, 0
        inner = self._held.find(self._flag, at + len(self._flag), end)
        self._retries += 1
        return inner if inner >= 0 and self._retries <= _MOST_RETRIES else self._bad_until if inner >= 0 else end


class Header:
    """Reads and writes the header by its field list."""

    def __init__(self, frame: Frame, charset: str, decoding: str, limit: int) -> None:
        self._frame = frame
        self._charset = charset
        self._errors = "strict" if decoding == "refuse" else "replace"
        self._limit = min(limit, frame.length.maximum)
        self._fields: list[tuple[HeaderField, slice]] = []
        at = 0
        for part in frame.header:
            self._fields.append((part, slice(at, at + part.width)))
            at += part.width
        self._body = at
        # What is the same in every frame is worked out once; the rest is where it comes from, its default, and how it is padded.
        self._plan: list[tuple[str, str, Callable[[str], str] | None]] = []
        for part in frame.header:
            if part.filled_from != "constant":
                self._plan.append((part.filled_from, part.value, _padding(part)))
            elif self._plan and self._plan[-1][2] is None:
                self._plan[-1] = (self._plan[-1][0] + _padding(part)(part.value), "", None)
            else:
                self._plan.append((_padding(part)(part.value), "", None))
        self._flag = frame.flag.encode()
        self._pad = frame.body_pad.encode()
        self._read = [(part.filled_from, where, part if part.check or (part.pad != " " and part.kind == "text") else None)
                      for part, where in self._fields if part.filled_from in _HEARD or part.check]
        self._multiple, self._width, self._more = frame.body_multiple, frame.length.width, frame.length.counts_more
        self._size = b"" if frame.length.base == "binary" else f"%0{self._width}{'X' if frame.length.base == 'hex' else 'd'}".encode()
        self._checks = frame.checksum.kind != "none"
        self._strips = " \0" + frame.body_pad

    def read(self, covered: bytes) -> tuple[dict[str, str], bytes]:
        """The fields that a message takes, and the body. Raises RemoteProtocolError for a field that must be something else."""
        told: dict[str, str] = {}
        # Latin-1, so that what an element put there goes back to it as it came.
        head = covered[:self._body].decode("latin-1")
        for source, where, strange in self._read:
            value = head[where].strip(" \0")
            if strange is not None:
                value = self._strange(strange, value)
            if source in _HEARD:
                told[source] = value
        return told, covered[self._body:]

    @staticmethod
    def _strange(part: HeaderField, value: str) -> str:
        """The value of a field with padding of its own, or one that must be as declared."""
        if part.pad != " " and part.kind == "text":
            value = value.rstrip(part.pad) if part.justify == "left" else value.lstrip(part.pad)
        if part.check and value != part.value.strip():
            raise RemoteProtocolError(f"header field {part.name} is not {part.value!r}")
        return value

    def text(self, body: bytes) -> str:
        """The body without its padding. Raises RemoteProtocolError."""
        try:
            return body.decode(self._charset, self._errors).strip(self._strips)
        except UnicodeDecodeError:
            raise RemoteProtocolError(f"the body is not {self._charset}") from None

    def write(self, body: bytes, told: dict[str, str]) -> bytes:
        """The whole frame. Raises LocalProtocolError when the body or a field is too long."""
        head = "".join([text if padded is None else padded(told.get(text) or default) for text, default, padded in self._plan])
        try:
            covered = head.encode("latin-1") + body + self._pad * (-len(body) % self._multiple)
        except UnicodeEncodeError:
            raise LocalProtocolError("a header field holds a character that cannot stand there") from None
        if len(covered) > self._limit:
            raise LocalProtocolError("longer than a frame may be")
        number = len(covered) + self._more
        size = self._size % number if self._size else number.to_bytes(8, "big").lstrip(b"\0").rjust(self._width, b"\0")
        if len(size) > self._width:
            raise LocalProtocolError("longer than a frame may be")
        return b"".join((self._flag, size, covered, checksum(covered) if self._checks else b""))


def _padding(part: HeaderField) -> Callable[[str], str]:
    """What makes a value as wide as its field. Raises LocalProtocolError when it is wider."""
    width, pad, hexadecimal, right = part.width, part.pad, part.kind == "hex", part.justify == "right"

    def padded(value: str) -> str:
        if len(value) == width:
            return value
        if len(value) > width:
            raise LocalProtocolError(f"header field {part.name} is longer than {width}")
        if hexadecimal and value:
            return value.rjust(width, "0")
        return value.rjust(width, pad) if right else value.ljust(width, pad)

    return padded


def checksum(data: bytes, fill: bytes = b"\0") -> bytes:
    """XOR of all big-endian 32-bit words, inverted, as eight hexadecimal digits; a short last word is filled up."""
    data += fill * (-len(data) % 4)
    number = int.from_bytes(data[:_BLOCK], "big")
    for at in range(_BLOCK, len(data), _BLOCK):
        number ^= int.from_bytes(data[at:at + _BLOCK], "big")
    for bits in _FOLDS:
        number ^= number >> bits
    return b"%08X" % (number & 0xFFFFFFFF ^ 0xFFFFFFFF)


def checksums(data: bytes) -> tuple[bytes, ...]:
    """Every checksum that counts as right: elements that do not pad the body fill the last word in their own way."""
    first = checksum(data)
    return (first,) if len(data) % 4 == 0 else (first, checksum(data, b" "))
