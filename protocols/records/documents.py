"""JSON and XML records as nested dicts, whose leaves are texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from protocols.amqp.bodies import MAX_DEPTH, read_body, read_xml, write_body
from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.record_model import RecordGrammar

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\Z", re.ASCII)
_LONGEST_NUMBER = 400


class JsonRecords:
    """JSON objects (RFC 8259). Numbers, true and false are read as their texts; null is a field that is not there."""

    def __init__(self, grammar: RecordGrammar) -> None:
        self._types = {tuple(path.split(".")): kind for path, kind in grammar.document.types.items()}

    def read(self, text: str) -> dict[str, Any]:
        """The record's fields. Raises RemoteProtocolError."""
        try:
            found = _texts(read_body("json", text.encode()), 0)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(error.message.replace("the body", "a record")) from None
        except UnicodeEncodeError:
            raise RemoteProtocolError("a record is not JSON") from None
        assert isinstance(found, dict)
        return found

    def write(self, _kind: str, fields: Mapping[str, Any]) -> str:
        """The record. Raises LocalProtocolError."""
        return write_body("json", self._typed(fields, ()) if self._types else fields).decode()

    def _typed(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Mapping):
            return {name: self._typed(inner, (*path, name)) for name, inner in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self._typed(inner, path) for inner in value]
        kind = self._types.get(path)
        if kind == "boolean" and value in ("true", "false"):
            return value == "true"
        if kind == "number" and _NUMBER.match(value) and len(value) <= _LONGEST_NUMBER:
            return Decimal(value)
        if kind is not None:
            raise LocalProtocolError(f"{'.'.join(path)}: is not a {kind}")
        return value


class XmlRecords:
    """XML elements without schema, without DTD. Attributes and children are fields alike; elements of one name are a list."""

    def __init__(self, grammar: RecordGrammar) -> None:
        document = self._document = grammar.document
        self._by_root = "{kind}" in document.root
        before, _, after = document.root.partition("{kind}")
        self._root = re.compile(f"{re.escape(before)}(.*){re.escape(after)}")
        self._lists = [tuple(path.split(".")) for path in document.lists]

    def read(self, text: str) -> tuple[str, dict[str, Any]]:
        """The kind, where the root element tells it, and the record's fields. Raises RemoteProtocolError."""
        try:
            root, found = read_xml(text)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(error.message.replace("the body", "a record")) from None
        except UnicodeEncodeError:
            raise RemoteProtocolError("a record is not well-formed XML") from None
        for path in self._lists:
            _listed(found, path)
        if not self._by_root:
            if root != self._document.root:
                raise RemoteProtocolError(f"a record's root element is {self._document.root}")
            return "", found
        kind = self._root.fullmatch(root)
        if kind is None:
            raise RemoteProtocolError(f"a record's root element is called as {self._document.root} says")
        return kind[1], found

    def write(self, kind: str, fields: Mapping[str, Any]) -> str:
        """The record. Raises LocalProtocolError."""
        document = self._document
        return write_body("xml", fields, root=document.root.replace("{kind}", kind), namespace=document.namespace or None,
                          attributes=document.attributes).decode()


def _listed(found: Any, path: tuple[str, ...]) -> None:
    """Make a lone element a list."""
    if isinstance(found, list):
        for item in found:
            _listed(item, path)
    elif isinstance(found, dict) and path[0] in found:
        if len(path) > 1:
            _listed(found[path[0]], path[1:])
        elif not isinstance(found[path[0]], list):
            found[path[0]] = [found[path[0]]]


def _texts(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise RemoteProtocolError(f"the body is nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        return {name: _texts(inner, depth + 1) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_texts(inner, depth + 1) for inner in value if inner is not None]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < _LONGEST_NUMBER else str(value)
    return str(value)


def taken(data: dict[str, Any], path: Sequence[str]) -> Any:
    """Take the value at a path out of nested dicts, and the dicts that it leaves empty; None where there is none."""
    if not path:
        return None
    if len(path) == 1:
        return data.pop(path[0], None)
    inner = data.get(path[0])
    if not isinstance(inner, dict):
        return None
    value = taken(inner, path[1:])
    if not inner:
        del data[path[0]]
    return value


def put(data: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Put a value at a path. Raises LocalProtocolError where something else stands."""
    for name in path[:-1]:
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            raise LocalProtocolError(f"a field called {name!r} cannot stand beside the record's own")
    if path[-1] in data:
        raise LocalProtocolError(f"a field called {path[-1]!r} cannot stand beside the record's own")
    data[path[-1]] = value
