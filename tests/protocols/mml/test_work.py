"""How much work the codecs do is counted, not timed: each byte is looked at so many times, however long the message and however
it arrives.
"""

from __future__ import annotations

import re

import pytest
import yaml

from config.loader import BUNDLED
from protocols.mml import Command, Dialect, MmlClientCodec, MmlServerCodec, Report

FILES = sorted(file for file in (BUNDLED / "dialects").glob("*.yaml") if not file.stem.startswith("records-"))
LARGE = 64_000
MOST_LOOKS = 8
"""The beginning of a line may be an end mark, so up to 512 bytes of it are looked at again with each piece that arrives."""


class Scanned:
    """How many bytes were looked at."""

    def __init__(self):
        self.bytes = 0


class Pattern:
    """A compiled pattern that notes how far each of its searches went."""

    def __init__(self, pattern: re.Pattern[bytes], scanned: Scanned):
        self.pattern, self.scanned = pattern, scanned

    def match(self, text, start=0, end=None):
        return self._noted(self.pattern.match, text, start, end)

    def search(self, text, start=0, end=None):
        return self._noted(self.pattern.search, text, start, end)

    def _noted(self, look, text, start, end):
        end = len(text) if end is None else end
        found = look(text, start, end)
        self.scanned.bytes += (end if found is None else found.end()) - start
        return found


class Held(bytearray):
    """A buffer that notes how far each search in it went."""

    scanned: Scanned

    def find(self, what, start=0, end=None):
        end = len(self) if end is None else end
        found = super().find(what, start, end)
        self.scanned.bytes += (end if found < 0 else found) - start
        return found

    def rfind(self, what, start=0, end=None):
        end = len(self) if end is None else end
        found = super().rfind(what, start, end)
        self.scanned.bytes += end - max(found, start)
        return found


def watched(cutter) -> Scanned:
    """Count what a cutter looks at from now on."""
    scanned = Scanned()
    for name, value in vars(cutter).items():
        if isinstance(value, re.Pattern):
            setattr(cutter, name, Pattern(value, scanned))
        elif isinstance(value, dict) and value and all(isinstance(v, re.Pattern) for v in value.values()):
            setattr(cutter, name, {key: Pattern(v, scanned) for key, v in value.items()})
    cutter._held = Held()
    cutter._held.scanned = scanned
    return scanned


def dialect_of(file) -> Dialect:
    return Dialect.load(yaml.safe_load(file.read_text("utf-8")))


def fed(codec, data: bytes, piece: int) -> list[object]:
    return [event for at in range(0, len(data), piece) for event in codec.receive_data(data[at:at + piece])]


def command_of(dialect: Dialect, size: int) -> Command:
    return Command("NEW ORDER" if dialect.command.max_words > 1 else "NEWORDER", (("NOTE", "many words " * (size // 11)),),
                   session="0000000A", transaction="00000001")


@pytest.mark.parametrize("piece", [100, 1_460, LARGE * 2])
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_each_byte_of_a_command_is_looked_at_a_fixed_number_of_times(file, piece):
    dialect = dialect_of(file)
    data = MmlClientCodec(dialect).send(command_of(dialect, LARGE))
    codec = MmlServerCodec(dialect)
    scanned = watched(codec._frames or codec._texts)
    (command,) = fed(codec, data, piece)
    assert command.parameters == command_of(dialect, LARGE).parameters
    assert scanned.bytes <= MOST_LOOKS * len(data)


@pytest.mark.parametrize("piece", [100, 1_460, LARGE * 2])
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_each_byte_of_an_answer_is_looked_at_a_fixed_number_of_times(file, piece):
    dialect = dialect_of(file)
    fields = {f"NAME{number}": "some value" for number in range(LARGE // 40)}
    data = MmlServerCodec(dialect).send(Report(dialect.results.ok, "done", fields, transaction="00000001", time="2026-11-24 11:00:00"))
    codec = MmlClientCodec(dialect)
    scanned = watched(codec._frames or codec._cutter)
    (report,) = [event for event in fed(codec, data, piece) if isinstance(event, Report)]
    assert len(report.fields) + sum(len(rows) for _, rows in report.tables) >= len(fields)
    assert scanned.bytes <= MOST_LOOKS * len(data)
