"""The hot path out: business objects written as XML straight from their shapes, the same bytes for the same object."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from pydantic import BaseModel

from protocols.soap.contract import Contract
from protocols.soap.faults import Version
from protocols.soap.multipart import Attachments
from protocols.soap.names import NAMESPACE
from protocols.soap.shapes import Kind, Record

_Writer = Callable[[Any], str]
_Texts = Mapping[Kind, _Writer]
_MARKUP = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SPECIAL = _MARKUP.search
_INSTEAD = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


_NAMESPACES = {version: version.value.encode() for version in Version}


class Encoder:
    """Encodes replies and fault details of one contract."""

    def __init__(self, contract: Contract) -> None:
        made: dict[str, _Writer] = {}
        self._writers: dict[type[BaseModel], _Writer] = {}
        for model in (*(pair.reply for pair in contract.pairs), *(pair.request for pair in contract.pairs), contract.header,
                      contract.fault):
            self._writers[model] = _record_writer(contract.shapes.of(model), made, _TEXTS)
        self._attaching = {pair.name: shape for pair in contract.pairs if (shape := contract.shapes.of(pair.reply)).holds(Kind.BINARY)}
        self._around = {pair.name: (f'<{pair.name}Response xmlns="{NAMESPACE}"><{pair.name}Result>',
                                    f"</{pair.name}Result></{pair.name}Response>") for pair in contract.pairs}

    def attaches(self, operation: str) -> bool:
        """Whether replies to `operation` may hold binary values."""
        return operation in self._attaching

    def reply(self, operation: str, reply: BaseModel, attachments: Attachments | None = None) -> bytes:
        """Return the payload that answers `operation`; binary values go into `attachments`, if there are any to go into.

        Raises KeyError when that is no operation of the contract.
        """
        before, after = self._around[operation]
        write = self._writers[type(reply)]
        if attachments is not None and operation in self._attaching:
            write = _record_writer(self._attaching[operation], {}, {**_TEXTS, Kind.BINARY: attachments.include})
        return f"{before}{write(reply)}{after}".encode()

    def element(self, message: BaseModel) -> bytes:
        """Return a request, a Context header or a fault detail as an element of its own."""
        name = type(message).__name__
        return f'<{name} xmlns="{NAMESPACE}">{self._writers[type(message)](message)}</{name}>'.encode()


def envelope(version: Version, body: bytes, headers: bytes = b"") -> bytes:
    """Put a payload, serialised, into an envelope."""
    if headers:
        headers = b"<soap:Header>%b</soap:Header>" % headers
    return (b'<?xml version="1.0" encoding="UTF-8"?>\n<soap:Envelope xmlns:soap="%b">%b<soap:Body>%b</soap:Body></soap:Envelope>'
            % (_NAMESPACES[version], headers, body))


def escaped(text: str) -> str:
    """Write text as XML character data; what XML 1.0 cannot carry becomes U+FFFD."""
    return _MARKUP.sub(lambda found: _INSTEAD.get(found[0], "\ufffd"), text)


def _record_writer(record: Record, made: dict[str, _Writer], texts: _Texts) -> _Writer:
    known = made.get(record.name)
    if known is not None:
        return known
    # Name, tags, how the content is written (None: as text, which most of it is), and whether there are several.
    parts: list[tuple[str, str, str, _Writer | None, bool]] = []

    def write(message: Any) -> str:
        values = message.__dict__
        out = []
        for name, opening, closing, content, many in parts:
            value = values[name]
            if value is None:
                continue
            if many:
                out += [f"{opening}{content(one) if content is not None else escaped(one)}{closing}" for one in value]
            elif content is not None:
                out.append(f"{opening}{content(value)}{closing}")
            else:
                out.append(f"{opening}{escaped(value) if _SPECIAL(value) else value}{closing}")
        return "".join(out)

    made[record.name] = write
    for member in record.members:
        inner = member.type
        content = _record_writer(inner, made, texts) if isinstance(inner, Record) else texts[inner.kind]
        parts.append((member.name, f"<{member.name}>", f"</{member.name}>", None if content is escaped else content, member.many))
    return write


def _decimal(value: Decimal) -> str:
    return format(value, "f")  # XML Schema knows no exponent


def _double(value: float) -> str:
    return {"inf": "INF", "-inf": "-INF", "nan": "NaN"}.get(str(value), repr(value))


def _date_time(value: datetime) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)[1:-1].decode()  # RFC 3339, in a third of isoformat's time


_TEXTS: _Texts = {
    Kind.STRING: escaped,
    Kind.INT: str,
    Kind.LONG: str,
    Kind.DECIMAL: _decimal,
    Kind.DOUBLE: _double,
    Kind.BOOLEAN: lambda value: "true" if value else "false",
    Kind.DATE: lambda value: str(value.isoformat()),
    Kind.DATE_TIME: _date_time,
    Kind.BINARY: lambda value: b64encode(value).decode(),
}
