"""The server's side of a login by prompts: shows each prompt, reads each line, and gives the name and password they add up to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from protocols.base import RemoteProtocolError
from protocols.mml.session import Step

_LINE = re.compile(rb"\r\n|\r|\n")
_HOLE = re.compile(r"\{(user|password)\}")
_LONGEST_LINE = 256


class Dialogue:
    """One login after the other on one connection, until somebody is let in. Lines may end in CR, LF or both."""

    def __init__(self, steps: Sequence[Step], charset: str) -> None:
        self._steps = [(step.expect, re.compile(_pattern(step.send), re.DOTALL)) for step in steps]
        self._charset = charset
        self._held = b""
        self._after_return = False
        self._said: dict[str, str] = {}
        self._at = 0

    @property
    def prompt(self) -> str:
        """What to show now."""
        return self._steps[self._at][0]

    def receive(self, data: bytes) -> tuple[str, str] | bool:
        """Take bytes up to the end of one line; the rest waits for the next call, which may be with b"".

        Returns name and password when the last line has come, True when a line has, so that `prompt` is to be shown, False when
        more bytes are needed. Raises RemoteProtocolError for a line that is too long.
        """
        self._held += data
        if self._after_return and self._held:
            self._held = self._held.removeprefix(b"\n")
            self._after_return = False
        end = _LINE.search(self._held)
        if (len(self._held) if end is None else end.start()) > _LONGEST_LINE:
            raise RemoteProtocolError("a line of the login is too long", fatal=True)
        if end is None:
            return False
        self._after_return = end[0] == b"\r" and end.end() == len(self._held)
        line = self._held[:end.start()].decode(self._charset, "replace")
        self._held = self._held[end.end():]
        found = self._steps[self._at][1].fullmatch(line)
        self._said.update(found.groupdict() if found is not None else {})
        self._at = (self._at + 1) % len(self._steps)
        if self._at:
            return True
        said, self._said = self._said, {}
        return said.get("user", ""), said.get("password", "")

    def rest(self) -> bytes:
        """What came behind the last line."""
        rest, self._held = self._held.removeprefix(b"\n") if self._after_return else self._held, b""
        return rest


def _pattern(text: str) -> str:
    parts = _HOLE.split(text)
    return "".join(f"(?P<{part}>.*)" if number % 2 else re.escape(part) for number, part in enumerate(parts))
