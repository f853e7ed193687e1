"""Fields of a map: where each comes from and what it must be, declared by an operator and compiled once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, WithJsonSchema, model_validator

from protocols.mapping.engine import Condition, Source, SourceText, Template
from protocols.mapping.functions import functions
from protocols.mapping.reading import Many, One
from protocols.wording import nearest


def _codes(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(f"there is no table {value} under codes:")  # noqa: TRY004 (pydantic wants ValueError)
    for key in value if isinstance(value, Mapping) else ():
        if not isinstance(key, str):
            raise ValueError(f"{key!r} is a code, so write it in quotes")  # noqa: TRY004 (pydantic wants ValueError)
    return value


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _quoted(value: Any) -> Any:
    for item in value if isinstance(value, (list, tuple)) else ():
        if not isinstance(item, str):
            raise ValueError(f"{item!r} is a code, so write it in quotes")  # noqa: TRY004 (pydantic wants ValueError)
    return value


def _known_function(name: str) -> str:
    if name not in functions():
        raise ValueError(f"there is no function {name}{nearest(name, functions())}")
    return name


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name}") from None
    return name


Codes = Annotated[Mapping[str, Any], BeforeValidator(_codes), WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": True}]})]
"""What each code means. In a file also the name of a table under `codes:`, which `Definition.load` puts in its place."""
CodeSet = Annotated[frozenset[str], BeforeValidator(_quoted)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListMap(_Part):
    """A list. Its items come from a list of the message (`each`), from a text (`each` with `by`), from several side by side (`zip`),
    or are written out one by one (`of`). An item's own fields see the message and besides `item` and `index` (from 0).
    """

    each: SourceText | None = Field(default=None, description="a template that gives a list, or with `by` a text to be split")
    zip: Mapping[str, SourceText] | None = Field(default=None, description="templates of several lists (or texts to be split) "
                                                 "of one length: `item.<name>` is the value of each")
    by: str | None = Field(default=None, min_length=1, description="what stands between the items of a text")
    of: tuple[Mapping[str, FieldMap], ...] = Field(default=(), description="items written out; one whose fields from the message are all "
                                                   "missing is left out")
    fields: Mapping[str, FieldMap] | None = Field(default=None, description="the fields of each item; without them, it is taken as it is")
    min_items: int = Field(default=0, ge=0, description="fewest items")
    max_items: int = Field(default=1000, ge=1, description="most items")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.each is not None) + (self.zip is not None) + bool(self.of) != 1:
            raise ValueError("give one of each, zip and of")
        if self.of and self.fields is not None:
            raise ValueError("`of` holds the fields of each item itself")
        return self


class FieldMap(_Part):
    """One field: where it comes from and what it must be. In this order: taken, defaulted, functions applied, codes translated, made into
    its type, checked, and written in its outward form.
    """

    source: Source = Field(default=None, alias="from", description="a template: `$a.b` is that field, `{a.b}` puts it into a text, all "
                                                                "else is a constant")
    type: Literal["string", "integer", "decimal", "boolean", "datetime", "any"] = Field(
        default="string", description="`datetime` has a zone; `any` takes objects and lists as they are")
    required: bool = Field(default=False, description="an error when it is missing")
    default: Any = Field(default=None, description="taken when the message has none")
    apply: tuple[Annotated[str, AfterValidator(_known_function)], ...] = Field(
        default=(), description="functions, in order: upper, lower, trim, one_line, digits, bcd, from_bcd, md5, and those of plug-ins")
    codes: Codes | None = Field(default=None, description="what each code means; a text names one of the file's tables")
    pick: str | None = Field(default=None, description="where a code means several things: which of them")
    otherwise: Any = Field(default=None, description="what a code that is not listed means; without it, it is an error")
    pattern: re.Pattern[str] | None = Field(default=None, description="a regular expression that it matches as a whole")
    one_of: Annotated[tuple[str, ...], BeforeValidator(_quoted)] | None = Field(default=None, description="what it may be")
    minimum: Decimal | None = Field(default=None, description="smallest number")
    maximum: Decimal | None = Field(default=None, description="largest number")
    min_length: int | None = Field(default=None, ge=0, description="fewest characters")
    max_length: int | None = Field(default=None, ge=0, description="most characters")
    format: Annotated[tuple[str, ...], BeforeValidator(_one_or_many), WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})] = Field(
        default=(), description="how a datetime is read (`%Y%m%d%H%M%S`); of several each is tried; ISO 8601 without any")
    zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        default="UTC", description="the time zone of a datetime that names none, and of one that is written")
    write: str | None = Field(default=None, description="how a datetime is written (`%Y-%m-%d`)")
    places: int | None = Field(default=None, ge=0, le=18, description="decimals that a number is written with (half up)")
    when: Condition | None = Field(default=None, description="the field is left out unless this holds")
    list: ListMap | None = Field(default=None, description="makes a list instead of a single value")
    _reader: One | Many = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if self.list is not None and set(self.model_fields_set) - {"list", "when", "required"}:
            raise ValueError("a list has its checks inside")
        for name, wanted in (("format", "datetime"), ("write", "datetime"), ("places", "decimal")):
            if name in self.model_fields_set and self.type != wanted:
                raise ValueError(f"{name} is for `type: {wanted}`")
        if self.pick is not None and self.codes is None:
            raise ValueError("pick is for codes")
        self._reader = Many(self.list, self) if self.list is not None else One(self)
        return self

    @property
    def reader(self) -> One | Many:
        """What reads the field out of a message."""
        return self._reader

    def templates(self) -> Iterator[Template]:
        """The templates that look at the message."""
        yield from self.reader.templates()
        if self.when is not None:
            yield from self.when.templates()


ListMap.model_rebuild()  # now that it knows what fields are
