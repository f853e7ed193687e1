"""Delimited records: values between separators, with quotes and escapes as the dialect has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.record_model import RecordField, RecordGrammar
from protocols.patterns import runs, up_to
from protocols.records.layouts import Layouts, present

_MOST_VALUES = 4_096
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t"}
_WRITTEN = str.maketrans({"\\": "\\\\", **{char: f"\\{letter}" for char, letter in _ESCAPES.items()}})
_MEANT = {letter: char for char, letter in _ESCAPES.items()}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class DelimitedRecords:
    """One connection's records: `hears` are the layouts of what comes, `says` of what goes. With a header line it remembers the names."""

    def __init__(self, grammar: RecordGrammar, hears: Layouts, says: Layouts) -> None:
        marks = self._marks = grammar.delimited
        self._hears, self._says = hears, says
        self._names: list[str] | None = None
        self._headed = not marks.header
        separator, q, assign = map(re.escape, (marks.separator, marks.quote, marks.assign))
        escaped, mark = (r"\\[\s\S]", r"\\") if marks.escape == "\\" else ("", "")
        quoted = f"{q}({runs(f'[^{q}{mark}]', escaped, q + q if marks.escape == 'double' else '')}){q}" if q else "((?!))"
        bare = (f"(?!{q})" if q else "") + f"({up_to(marks.separator, escaped, beside=mark)})"
        called = up_to(marks.separator, beside=rf"{assign}\\")
        name = f"(?>(?!{assign})({called}){assign}|)" if assign else "((?!))?"
        self._special = [mark for mark in (marks.quote, marks.escape[:1] if marks.escape == "\\" else "") if mark]
        # What makes a value be written in another way than it is.
        self._unlike = re.compile(rf"[\x00-\x1f\x7f\\]|{separator}" + (f"|{q}" if q else ""))
        self._name: Callable[[str], str] = lru_cache(1024)(self._checked_name)
        self._value = re.compile(rf"(?:{quoted}|{bare})({separator}|\Z)")
        self._pair = re.compile(rf"{name}(?:{quoted}|{bare})({separator}|\Z)")

    def read(self, text: str) -> dict[str, str] | None:
        """The fields of a record; None for a header line. Raises RemoteProtocolError."""
        plain = not any(map(text.__contains__, self._special))
        if self._marks.header:
            values, _ = self._split(text, _MOST_VALUES, plain=plain)
            if self._names is None:
                self._names = self._titles(values)
                return None
            return self._by_names(self._names, values)
        place = self._hears.place
        begun, _ = self._split(text, place + 1, plain=plain)
        layout = self._hears.heard(begun[place] or "" if 0 <= place < len(begun) else "")
        values, at = self._split(text, len(layout), plain=plain)
        found = {field.name: value for field, value in zip(layout, values, strict=False) if value is not None}
        if at == len(text):
            return present(layout, found)
        if not self._marks.assign:
            raise RemoteProtocolError(f"a record has more values than its layout, which has {len(layout)}")
        return {**present(layout, found), **((self._plain_pairs(text[at:]) if plain else None) or self._pairs(text, at))}

    def _titles(self, values: list[str | None]) -> list[str]:
        names = [value or "" for value in values]
        if self._hears.kind and self._hears.kind not in names:
            raise RemoteProtocolError(f"the header line does not name {self._hears.kind}", fatal=True)
        return names

    @staticmethod
    def _by_names(names: list[str], values: list[str | None]) -> dict[str, str]:
        if len(values) > len(names):
            raise RemoteProtocolError(f"a record has {len(values)} values; the header line names {len(names)}")
        return {name: value for name, value in zip(names, values, strict=False) if name and value is not None}

    def _split(self, text: str, most: int, *, plain: bool) -> tuple[list[str | None], int]:
        """The first values, None where nothing stands, and where the next one begins. `plain`: without quotes and escapes."""
        if plain:
            parts = text.split(self._marks.separator, most)
            return [part or None for part in parts[:most]], len(text) - (len(parts[most]) if len(parts) > most else 0)
        values: list[str | None] = []
        at = 0
        while len(values) < most:
            found = self._value.match(text, at)
            if found is None:
                raise RemoteProtocolError("a value is not ended as it was begun", position=at)
            values.append(self._meant(found[1]) if found[1] is not None else self._meant(found[2]) or None)
            at = found.end()
            if not found[3]:
                break
        return values, at

    def _plain_pairs(self, text: str) -> dict[str, str] | None:
        """What follows the layout, without quotes and escapes; None where it is not as it should be."""
        pairs: dict[str, str] = {}
        assign = self._marks.assign
        for part in text.split(self._marks.separator):
            name, mark, value = part.partition(assign)
            if name and mark:
                pairs[name] = value
            elif part:
                return None
        return pairs

    def _pairs(self, text: str, at: int) -> dict[str, str]:
        pairs: dict[str, str] = {}
        while True:
            found = self._pair.match(text, at)
            if found is None or (found[1] is None and found.end() > found.start() + len(found[4])):
                raise RemoteProtocolError(f"what follows the layout is not NAME{self._marks.assign}value", position=at)
            if found[1] is not None:
                value = found[2] if found[2] is not None else found[3]
                pairs[found[1]] = self._meant(value)
            at = found.end()
            if not found[4]:
                return pairs

    def _meant(self, value: str) -> str:
        if self._marks.escape == "\\":
            return _ESCAPED.sub(lambda m: _MEANT.get(m[1], m[1]), value) if "\\" in value else value
        return value.replace(self._marks.quote * 2, self._marks.quote) if self._marks.escape == "double" else value

    def write(self, kind: str, fields: Mapping[str, str]) -> list[str]:
        """The record, with the header line before the first one. Raises LocalProtocolError."""
        layout = self._says.said(kind)
        parts = [self._written(fields[f.name]) if f.name in fields else self._written(f.value) if f.value else "" for f in layout]
        known = {f.name for f in layout}
        for name, value in fields.items():
            if name not in known:
                parts.append(self._paired(name, value))
        record = self._marks.separator.join(parts)
        if self._headed:
            return [record]
        self._headed = True
        return [self._marks.separator.join(map(self._title, layout)), record]

    def _title(self, field: RecordField) -> str:
        return self._written(field.name) if field.name else ""

    def _paired(self, name: str, value: str) -> str:
        return self._name(name) + self._written(value)

    def _checked_name(self, name: str) -> str:
        """A name, and what stands between it and the value. Raises LocalProtocolError."""
        marks = self._marks
        if not marks.assign:
            raise LocalProtocolError(f"the record's layout has no field {name!r}")
        wrong = any(mark in name for mark in (marks.separator, marks.assign, "\\")) or name[:1] in ("", marks.quote)
        if wrong or _CONTROL.search(name):
            raise LocalProtocolError(f"a field cannot be called {name!r}")
        return f"{name}{marks.assign}"

    def _written(self, value: str) -> str:
        """A value as the dialect says it. Raises LocalProtocolError."""
        if value and self._unlike.search(value) is None:
            return value
        marks = self._marks
        if marks.escape == "\\":
            value = value.translate(_WRITTEN)
        if _CONTROL.search(value):
            raise LocalProtocolError("a value holds a control character")
        if value and marks.separator not in value and not (marks.quote and marks.quote in value):
            return value
        if marks.quote:
            if marks.escape == "\\":
                value = value.replace(marks.quote, f"\\{marks.quote}")
            elif marks.quote in value:
                if marks.escape != "double":
                    raise LocalProtocolError("a value holds a quote, which the dialect cannot express")
                value = value.replace(marks.quote, marks.quote * 2)
            return f"{marks.quote}{value}{marks.quote}"
        if marks.separator in value:
            if marks.escape != "\\":
                raise LocalProtocolError("a value holds the separator, which the dialect cannot express")
            value = value.replace(marks.separator, "".join(f"\\{char}" for char in marks.separator))
        return value
