"""The command language of one dialect, compiled from its knobs: a command's text to and from `Command`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.grammar import CommandGrammar
from protocols.mml.messages import Command, ListValue, Range
from protocols.patterns import runs

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAME = re.compile(r"[A-Za-z_][\w.-]*\Z", re.ASCII)
_WORD = re.compile(r"[A-Za-z][\w-]*\Z", re.ASCII)
_ADDRESS = re.compile(r"(?:([1-9]\d{0,2})-)?([1-9]\d{0,2}|[A-Za-z_][\w.-]*)\Z", re.ASCII)
_COMMENT_START = "/*"
_LONGEST_NAME = 128
_MOST_BLOCKS = 64
_MOST_POSITIONS = 512


class Values:
    """Values of the dialect: quoting, escaping, lists. Shared by commands and by answers of one line."""

    def __init__(self, grammar: CommandGrammar) -> None:
        quote, escape = grammar.quote, grammar.escape
        self._quote, self._escape = quote, escape
        self._plain = re.compile(f"[{grammar.plain}]+\\Z", re.ASCII)
        self._number = re.compile(r"[0-9]+\Z")
        self._always = grammar.quote_always
        self._empty = f"{quote}{quote}" if quote and grammar.empty == "quoted" else ""
        self._list, self._range = grammar.list_separator, grammar.range_separator
        q = re.escape(quote)
        self.unit = quoted_pattern(quote, escape)
        self._quoted = re.compile(f"{q}({_inside(q, escape)}){q}", re.DOTALL) if quote else None
        self._escaped = {"\\": (re.compile(r"\\(.)", re.DOTALL), r"\1"), "double": (re.compile(q + q), quote)}.get(escape)
        parts = [re.escape(s) for s in sorted(filter(None, (self._range, self._list)), key=len, reverse=True)]
        self._pieces = re.compile(f"({self.unit}|[^{q}{''.join(sorted(set(map(re.escape, self._list + self._range))))}]++)"
                                  f"|({'|'.join(parts)})|(.)", re.DOTALL) if parts else None

    def read(self, text: str) -> str:
        """One value as it came, without blanks around it: unquoted, a list as `ListValue`."""
        separators = self._pieces is not None and ((self._list and self._list in text) or (self._range and self._range in text))
        if self._quote and self._quote in text:
            if not separators or (self._quoted is not None and self._quoted.fullmatch(text)):
                return self._unquoted(text)
        elif not separators:
            return text
        return self._as_list(text)

    def _unquoted(self, text: str) -> str:
        return text if self._quoted is None else self._quoted.sub(self._inner, text)

    def _inner(self, found: re.Match[str]) -> str:
        if self._escaped is None or (self._escape == "\\" and "\\" not in found[1]):
            return found[1]
        pattern, by = self._escaped
        return pattern.sub(by, found[1])

    def _as_list(self, text: str) -> str:
        assert self._pieces is not None
        items: list[str | Range] = []
        current, ranged, first = "", False, ""
        for unit, separator, other in self._pieces.findall(text):
            if not separator:
                current += unit or other
                continue
            if separator == self._range and not ranged:
                first, ranged = current, True
            else:
                items.append(self._item(first, current, ranged))
                ranged = False
            current = ""
        items.append(self._item(first, current, ranged))
        if len(items) == 1 and isinstance(items[0], str):
            return items[0]
        return ListValue.of(items, self._list, self._range)

    def _item(self, first: str, last: str, ranged: bool) -> str | Range:
        last = self._unquoted(last.strip())
        return Range(self._unquoted(first.strip()), last) if ranged else last

    def write(self, value: str) -> str:
        """A value as the dialect says it. Raises LocalProtocolError when it cannot."""
        if isinstance(value, ListValue):
            return self._list_written(value)
        if self._plain.match(value) and not (self._always and not self._number.match(value)):
            return value
        return self.quoted(value) if value else self._empty

    def quoted(self, value: str) -> str:
        """A value in quotes. Raises LocalProtocolError when it cannot be said."""
        if _UNSAFE.search(value):
            raise LocalProtocolError("a value holds a control character")
        if not self._quote:
            raise LocalProtocolError("a value holds a character the dialect cannot express")
        if self._escape == "\\":
            value = value.replace("\\", "\\\\").replace(self._quote, "\\" + self._quote)
        elif self._quote in value:
            if self._escape != "double":
                raise LocalProtocolError("a value holds a quote, which the dialect cannot express")
            value = value.replace(self._quote, self._quote * 2)
        return f"{self._quote}{value}{self._quote}"

    def _list_written(self, value: ListValue) -> str:
        out = []
        for item in value.items:
            ends = (item.first, item.last) if isinstance(item, Range) else (item,)
            separator = self._range if isinstance(item, Range) else self._list
            if not separator:
                raise LocalProtocolError("the dialect has no lists of this kind")
            if not all(ends):
                raise LocalProtocolError("a list holds an empty value")
            out.append(separator.join(map(self._list_unit, ends)))
        if not out:
            raise LocalProtocolError("a list is empty")
        return self._list.join(out)

    def _list_unit(self, value: str) -> str:
        if self._plain.match(value) and not any(s and s in value for s in (self._list, self._range)):
            return value
        return self.quoted(value)


def _on_one_line(raw: str) -> str:
    """The command with each run of blanks as one blank."""
    return " ".join(raw.split())


def _inside(q: str, escape: str) -> str:
    """What stands inside quotes."""
    if escape == "\\":
        return runs(rf"[^{q}\\]", r"\\.")
    return runs(f"[^{q}]", q + q if escape == "double" else "")


def quoted_pattern(quote: str, escape: str) -> str:
    """A quoted unit, or what never matches where the dialect has no quotes."""
    q = re.escape(quote)
    return f"{q}{_inside(q, escape)}{q}" if quote else "(?!)"


class Language:
    """Reads and writes commands. `parse` raises RemoteProtocolError, `pack` LocalProtocolError, neither anything else."""

    def __init__(self, grammar: CommandGrammar, mask: Iterable[str]) -> None:
        self._grammar = grammar
        listed = [m.upper().rpartition(":") for m in mask]
        self._mask = frozenset(name for command, _, name in listed if not command)
        self._mask_of = {command: frozenset(n for c, _, n in listed if c == command) for command, _, _ in listed if command}
        self.values = values = Values(grammar)
        q, block, parameter, assign = (re.escape(m) for m in (grammar.quote, grammar.block, grammar.parameter, grammar.assign))
        unit = values.unit
        self._comment = re.compile(rf"({unit})|/\*(?>.*?\*/|.*)", re.DOTALL)
        # Where none of these stands, values are as they came.
        self._marked = tuple(filter(None, (grammar.quote, grammar.list_separator, grammar.range_separator)))
        self._lists = tuple(s for s in (grammar.list_separator, grammar.range_separator) if s)
        inner = "".join({re.escape(s) for s in grammar.word_separators if s != grammar.block and not s.isspace()})
        word = rf"[A-Za-z][\w{'' if '-' in grammar.word_separators else '-'}]*+"
        between = rf"\s*+[{inner}]\s*+" + (r"|\s++" if any(s.isspace() for s in grammar.word_separators) else "") if inner else r"\s++"
        self._head = re.compile(rf"\s*+({word}(?>(?:(?:{between}){word}){{0,{grammar.max_words - 1}}}))\s*+\Z", re.ASCII)
        quoted = unit if grammar.quote else ""
        self._named = re.compile(
            rf"\s*+([A-Za-z_][\w-]*+)\s*+(?>{assign}\s*+({runs(f'[^{parameter}{q}{assign}]', quoted)})|)({parameter}|\Z)|(.+)",
            re.DOTALL | re.ASCII)
        self._unit = re.compile(
            rf"\s*+(?>([A-Za-z_][\w.-]*+)\s*+{assign}|)({runs(f'[^{parameter}{q}{block}]', quoted)})({parameter}|{block}|\Z)|(.+)",
            re.DOTALL | re.ASCII)
        # Capitals, plain or simply quoted values, nothing else: what machines send, read in one go. It begins where a parameter does and
        # ends where one does.
        value = rf"{q}?+((?<={q})[^{q}\\]*+(?={q})|(?<!{q})[{grammar.plain}]*+(?!{q})){q}?+" if grammar.quote else f"([{grammar.plain}]*+)"
        self._simple = re.compile(
            rf"(?:\A|(?<={parameter}))\s*+([A-Z_][A-Z0-9_-]*+){assign}{value}\s*+(?:{parameter}|\Z)", re.DOTALL | re.ASCII)
        self._split = re.compile(rf"[\s{inner}]+")
        self._parameter, self._block = grammar.parameter, grammar.block
        self._comments = grammar.comments
        self._one_block = grammar.style == "named" and not grammar.leading and grammar.parameter != grammar.block
        self._same_mark = grammar.parameter == grammar.block
        # One dialect's names are few; working each out once is cheap, and the caches are bounded.
        self._name_read: Callable[[str], str] = lru_cache(4096)(self._called)
        self._name_written: Callable[[str], str] = lru_cache(4096)(self._checked_name)
        self._words_written: Callable[[str], str] = lru_cache(4096)(self._checked_words)

    # Reading.

    def parse(self, text: str) -> Command:
        """Read one command without its terminator. Raises RemoteProtocolError with the position of the fault."""
        if self._comments and _COMMENT_START in text:
            text = self._comment.sub(lambda m: m[1] or " ", text)
        if self._same_mark:
            return self._parse_same(text)
        head, mark, body = text.partition(self._block)
        name = self._name_read(head) if len(head) <= _LONGEST_NAME else self._called(head)
        start = len(head) + len(mark)
        return self._parse_named(text, name, start, body) if self._one_block else self._parse_blocks(text, name, start)

    def _called(self, head: str) -> str:
        """The name of a command, of what stands before its first mark. Raises RemoteProtocolError."""
        words = self._head.match(head)
        if words is None:
            most = self._grammar.max_words
            raise RemoteProtocolError(f"not a command: its name comes first, {'one word' if most == 1 else f'{most} words at most'}",
                                      position=0)
        if len(words[1]) > _LONGEST_NAME:
            raise RemoteProtocolError("not a command: its name is too long", position=0)
        return " ".join(self._split.split(words[1])).upper()

    def _parse_named(self, text: str, name: str, start: int, body: str) -> Command:
        mask = self._masked(name) if self._mask_of else self._mask
        simple = self._simple.findall(body)
        # Nothing stood between those that were found when they hold all the marks there are.
        beyond = body.count(self._parameter) + 1 - len(simple)
        if not simple or (beyond and beyond != sum([value.count(self._parameter) for _, value in simple])):
            return self._parse_liberally(text, name, start, mask)
        for secret in mask:
            if secret in body:
                text = self._hidden(text, start, mask)
                break
        return Command(name, tuple(simple), _on_one_line(text))

    def _parse_liberally(self, text: str, name: str, start: int, mask: frozenset[str]) -> Command:
        parameters: list[tuple[str, str]] = []
        hide = False
        found = self._named.findall(text, start)
        read, lists, quote = self.values.read, self._lists, self._grammar.quote
        for key, value, _, bad in found:
            if bad:
                if not parameters and bad.isspace():
                    break
                raise RemoteProtocolError(f"a parameter is not NAME{self._grammar.assign}value", position=len(text) - len(bad))
            key = key.upper()  # noqa: PLW2901 (only the capitals mean anything here)
            if value:
                value = value.strip()  # noqa: PLW2901 (only the stripped value means anything here)
                if (quote and quote in value) or any(s in value for s in lists):
                    value = read(value)  # noqa: PLW2901 (see above)
                if key in mask:
                    hide = True
            parameters.append((key, value))
        if found and found[-1][2]:
            raise RemoteProtocolError("a parameter is missing behind the last mark", position=len(text))
        raw = self._hidden(text, start, mask) if hide else text
        return Command(name, tuple(parameters), _on_one_line(raw))

    def _masked(self, command: str) -> frozenset[str]:
        """The parameters to hide in this command."""
        return self._mask if command not in self._mask_of else self._mask | self._mask_of[command]

    def _hidden(self, text: str, start: int, mask: frozenset[str]) -> str:
        """The command with the values to hide replaced."""
        out: list[str] = []
        at, block, position = 0, 1 - len(self._grammar.leading), 0
        for found in (self._named if self._one_block else self._unit).finditer(text, start):
            position += 1
            names = {(found[1] or str(position)).upper(), f"{block}-{(found[1] or str(position)).upper()}"}
            if found[2] and block > 0 and names & mask:
                out += (text[at:found.start(2)], "*****")
                at = found.end(2)
            if not self._one_block and found[3] == self._grammar.block:
                block, position = block + 1, 0
        return "".join([*out, text[at:]])

    def _parse_blocks(self, text: str, name: str, start: int) -> Command:
        leading, mark_of_block, assign = self._grammar.leading, self._block, self._grammar.assign
        read = self.values.read
        plain = not any(map(text.__contains__, self._marked))
        lead: dict[str, list[str]] = {which: [] for which in leading}
        parameters: list[tuple[str, str]] = []
        block, position, prefix = 1 - len(leading), 0, ""
        for key, value, mark, bad in self._unit.findall(text, start):
            if bad:
                raise RemoteProtocolError("a quoted value is not closed", position=len(text) - len(bad))
            position += 1
            value = value.strip()  # noqa: PLW2901 (only the stripped value means anything)
            if block <= 0:
                lead[leading[block - 1]].append(f"{key}{assign}{value}" if key else value)
            elif key or value:
                parameters.append((f"{prefix}{key.upper() if key else position}", value if plain else read(value)))
            if mark == mark_of_block:
                block, position = block + 1, 0
                prefix = f"{block}-" if block > 1 else ""
            if block + len(leading) > _MOST_BLOCKS or position > _MOST_POSITIONS:
                raise RemoteProtocolError("too many blocks or positions", position=start)
            if not mark:
                break
        ahead = {which: self._parameter.join(units) for which, units in lead.items()}
        if ahead.get("general"):
            parameters.append(("GENERAL", ahead["general"]))
        mask = self._masked(name)
        if mask and not mask.isdisjoint(dict(parameters)):
            text = self._hidden(text, start, mask)
        raw = _on_one_line(text)
        if not leading:
            return Command(name, tuple(parameters), raw)
        return Command(name, tuple(parameters), raw, transaction=read(ahead.get("ctag", "")), tid=read(ahead.get("tid", "")),
                       aid=read(ahead.get("aid", "")))

    def _parse_same(self, text: str) -> Command:
        """The same mark parts words and parameters: the first words are the name (`GET:HLRSUB:MSISDN,245x:IMSI`)."""
        units: list[str] = []
        for key, value, mark, bad in self._unit.findall(text):
            if bad:
                raise RemoteProtocolError("a quoted value is not closed", position=len(text) - len(bad))
            units.append((f"{key}{self._grammar.assign}{value}" if key else value).strip())
            if not mark:
                break
            if len(units) > _MOST_POSITIONS:
                raise RemoteProtocolError("too many parameters", position=0)
        count = 1 if units[0].upper() in self._grammar.single_words else min(self._grammar.words, len(units))
        words = units[:count]
        if not all(map(_WORD.match, words)):
            raise RemoteProtocolError("not a command: its name comes first", position=0)
        parameters: list[tuple[str, str]] = []
        plain = not any(map(text.__contains__, self._marked))
        named = count > 1
        called = " ".join(w.upper() for w in words)
        mask = self._masked(called)
        raw = [*words]
        for position, unit in enumerate(units[count:], 1):
            key, mark, value = unit.partition(self._grammar.assign)
            is_named = named and _NAME.match(key) is not None
            name = key.upper() if is_named else str(position)
            if unit:
                value = value.strip() if is_named else unit
                parameters.append((name, value if plain else self.values.read(value)))
            hide = name in mask
            raw.append(f"{key}{mark}*****" if hide and is_named else "*****" if hide else unit)
        return Command(called, tuple(parameters), self._grammar.block.join(raw))

    # Writing.

    def pack(self, command: Command) -> str:
        """Write a command without its terminator. Raises LocalProtocolError when a name or value cannot be said."""
        words = self._words_written(command.name)
        parameters = command.parameters
        confirm = self._grammar.confirmation
        if confirm is not None and command.name.split(" ")[0].upper() in confirm.verbs and all(
                name != confirm.parameter for name, _ in parameters):
            parameters = (*parameters, (confirm.parameter, confirm.value))
        if self._one_block:
            body = self._grammar.parameter.join([self._named_written(n, v) for n, v in parameters])
            return f"{words}{self._grammar.block}{body}" if body or self._grammar.block_always else words
        if self._same_mark:
            return self._grammar.block.join([words, *self._same_written(command.name, parameters)])
        return self._blocks_written(words, replace(command, parameters=parameters))

    def _named_written(self, name: str, value: str) -> str:
        name = self._name_written(name)
        if not value and name.upper() in self._grammar.flags:
            return name
        return f"{name}{self._grammar.assign}{self.values.write(value)}"

    def _checked_words(self, name: str) -> str:
        words = re.split(r"[ ]|-" if "-" in self._grammar.word_separators else "[ ]", name)
        limit = self._grammar.words or self._grammar.max_words
        if not all(map(_WORD.match, words)) or len(words) > limit:
            raise LocalProtocolError(f"not a command name: {name!r}")
        if self._same_mark and len(words) != (1 if name.upper() in self._grammar.single_words else self._grammar.words):
            raise LocalProtocolError(f"not a command name: {name!r}")
        width = self._grammar.word_width
        written = self._grammar.word_separators[0].join(w.upper() if self._grammar.upper else w for w in words)
        return "".join(f"{w:<{width}}" for w in written.split(" ")) if width else written

    def _checked_name(self, name: str) -> str:
        if not _NAME.match(name) or "." in name:
            raise LocalProtocolError(f"not a parameter name: {name!r}")
        return name.upper() if self._grammar.upper else name

    def _same_written(self, name: str, parameters: tuple[tuple[str, str], ...]) -> list[str]:
        out = []
        for position, (key, value) in enumerate(parameters, 1):
            if " " in name and not key.isdecimal():
                out.append(self._name_written(key) + (f"{self._grammar.assign}{self.values.write(value)}" if value else ""))
            elif key == str(position) and value and " " not in name:
                out.append(self.values.write(value))
            else:
                raise LocalProtocolError(f"parameter {key!r} cannot stand here")
        return out

    def _blocks_written(self, words: str, command: Command) -> str:
        lead = {"tid": command.tid, "aid": command.aid, "ctag": command.transaction, "general": ""}
        blocks: dict[int, dict[int, str]] = {}
        for name, value in command.parameters:
            if name == "GENERAL" and "general" in self._grammar.leading:
                lead["general"] = value
                continue
            found = _ADDRESS.match(name)
            if found is None or int(found[1] or 1) > _MOST_BLOCKS - 8:
                raise LocalProtocolError(f"not a parameter name or position: {name!r}")
            block = blocks.setdefault(int(found[1] or 1), {})
            if found[2][0].isdigit():
                self._put(block, int(found[2]), name, self.values.write(value) if value else "")
            elif self._grammar.style == "positional":
                raise LocalProtocolError(f"the dialect has no names for values: {name!r}")
            else:
                self._put(block, max(block, default=0) + 1, name, self._named_written(found[2], value))
        texts = [self._led(which, lead[which]) for which in self._grammar.leading]
        for number in range(1, max(blocks, default=0) + 1):
            block = blocks.get(number, {})
            texts.append(self._grammar.parameter.join(block.get(p, "") for p in range(1, max(block, default=0) + 1)))
        mark = self._grammar.block
        if not texts:
            return words + (mark if self._grammar.block_always else "")
        return mark.join([words, *texts])

    @staticmethod
    def _put(block: dict[int, str], position: int, name: str, text: str) -> None:
        if position in block or position > _MOST_POSITIONS - 1:
            raise LocalProtocolError(f"the position of {name!r} is taken")
        block[position] = text

    def _led(self, which: str, value: str) -> str:
        separator = self._grammar.list_separator
        if which == "aid" and separator and separator in value and not isinstance(value, ListValue):
            value = ListValue.of(value.split(separator), separator)
        return self.values.write(value) if value else ""
