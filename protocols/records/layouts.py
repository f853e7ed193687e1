"""The layouts of one direction: which fields the records of a kind have, and in which order."""

from __future__ import annotations

from collections.abc import Mapping

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.record_model import OTHERS, RecordField, RecordGrammar

Fields = tuple[RecordField, ...]


class Layouts:
    """Layouts by kind. All have the kind at the same place, so that it can be read before the layout is known."""

    def __init__(self, grammar: RecordGrammar, layouts: Mapping[str, Fields]) -> None:
        self.kind = grammar.kind
        self._layouts = layouts
        any_one = next(iter(layouts.values()))
        self.place = next((n for n, field in enumerate(any_one) if field.name == grammar.kind), 0) if grammar.kind else -1
        """Which of the fields holds the kind; -1 where none does."""
        before = any_one[:max(self.place, 0)]
        self.at = sum(field.width for field in before)
        """Fixed: where the kind begins, bytes."""
        self.field = any_one[self.place] if self.place >= 0 else None

    def heard(self, kind: str) -> Fields:
        """The layout of a record that came. Raises RemoteProtocolError."""
        found = self._layouts.get(kind) or self._layouts.get(OTHERS)
        if found is None:
            raise RemoteProtocolError(f"records of the kind {kind[:40]!r} have no layout")
        return found

    def said(self, kind: str) -> Fields:
        """The layout of a record to send. Raises LocalProtocolError."""
        found = self._layouts.get(kind) or self._layouts.get(OTHERS)
        if found is None:
            raise LocalProtocolError(f"records of the kind {kind!r} have no layout")
        return found


def layouts_of(grammar: RecordGrammar) -> tuple[Layouts, Layouts]:
    """Those of commands and those of answers."""
    return Layouts(grammar, grammar.layouts), Layouts(grammar, grammar.answers or grammar.layouts)


def present(fields: Fields, texts: Mapping[str, str]) -> dict[str, str]:
    """The fields that belong to the message: fillers and constants do not."""
    return {f.name: texts[f.name] for f in fields if f.name in texts and f.name and not (f.value and texts[f.name] == f.value)}
