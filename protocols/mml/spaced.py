"""Commands whose parameters are parted by blanks, as on a command line: `add subscriber imsi=1 plan="gold one"`, `show sub imsi 1 all`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.grammar import CommandGrammar
from protocols.mml.language import Values
from protocols.mml.messages import Command
from protocols.patterns import runs

_WORD = re.compile(r"[A-Za-z]\w*\Z", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][\w-]*\Z", re.ASCII)
_MOST = 512
"""Units of one command."""

_Unit = tuple[int, str]
"""Where it begins, and its text."""


class SpacedLanguage:
    """As `language.Language`, where the grammar's `parameter` is a blank. Its `assign` may be one, too, and its `block`, where `words` says
    how long a name is.
    """

    def __init__(self, grammar: CommandGrammar, mask: Iterable[str]) -> None:
        self._grammar = grammar
        self._mask = frozenset(name.upper() for name in mask)
        self.values = Values(grammar)
        q = re.escape(grammar.quote)
        quoted = self.values.unit if grammar.quote else ""
        unit = runs(rf"[^\s{q}]", quoted)
        self._unit = re.compile(rf"\s*+({unit})(?=\s|\Z)|(\S)", re.DOTALL)
        self._comment = re.compile(rf"({self.values.unit})|/\*(?>.*?\*/|.*)", re.DOTALL)
        self._hyphen = next((mark for mark in grammar.word_separators if not mark.isspace()), "")

    def parse(self, text: str) -> Command:
        """Read one command without its terminator. Raises RemoteProtocolError with the position of the fault."""
        if self._grammar.comments and "/*" in text:
            text = self._comment.sub(lambda m: m[1] or " ", text)
        block = self._grammar.block
        if block.isspace():
            units = list(self._units(text, 0))
            count = 1 if units and self._called(units[:1]) in self._grammar.single_words else self._grammar.words
            name, units = self._called(units[:count]), units[count:]
        else:
            head, mark, _ = text.partition(block)
            name, units = self._called(list(self._units(head, 0))), list(self._units(text, len(head) + len(mark)))
        parameters: list[tuple[str, str]] = []
        hidden: list[_Unit] = []
        for key, where, value in self._pairs(units):
            parameters.append((key, self.values.read(value)))
            if value and (key in self._mask or f"{name}:{key}" in self._mask):
                hidden.append((where, value))
        for where, value in reversed(hidden):
            text = f"{text[:where]}*****{text[where + len(value):]}"
        return Command(name, tuple(parameters), " ".join(text.split()))

    def _units(self, text: str, start: int) -> Iterator[_Unit]:
        for number, found in enumerate(self._unit.finditer(text, start)):
            if found[2]:
                raise RemoteProtocolError("a quoted value is not closed", position=found.start(2))
            if number == _MOST:
                raise RemoteProtocolError(f"more than {_MOST} words and parameters", position=found.start(1))
            if found[1]:
                yield found.start(1), found[1]

    def _called(self, units: list[_Unit]) -> str:
        words = [word for _, unit in units for word in (unit.split(self._hyphen) if self._hyphen else [unit])]
        if not words or len(words) > self._grammar.max_words or not all(map(_WORD.match, words)):
            raise RemoteProtocolError("not a command: its name comes first", position=units[0][0] if units else 0)
        return " ".join(words).upper()

    def _pairs(self, units: list[_Unit]) -> Iterator[tuple[str, int, str]]:
        """Name, where its value begins, and that."""
        grammar = self._grammar
        left = iter(units)
        for position, (where, unit) in enumerate(left, 1):
            key, mark, value = (unit, "", "") if grammar.assign.isspace() else unit.partition(grammar.assign)
            if grammar.style == "positional" or (grammar.style == "mixed" and not (mark and _NAME.match(key))):
                yield str(position), where, unit
            elif not _NAME.match(key):
                raise RemoteProtocolError(f"a parameter is not NAME{grammar.assign}value", position=where)
            elif mark or key.upper() in grammar.flags:
                yield key.upper(), where + len(key) + len(mark), value
            else:
                at, value = next(left, (-1, "")) if grammar.assign.isspace() else (-1, "")
                if at < 0:
                    raise RemoteProtocolError(f"{key} has no value", position=where)
                yield key.upper(), at, value

    def pack(self, command: Command) -> str:
        """Write a command without its terminator. Raises LocalProtocolError when a name or value cannot be said."""
        grammar = self._grammar
        words = command.name.split(" ")
        if not all(map(_WORD.match, words)) or len(words) > grammar.max_words:
            raise LocalProtocolError(f"not a command name: {command.name!r}")
        name = grammar.word_separators[0].join(word.upper() if grammar.upper else word for word in words)
        if grammar.block.isspace() and len(name.split()) != (1 if name.upper() in grammar.single_words else grammar.words):
            raise LocalProtocolError(f"not a command name: {command.name!r}")
        parameters = command.parameters
        confirm = grammar.confirmation
        if confirm is not None and words[0].upper() in confirm.verbs and all(key != confirm.parameter for key, _ in parameters):
            parameters = (*parameters, (confirm.parameter, confirm.value))
        mark = "" if grammar.block.isspace() or not (parameters or grammar.block_always) else grammar.block
        return " ".join([name + mark, *(self._written(number, *one) for number, one in enumerate(parameters, 1))])

    def _written(self, number: int, name: str, value: str) -> str:
        grammar = self._grammar
        if name == str(number) and grammar.style != "named":
            written = self.values.write(value)
            if not written or (grammar.style == "mixed" and grammar.assign in written):
                raise LocalProtocolError(f"value {number} cannot stand without a name")
            return written
        if grammar.style == "positional" or not _NAME.match(name):
            raise LocalProtocolError(f"not a parameter name: {name!r}")
        key = name.upper() if grammar.upper else name
        if not value and name.upper() in grammar.flags:
            return key
        written = self.values.write(value)
        if name.upper() in grammar.flags or (not written and grammar.assign.isspace()):
            raise LocalProtocolError(f"parameter {name!r} cannot have this value")
        return f"{key}{grammar.assign}{written}"
