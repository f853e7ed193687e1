"""Fixed records: every field has its place and its width, counted in bytes of the dialect's charset."""

from __future__ import annotations

from collections.abc import Mapping

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.record_model import RecordField, RecordGrammar
from protocols.records.layouts import Layouts, present


class FixedRecords:
    """Records by their layouts: `hears` of what comes, `says` of what goes."""

    def __init__(self, grammar: RecordGrammar, hears: Layouts, says: Layouts, charset: str, errors: str) -> None:
        self._hears, self._says = hears, says
        self._charset, self._errors = charset, errors
        self._shortened = grammar.text
        self.head = hears.at + (hears.field.width if hears.field is not None else 0)
        """Bytes from which the kind can be told."""

    def size(self, head: bytes) -> int:
        """How long the record is that begins so. Raises RemoteProtocolError."""
        return sum(field.width for field in self._hears.heard(self._kind(head)))

    def _kind(self, data: bytes) -> str:
        field = self._hears.field
        return "" if field is None else self._read(field, data[self._hears.at:self.head])

    def read(self, data: bytes) -> dict[str, str]:
        """The fields of a record; what is cut off at its end is not there. Raises RemoteProtocolError."""
        layout = self._hears.heard(self._kind(data))
        found: dict[str, str] = {}
        at = 0
        for field in layout:
            value = self._read(field, data[at:at + field.width])
            if value:
                found[field.name] = value
            at += field.width
        if data[at:].strip():
            raise RemoteProtocolError(f"the record is longer than its layout of {at} bytes", position=at)
        return present(layout, found)

    def _read(self, field: RecordField, data: bytes) -> str:
        try:
            text = data.decode(self._charset, self._errors)
        except UnicodeDecodeError:
            raise RemoteProtocolError(f"{field.name}: not {self._charset}") from None
        text = text.strip("\0")
        if not text.strip():
            return ""
        value = text.rstrip(field.pad) if field.justify == "left" else text.lstrip(field.pad)
        return field.pad if field.pad == "0" and not value else value

    def write(self, kind: str, fields: Mapping[str, str]) -> list[bytes]:
        """The record. Raises LocalProtocolError for a value that does not come back as it is."""
        layout = self._says.said(kind)
        if lacking := next((name for name in fields if all(f.name != name for f in layout)), None):
            raise LocalProtocolError(f"{kind} has no field {lacking!r}")
        return [b"".join(self._written(field, fields.get(field.name, "") or field.value) for field in layout)]

    def _written(self, field: RecordField, value: str) -> bytes:
        try:
            data = value.encode(self._charset)
        except UnicodeEncodeError:
            raise LocalProtocolError(f"{field.name}: holds a character that {self._charset} has not") from None
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise LocalProtocolError(f"{field.name}: holds a control character")
        if len(data) > field.width and field.name == self._shortened:
            value = data[:field.width].decode(self._charset, "ignore")
            data = value.encode(self._charset)
        if len(data) > field.width:
            raise LocalProtocolError(f"{field.name}: is longer than {field.width} bytes")
        # Zeros would be a number; blanks are nothing.
        pad = b" " if field.pad == "0" and not data else field.pad.encode()
        return data.ljust(field.width, pad) if field.justify == "left" else data.rjust(field.width, pad)
