"""What all business objects share: the base class, terse parameter names, and the TM Forum types used everywhere."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

# What XML 1.0 (2.2) can carry, on one line: a value must survive every protocol, and MML ends a command at a line's end.
ONE_LINE = r"^[^\x00-\x1f\x7f\ufffe\uffff]*$"


@dataclass(frozen=True, slots=True)
class Parameter:
    """The short name of a field in flat, line-oriented protocols: `Annotated[str, Parameter("EXTID")]`.

    A field without one is called by its own name in capitals.
    """

    name: str


class BusinessObject(BaseModel):
    """A message or a part of one. Immutable; unknown fields are refused; field names are those of the TM Forum Open APIs."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")
    __slots__ = ("_json",)


_json: Any = vars(BusinessObject)["_json"]


def as_json(body: BusinessObject) -> str:
    """Return the object as JSON, without what it does not have.

    One object is stored, answered with and published in one go: the text is made once and kept with it. It is no field, and no copy
    takes it over.
    """
    try:
        return _json.__get__(body)  # type: ignore[no-any-return]
    except AttributeError:
        text = body.model_dump_json(exclude_none=True)
        _json.__set__(body, text)
        return text


class Event(BusinessObject):
    """Something that has happened. Its class name is its routing key; identity and time are the envelope's."""


def _no_float(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError("money is a decimal string such as \"10.00\", never a binary float")  # noqa: TRY004 (pydantic wants ValueError)
    return value


Text = Annotated[str, StringConstraints(max_length=512, pattern=ONE_LINE)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=ONE_LINE)]
Quantity = Annotated[int, Field(ge=1, le=1000)]
Amount = Annotated[Decimal, BeforeValidator(_no_float), Field(max_digits=18, decimal_places=9)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Instant = AwareDatetime


def _from_base64(value: Any) -> Any:
    return b64decode(value, validate=True) if isinstance(value, str) else value


Content = Annotated[bytes, BeforeValidator(_from_base64),
                    PlainSerializer(lambda value: b64encode(value).decode(), return_type=str, when_used="json")]
"""The bytes of a document; base64 in JSON (TMF AttachmentRefOrValue `content`)."""


class Money(BusinessObject):
    """An amount in one currency (TMF Money: `unit` is the ISO 4217 code, `value` the decimal amount)."""

    unit: Currency
    value: Amount


class RelatedParty(BusinessObject):
    """Who an object concerns (TMF632 reference)."""

    id: Annotated[Identifier, Parameter("CUSTID")]
    name: Annotated[Text, Parameter("CUSTNAME"), Field(min_length=1)]
    role: Text = "customer"


class Characteristic(BusinessObject):
    """One named value of a product, service or resource (TMF Characteristic)."""

    name: Identifier
    value: Text


class StateChange(BusinessObject):
    """One step in an object's history."""

    state: Identifier
    changeDate: Instant
    reason: Text | None = None


def one_line(text: str) -> str:
    """Make a `Text` of any text: without what no line can hold, and no longer than it may be."""
    return (text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text))[:512]


def fields_named(model: type[BusinessObject]) -> Iterator[tuple[str, str]]:
    """Yield each field of `model` with its short parameter name."""
    for name, info in model.model_fields.items():
        short = next((m.name for m in info.metadata if isinstance(m, Parameter)), name.upper())
        yield name, short
