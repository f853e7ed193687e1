"""The hot path out: business objects written as XML straight from their shapes, the same bytes for the same object."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

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
            % (version.value.encode(), headers, body))


def escaped(text: str) -> str:
    """Write text as XML character data; what XML 1.0 cannot carry becomes U+FFFD."""
    return _MARKUP.sub(lambda found: _INSTEAD.get(found[0], "\ufffd"), text)


def _record_writer(record: Record, made: dict[str, _Writer], texts: _Texts) -> _Writer:
    known = made.get(record.name)
    if known is not None:
        return known
    parts: list[tuple[str, _Writer]] = []

    def write(message: Any) -> str:
        values = message.__dict__
        return "".join([part(values[name]) for name, part in parts if values[name] is not None])

    made[record.name] = write
    for member in record.members:
        inner = member.type
        one = _element_writer(member.name, _record_writer(inner, made, texts) if isinstance(inner, Record) else texts[inner.kind])
        parts.append((member.name, _list_writer(one) if member.many else one))
    return write


def _element_writer(name: str, content: _Writer) -> _Writer:
    opening, closing = f"<{name}>", f"</{name}>"
    if content is escaped:  # most elements: spare a call
        return lambda value: f"{opening}{escaped(value) if _SPECIAL(value) else value}{closing}"
    return lambda value: f"{opening}{content(value)}{closing}"


def _list_writer(one: _Writer) -> _Writer:
    return lambda values: "".join([one(value) for value in values])


def _decimal(value: Decimal) -> str:
    return format(value, "f")  # XML Schema knows no exponent


def _double(value: float) -> str:
    return {"inf": "INF", "-inf": "-INF", "nan": "NaN"}.get(str(value), repr(value))


def _date_time(value: datetime) -> str:
    text = value.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


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
