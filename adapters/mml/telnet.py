"""Telnet under a conversation (RFC 854, 855, 1143): strips what is not text and settles options. Bytes in, bytes out."""

from __future__ import annotations

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
ECHO, SUPPRESS_GO_AHEAD = 1, 3
_LONGEST_SUBNEGOTIATION = 512
_MOST_ANSWERS = 16

_WELCOME = frozenset({ECHO, SUPPRESS_GO_AHEAD})
"""What the other side may do; we ourselves only suppress go-aheads. A side that echoes is told so, else it might wait for it."""


class Telnet:
    """One side of one connection. Each change of an option is answered once, and no option for ever: two changes under way at once
    could set two sides swinging (RFC 1143).
    """

    def __init__(self) -> None:
        self._state = 0  # 0 text, IAC after one, DO..WILL before the option, SB inside, SE after an IAC inside
        self._skipped = 0
        self._answers: dict[tuple[bool, int], int] = {}
        self._theirs: dict[int, bool] = {}
        self._ours: dict[int, bool] = {}

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what arrived. Returns the text in it, and what is to be answered."""
        if self._state == 0 and IAC not in data and b"\0" not in data:
            return data, b""
        text, answer = bytearray(), bytearray()
        for byte in data:
            if self._state == 0:
                self._text(byte, text)
            elif self._state == IAC:
                self._command(byte, text)
            elif self._state in {DO, DONT, WILL, WONT}:
                answer += self._option(self._state, byte)
                self._state = 0
            elif self._state == SB:
                self._skipped += 1
                self._state = SE if byte == IAC else SB if self._skipped < _LONGEST_SUBNEGOTIATION else 0
            else:
                self._state = 0 if byte == SE else SB
        return bytes(text), bytes(answer)

    @staticmethod
    def escaped(data: bytes) -> bytes:
        """Make text ready to be sent: a byte 255 stands twice."""
        return data.replace(b"\xff", b"\xff\xff") if b"\xff" in data else data

    def _text(self, byte: int, text: bytearray) -> None:
        if byte == IAC:
            self._state = IAC
        elif byte:  # NUL is padding, and half of the return that is no line end
            text.append(byte)

    def _command(self, byte: int, text: bytearray) -> None:
        self._state = 0
        if byte == IAC:
            text.append(IAC)
        elif byte in {DO, DONT, WILL, WONT}:
            self._state = byte
        elif byte == SB:
            self._state, self._skipped = SB, 0

    def _option(self, verb: int, option: int) -> bytes:
        """Agree to what is welcome, refuse the rest, and stay silent where nothing changes."""
        asked = verb in {DO, WILL}
        settled, yes, no = (self._theirs, DO, DONT) if verb in {WILL, WONT} else (self._ours, WILL, WONT)
        may = option in _WELCOME if verb in {WILL, WONT} else option == SUPPRESS_GO_AHEAD
        now = asked and may
        if settled.get(option, False) == now and not (asked and not may):
            return b""
        settled[option] = now
        told = self._answers[asked, option] = self._answers.get((asked, option), 0) + 1
        if told > _MOST_ANSWERS:
            return b""
        return bytes((IAC, yes if now else no, option))
