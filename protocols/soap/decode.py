"""The hot path in: a payload checked by the published schema and taken apart straight into what the model is made from."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple

from lxml import etree

from protocols.soap.contract import Contract, Pair
from protocols.soap.faults import INVALID, UNKNOWN_OPERATION, SoapError
from protocols.soap.names import NAMESPACE
from protocols.soap.shapes import Kind, Member, Record, Simple

Fields = dict[str, Any]
_Taker = Callable[[Any], Any]
_TAG: Final = f"{{{NAMESPACE}}}"
_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_XSI_TYPE: Final = _XSI + "type"
_XSI_NIL: Final = _XSI + "nil"


class UnusualError(Exception):
    """The element is valid, but says the types of its parts itself (xsi:type): `by_spyne` knows what to make of that."""


class Decoder:
    """Decodes payloads of one contract. Not for use in two threads at once (libxml2's schema validator is not)."""

    def __init__(self, contract: Contract) -> None:
        self._schema = contract.schema()
        self._takers: dict[str, _Taker] = {}
        self._records: dict[str, Record] = {}
        self._operations: Mapping[str, Pair] = {_TAG + pair.name: pair for pair in contract.pairs}
        made: dict[str, _Taker] = {}
        for model in (*(pair.request for pair in contract.pairs), contract.header):
            record = contract.shapes.of(model)
            self._takers[_TAG + record.name] = _record_taker(record, made)
            self._records[_TAG + record.name] = record

    def operation(self, payload: Any) -> Pair:
        """Find the operation a payload asks for. Raises SoapError(Client.UnknownOperation)."""
        try:
            return self._operations[payload.tag]
        except KeyError:
            name = etree.QName(payload.tag)
            where = "" if name.namespace == NAMESPACE else f" in namespace {name.namespace or '(none)'}; ours is {NAMESPACE}"
            raise SoapError(UNKNOWN_OPERATION, f"unknown operation {name.localname}{where}") from None

    def fields(self, element: Any, text: bytes) -> Fields:
        """Check an element and return its content, ready for its model. `text` is the message it stands in.

        Raises SoapError(Client.Invalid) naming the first wrong field and what is allowed, and UnusualError.
        """
        if element.attrib:
            _without_envelope_s_own(element)
        unusual = (b":type=" in text or b":nil=" in text) and _without_hints(element)
        if not self._schema.validate(element):
            # libxml2 forgets to collapse the white space of some types; what is missing or misplaced stays so.
            collapsed = self._first_error().type != _MISPLACED and collapse(element, self._records[element.tag])
            if not collapsed or not self._schema.validate(element):
                raise self._invalid(element)
        if unusual:
            raise UnusualError
        fields: Fields = self._takers[element.tag](element)
        return fields

    def _first_error(self) -> Any:
        log: Any = self._schema.error_log  # its stubs know neither index nor iteration
        return log[0]

    def _invalid(self, element: Any) -> SoapError:
        error = self._first_error()
        trail = list(_trail(error.path or "", element, self._records[element.tag]))
        missing = _missing(error.message, trail)
        if missing is not None:
            return SoapError(INVALID, f"{missing}: is required", missing)
        path = trail[-1].path
        return SoapError(INVALID, f"{path}: {_told(error.message)}" if path else _told(error.message), path or None)


def _without_envelope_s_own(element: Any) -> None:
    """Take off what belongs to the envelope and to security: mustUnderstand, actor, encodingStyle, wsu:Id."""
    for name in element.attrib:
        if name.startswith("{") and not name.startswith(_XSI):
            del element.attrib[name]


def is_nil(element: Any) -> bool:
    """Whether an element says that it is not there (xsi:nil), and is empty as that wants it."""
    return element.get(_XSI_NIL, "").strip() in ("true", "1") and len(element) == 0 and not element.text


def _without_hints(element: Any) -> bool:
    """Take off what some toolkits add without need: xsi:type of a built-in type, and optional elements said to be nil.

    Returns whether there are types left, of the contract's own.
    """
    left = False
    for each in list(element.iter(etree.Element)):
        if each is not element and is_nil(each):
            each.getparent().remove(each)
        elif _XSI_TYPE in each.attrib:
            prefix, _, _name = each.get(_XSI_TYPE).strip().rpartition(":")
            if each.nsmap.get(prefix or None) in ("http://www.w3.org/2001/XMLSchema", "http://schemas.xmlsoap.org/soap/encoding/"):
                del each.attrib[_XSI_TYPE]
            else:
                left = True
    return left


_MISPLACED: Final = etree.ErrorTypes.SCHEMAV_ELEMENT_CONTENT
_TOO_FINE = re.compile(r"(\.\d{6})\d+")


def collapse(element: Any, shape: Record) -> bool:
    """Take the white space off values that are no strings, as XML Schema says: spyne reads ` true ` as false. Of a time it would
    round what is finer than a microsecond; our models cut it off. Returns whether there was anything to take off.
    """
    changed = False
    kinds = _kinds(shape)
    for child in element:
        kind = kinds.get(_local(child))
        if isinstance(kind, Record):
            changed |= collapse(child, kind)
        elif kind is not None and kind.kind is not Kind.STRING and child.text:
            text = child.text.strip(" \t\r\n")
            if kind.kind is Kind.DATE_TIME:
                text = _TOO_FINE.sub(r"\1", text)
            if text != child.text:
                child.text, changed = text, True
    return changed


def _local(element: Any) -> str:
    """An element's name without its namespace."""
    tag: str = element.tag
    return tag.rpartition("}")[2]


@cache
def _kinds(shape: Record) -> Mapping[str, Simple | Record]:
    return {member.name: member.type for member in shape.members}


def _record_taker(record: Record, made: dict[str, _Taker]) -> _Taker:
    known = made.get(record.name)
    if known is not None:
        return known
    ones: dict[str, tuple[str, bool, _Taker | None]] = {}

    def take(element: Any) -> Fields:
        fields: Fields = {}
        for child in element:
            name, many, taker = ones[child.tag]
            value = (child.text or "") if taker is None else taker(child)
            if not many:
                fields[name] = value
            elif name in fields:
                fields[name].append(value)
            else:
                fields[name] = [value]
        return fields

    made[record.name] = take
    for member in record.members:
        taker = _record_taker(member.type, made) if isinstance(member.type, Record) else _TAKERS[member.type.kind]
        ones[_TAG + member.name] = (member.name, member.many, taker)
    return take


def _binary(element: Any) -> bytes:
    try:
        return b64decode("".join((element.text or "").split()), validate=True)
    except ValueError:  # libxml2 lets some of it through
        name = _local(element)
        raise SoapError(INVALID, f"{name}: the value is not base64", name) from None


# The schema has accepted the text, so these cannot fail on it (what is out of Python's range is left to the model).
_TAKERS: dict[Kind, _Taker | None] = {
    Kind.STRING: None,
    Kind.INT: lambda e: int(e.text),
    Kind.LONG: lambda e: int(e.text),
    Kind.DECIMAL: lambda e: Decimal(e.text.strip()),
    Kind.DOUBLE: lambda e: float(e.text),
    Kind.BOOLEAN: lambda e: e.text.strip() in ("true", "1"),
    Kind.DATE: lambda e: e.text.strip(),
    Kind.DATE_TIME: lambda e: e.text.strip(),
    Kind.BINARY: _binary,
}

_NAMES_NAMESPACE = re.compile(r"\{" + re.escape(NAMESPACE) + r"\}")
_EXPECTED = re.compile(r": (?:Missing child element\(s\)|(This element is not expected))\. Expected is (?:one of )?\( (.*) \)")
_VALUE = re.compile(r"(?:The value|value) '.*?'(?= |\.|$)", re.DOTALL)


def _told(message: str) -> str:
    """libxml2's words without namespaces and without the value: that may be a secret or a subscriber's number."""
    told = _NAMES_NAMESPACE.sub("", message)
    told = re.sub(r"^Element '[^']*'(, attribute '[^']*')?: ", "", told)
    told = re.sub(r"^'.*' is not a valid", "the value is not a valid", told, flags=re.DOTALL)
    return _VALUE.sub("the value", told)[:400].strip()


_STEP = re.compile(r"(?:[\w.-]+:)?([\w.-]+|\*)(?:\[(\d+)\])?")


class _Step(NamedTuple):
    path: str
    element: Any
    shape: Record | Simple | None


def _missing(message: str, trail: list[_Step]) -> str | None:
    """The path of what has to be there and is not. libxml2 blames the record, or the member that stands where another should."""
    found = _EXPECTED.search(message)
    if found is None or (found[1] and (len(trail) < 2 or trail[-1].shape is None)):
        return None
    within = trail[-2 if found[1] else -1]
    if not isinstance(within.shape, Record):
        return None
    expected = _NAMES_NAMESPACE.sub("", found[2]).split(", ")
    needed = [member.name for member in within.shape.members if member.name in expected and member.least]
    if len(needed) != 1 or within.element.find(_TAG + needed[0]) is not None:
        return None
    return f"{within.path}.{needed[0]}" if within.path else needed[0]


def _trail(xpath: str, element: Any, record: Record) -> Iterator[_Step]:
    """Turn libxml2's path of an element into ours, step by step: `productOrderItem[0].action`. Without a prefix in the message it
    says `*[3]`.
    """
    parts = []
    shape: Record | Simple | None = record
    yield _Step("", element, shape)
    for step in xpath.split("/")[2:]:
        found = _STEP.fullmatch(step)
        if found is None:
            break
        alike = [e for e in element if found[1] in ("*", _local(e))]
        element = alike[int(found[2] or 1) - 1]
        name = _local(element)
        member: Member | None = next((m for m in shape.members if m.name == name), None) if isinstance(shape, Record) else None
        shape = member.type if member is not None else None
        many = member is not None and member.many
        parts.append(f"{name}[{sum(1 for _ in element.itersiblings(element.tag, preceding=True))}]" if many else name)
        yield _Step(".".join(parts), element, shape)
