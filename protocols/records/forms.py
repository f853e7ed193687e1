"""How a record is written, whatever the form: bytes to the kind and the fields of a record, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.dialect import Dialect
from protocols.mml.record_model import RecordGrammar
from protocols.records.delimited import DelimitedRecords
from protocols.records.documents import JsonRecords, XmlRecords
from protocols.records.fixed import FixedRecords
from protocols.records.layouts import layouts_of

Heard = tuple[str, dict[str, Any]]
"""A record's kind, where its form tells it and not a field; and its fields, in nested dicts whose leaves are texts."""


class Form(Protocol):
    """Reads and writes the records of one side of one connection."""

    def read(self, data: bytes) -> Heard | None:
        """A record's kind and fields; None for one that says nothing by itself. Raises RemoteProtocolError."""

    def write(self, kind: str, fields: Mapping[str, Any]) -> list[bytes]:
        """The record, and what has to stand before it. Raises LocalProtocolError."""


class FixedForm:
    """Fixed widths."""

    def __init__(self, records: FixedRecords) -> None:
        self._records = records

    def read(self, data: bytes) -> Heard | None:
        """See Form."""
        return "", self._records.read(data)

    def write(self, kind: str, fields: Mapping[str, Any]) -> list[bytes]:
        """See Form."""
        return self._records.write(kind, fields)


class TextForm:
    """Delimited text, JSON, XML: what is a text before it is anything else."""

    def __init__(self, records: DelimitedRecords | JsonRecords | XmlRecords, charset: str, errors: str) -> None:
        self._records = records
        self._charset, self._errors = charset, errors
        # XML can say every character in every charset; JSON is written in ASCII anyway.
        self._spelled = "xmlcharrefreplace" if isinstance(records, XmlRecords) else "strict"

    def read(self, data: bytes) -> Heard | None:
        """See Form."""
        try:
            text = data.decode(self._charset, self._errors)
        except UnicodeDecodeError as error:
            raise RemoteProtocolError(f"not {self._charset}", position=error.start) from None
        found = self._records.read(text)
        return ("", found) if isinstance(found, dict) else found

    def write(self, kind: str, fields: Mapping[str, Any]) -> list[bytes]:
        """See Form."""
        texts = self._records.write(kind, fields)
        try:
            return [text.encode(self._charset, self._spelled) for text in ([texts] if isinstance(texts, str) else texts)]
        except UnicodeEncodeError:
            raise LocalProtocolError(f"a value holds a character that {self._charset} has not") from None


def form_of(dialect: Dialect, grammar: RecordGrammar, *, server: bool) -> tuple[Form, FixedRecords | None]:
    """The form of one side's records; and, for records as long as their layout, what tells how long."""
    errors = "strict" if dialect.decoding == "refuse" else "replace"
    if grammar.format == "json":
        return TextForm(JsonRecords(grammar), dialect.charset, errors), None
    if grammar.format == "xml":
        return TextForm(XmlRecords(grammar), dialect.charset, errors), None
    commands, answers = layouts_of(grammar)
    hears, says = (commands, answers) if server else (answers, commands)
    if grammar.format == "delimited":
        return TextForm(DelimitedRecords(grammar, hears, says), dialect.charset, errors), None
    fixed = FixedRecords(grammar, hears, says, dialect.charset, errors)
    return FixedForm(fixed), fixed
