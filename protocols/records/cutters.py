"""Cutting records out of a stream: at line ends, between marks, by their length, at the end of the root element.

Each byte is looked at a fixed number of times, however the stream arrives, and what is cut does not depend on how it arrived.
A record that is too long, or a length that is none, is fatal: nobody knows where the next one begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from protocols.base import RemoteProtocolError
from protocols.mml.record_model import Prefix, RecordFrame
from protocols.patterns import runs

Cut = bytes | RemoteProtocolError
_MARKUP = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
"""What is no element, and how it ends."""
_BLANK = b" \t\r\n\0\xef\xbb\xbf"
"""What may stand between XML records: blanks, and the mark of UTF-8."""
_REST = rb"[A-Za-z_:\x80-\xff]" + runs(rb"[^<>\"'/]", rb'"[^"]*+"', rb"'[^']*+'", rb"/(?!>)")
_WHOLE_TAG = re.compile(rb"[^<]*+<(?:(/)" + _REST + rb"/?+>|" + _REST + rb"(?:(/)>|>))")
"""A text and the whole tag behind it: its first group is there when it closes an element, its second when that is empty."""
_LEAVES = re.compile(rb"(?>(?:[^<]*+<" + _REST + rb"(?:/>|>[^<]*+</" + _REST + rb"/?+>))*)")
"""Whole elements with nothing but text inside, one behind the other."""
_IN_TAG = re.compile(rb"[\"'>]")


class Cutter(Protocol):
    """Takes bytes, gives each whole record without what stands around it."""

    def cut(self, data: bytes) -> Iterator[Cut]:
        """Take bytes; give records, and what went wrong."""


def _too_long(limit: int) -> RemoteProtocolError:
    return RemoteProtocolError(f"a record is longer than {limit} bytes", fatal=True)


class Marked:
    """Between two marks, what stands outside of them is skipped; or, without a first mark, up to each line end."""

    def __init__(self, limit: int, start: bytes, stop: bytes) -> None:
        self._limit = limit
        self._start, self._stop = start, stop
        self._held = bytearray()
        self._at = 0
        self._inside = False

    def cut(self, data: bytes) -> Iterator[Cut]:
        """See Cutter."""
        held = self._held
        held += data
        begin = 0
        while True:
            if not self._inside:
                found = held.find(self._start, begin)
                if found < 0:
                    begin = max(begin, len(held) - len(self._start) + 1)
                    break
                begin = self._at = found + len(self._start)
                self._inside = True
            last = begin + self._limit + len(self._stop)
            end = held.find(self._stop, self._at, last)
            if end < 0:
                if len(held) >= last:
                    held.clear()
                    yield _too_long(self._limit)
                    return
                self._at = max(begin, len(held) - len(self._stop) + 1)
                break
            inner = bytes(held[begin:end])
            again = inner.rfind(self._start) if self._start else -1
            if again >= 0:
                yield RemoteProtocolError("a record begins before the one before it has ended")
                inner = inner[again + len(self._start):]
            yield inner if self._start else inner.removesuffix(b"\r")
            begin = self._at = end + len(self._stop)
            self._inside = False
        del held[:begin]
        self._at -= begin


class Counted:
    """Behind a number that tells the length; or as long as the record's own beginning says."""

    def __init__(self, limit: int, head: int, size: Callable[[bytes], int], *, apart: bool) -> None:
        """`size` tells from the first `head` bytes how many there are in all; it raises RemoteProtocolError. `apart`: the head is no
        part of the record.
        """
        self._limit = limit
        self._head = head
        self._size = size
        self._skip = head if apart else 0
        self._held = bytearray()

    def cut(self, data: bytes) -> Iterator[Cut]:
        """See Cutter."""
        held = self._held
        held += data
        at = 0
        while len(held) - at >= self._head:
            try:
                size = self._size(bytes(held[at:at + self._head]))
            except RemoteProtocolError as error:
                held.clear()
                yield RemoteProtocolError(error.message, fatal=True)
                return
            if size - self._skip > self._limit:
                held.clear()
                yield _too_long(self._limit)
                return
            if len(held) - at < size:
                break
            yield bytes(held[at + self._skip:at + size])
            at += size
        del held[:at]


class Rooted:
    """XML: each record is one root element. A prolog and blanks before it mean nothing; a document type declaration is fatal."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._at = 0
        self._start = -1
        self._depth = 0
        self._until = b""
        self._closing = False
        self._strange = False

    def cut(self, data: bytes) -> Iterator[Cut]:
        """See Cutter."""
        held = self._held
        held += data
        while self._step():
            if self._strange and self._start >= 0:
                self._strange = False
                yield RemoteProtocolError("something else stands between two records")
            if self._depth < 0:
                self._depth, self._start = 0, -1
                yield RemoteProtocolError("an element ends that has not begun")
            elif self._start >= 0 and self._depth == 0 and not self._until:
                record = bytes(held[self._start:self._at])
                self._start = -1
                if len(record) > self._limit:
                    held.clear()
                    yield _too_long(self._limit)
                    return
                yield record
            elif self._until == b"!":
                held.clear()
                yield RemoteProtocolError("a record has a document type declaration, which is not allowed", fatal=True)
                return
        done = self._start if self._start >= 0 else self._at
        del held[:done]
        self._at -= done
        if self._start >= 0:
            self._start = 0
        if len(held) > self._limit:
            held.clear()
            yield _too_long(self._limit)

    def _step(self) -> bool:
        """Go on to the end of the next piece of markup, or into it; false until more arrives."""
        held = self._held
        if not self._until:
            return self._run() or self._open()
        if self._until == b">":
            found = _IN_TAG.search(held, self._at)
            if found is None:
                self._at = len(held)
                return False
            self._at = found.end()
            if found[0] != b">":
                self._until = found[0]
                return True
            self._until = b""
            if self._closing:
                self._depth -= 1
            elif held[found.start() - 1] != 0x2F:
                self._depth += 1
            return True
        end = held.find(self._until, self._at)
        if end < 0:
            self._at = max(self._at, len(held) - len(self._until) + 1)
            return False
        self._at = end + len(self._until)
        self._until = b">" if self._until in (b'"', b"'") else b""
        return True

    def _run(self) -> bool:
        """Go over all the whole tags that have come of a record, which is nearly always all there is to do."""
        if self._start < 0:
            return False
        held, at, depth = self._held, self._at, self._depth
        while depth:
            leaves = _LEAVES.match(held, at)
            found = _WHOLE_TAG.match(held, leaves.end() if leaves is not None else at)
            if found is None:
                at = leaves.end() if leaves is not None else at
                break
            at = found.end()
            group = found.lastindex
            depth += 1 if group is None else -1 if group == 1 else 0
        moved, self._at, self._depth = at != self._at, at, depth
        return moved

    def _open(self) -> bool:
        """Find where the next piece of markup begins, and what it is."""
        held = self._held
        found = held.find(b"<", self._at)
        if self._start < 0 and held[self._at:found if found >= 0 else len(held)].strip(_BLANK):
            self._strange = True
        if found < 0:
            self._at = len(held)
            return False
        self._at = found
        here = bytes(held[found:found + 9])
        for opening, ending in _MARKUP.items():
            if here.startswith(opening):
                self._at, self._until = found + len(opening), ending
                return True
            if opening.startswith(here):
                return False
        if here.startswith(b"<!"):
            self._until = b"!"
            return True
        self._at, self._until, self._closing = found + 1, b">", here.startswith(b"</")
        if self._start < 0:
            self._start = found
        return True


_DIGITS = {"decimal": re.compile(rb"[0-9]+\Z"), "hex": re.compile(rb"[0-9A-Fa-f]+\Z")}


def read_prefix(prefix: Prefix, data: bytes) -> int:
    """The bytes there are in all, the prefix's own included. Raises RemoteProtocolError."""
    if prefix.base == "binary":
        number = int.from_bytes(data, "big")
    elif _DIGITS[prefix.base].match(data):
        number = int(data, 10 if prefix.base == "decimal" else 16)
    else:
        raise RemoteProtocolError("a record's length is not a number")
    if prefix.counts_itself and number < prefix.width:
        raise RemoteProtocolError("a record's length does not count itself")
    return number if prefix.counts_itself else number + prefix.width


def write_prefix(prefix: Prefix, size: int) -> bytes | None:
    """The number that stands before so many bytes; None when there is no room for it."""
    number = size + prefix.width if prefix.counts_itself else size
    if prefix.base == "binary":
        return number.to_bytes(prefix.width, "big") if number < 1 << (8 * prefix.width) else None
    digits = format(number, f"0{prefix.width}{'d' if prefix.base == 'decimal' else 'X'}").encode()
    return digits if len(digits) == prefix.width else None


def cutter_for(frame: RecordFrame, limit: int, head: int, size: Callable[[bytes], int]) -> Cutter:
    """The cutter that a dialect declares; `head` and `size` are for records as long as their layout."""
    if frame.kind == "marks":
        return Marked(limit, frame.start.encode(), frame.stop.encode())
    if frame.kind == "length":
        return Counted(limit, frame.length.width, lambda data: read_prefix(frame.length, data), apart=True)
    if frame.kind == "width":
        return Counted(limit, head, size, apart=False)
    return Rooted(limit) if frame.kind == "root" else Marked(limit, b"", b"\n")
