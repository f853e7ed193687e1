"""Fields of a map: where each comes from and what it must be, declared by an operator and compiled once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, WithJsonSchema, model_validator

from protocols.mapping.engine import Condition, MappingError, Source, SourceText, Template, path_of
from protocols.mapping.functions import functions
from protocols.mapping.mistakes import nearest
from protocols.mapping.steps import Wrong, steps_for_text, steps_of


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
        default=(), description="functions, in order: upper, lower, trim, one_line, digits, bcd, from_bcd, and those of plug-ins")
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
    _read: Reader = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if self.list is not None and set(self.model_fields_set) - {"list", "when", "required"}:
            raise ValueError("a list has its checks inside")
        for name, wanted in (("format", "datetime"), ("write", "datetime"), ("places", "decimal")):
            if name in self.model_fields_set and self.type != wanted:
                raise ValueError(f"{name} is for `type: {wanted}`")
        if self.pick is not None and self.codes is None:
            raise ValueError("pick is for codes")
        self._read = _Many(self.list, self) if self.list is not None else _One(self)
        return self

    def templates(self) -> Iterator[Template]:
        """The templates that look at the message."""
        yield from self._read.templates()
        if self.when is not None:
            yield from self.when.templates()


_ITEM = re.compile(r"([^\[]+)\[(\d+)\]\.(.+)\Z")

ListMap.model_rebuild()  # now that it knows what fields are


class _One:
    """Reads a single value."""

    def __init__(self, field: FieldMap) -> None:
        self._template = Template(field.source)
        self._fill = self._template.fill
        self._when = field.when
        self._default = field.default
        self._required = field.required
        self._steps = steps_of(field)
        plain = field.when is None and len(self._template.paths) == 1 and len(self._template.paths[0]) == 1 and self._template.whole
        self.key = self._template.paths[0][0] if plain else None
        self.steps_for_text = steps_for_text(self._steps)
        self.origin = ".".join(self._template.paths[0]) if len(self._template.paths) == 1 else ""

    def templates(self) -> Iterator[Template]:
        yield self._template

    @property
    def constant(self) -> bool:
        return self._template.constant

    def read(self, _name: str, data: Mapping[str, Any], _problems: list[MappingError] | None) -> Any:
        """The checked value, None when it is absent and may be. Raises ValueError saying what is allowed."""
        if self._when is not None and not self._when.holds(data):
            return None
        value = self._fill(data)
        if value is None or value == "":
            value = self._default
            if value is None:
                if self._required:
                    raise Wrong("is required")
                return None
        for step in self._steps:
            value = step(value)
        return value


class _Many:
    """Reads a list."""

    def __init__(self, declared: ListMap, field: FieldMap) -> None:
        self._declared = declared
        self._required = field.required
        self._when = field.when
        self._each = Template(declared.each)
        self._zip = {name: Template(source) for name, source in (declared.zip or {}).items()}
        self._of = [Fields(item) for item in declared.of]
        self._fields = Fields(declared.fields) if declared.fields is not None else None
        first = [self._each, *self._zip.values()][0 if self._each.paths else -1]
        self.origin = ".".join(first.paths[0]) if first.paths else ""

    constant = False
    key = None
    steps_for_text = ()

    def templates(self) -> Iterator[Template]:
        yield self._each
        yield from self._zip.values()
        for fields in (*self._of, *([self._fields] if self._fields is not None else [])):
            yield from fields.templates()

    def read(self, name: str, data: Mapping[str, Any], problems: list[MappingError] | None) -> Any:
        """The list, None when there is nothing to make it of. Raises MappingError."""
        if self._when is not None and not self._when.holds(data):
            return None
        made: list[Any] = []
        if self._of:
            for number, fields in enumerate(self._of):
                if fields.concerned(data):
                    made.append(self._within(name, number, fields, data, problems))
        else:
            for index, item in enumerate(self._items(name, data)):
                if self._fields is None:
                    made.append(item)
                else:
                    made.append(self._within(name, index, self._fields, {**data, "item": item, "index": index}, problems))
        declared = self._declared
        if len(made) < declared.min_items or (self._required and not made):
            raise MappingError(name, f"must hold at least {max(declared.min_items, 1)}", self.origin)
        return made or None

    def _items(self, name: str, data: Mapping[str, Any]) -> Sequence[Any]:
        if self._zip:
            columns = {key: self._split(name, template.fill(data)) for key, template in self._zip.items()}
            if len({len(column) for column in columns.values()}) > 1:
                raise MappingError(name, f"{', '.join(columns)} must be of one length", self.origin)
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return self._split(name, self._each.fill(data))

    def _split(self, name: str, value: Any) -> Sequence[Any]:
        by, most = self._declared.by, self._declared.max_items
        if value is None or value == "":
            return ()
        items: Sequence[Any] = (value,)
        if isinstance(value, (list, tuple)):
            items = value
        elif isinstance(value, str) and by is not None:
            items = value.split(by, most)
        if len(items) > most:
            raise MappingError(name, f"must hold at most {most}", self.origin)
        return items

    def source(self, index: int, target: str) -> str:
        """The field of the message that a field of one item comes from."""
        found = (fields.source(target) for fields in (*self._of, *([self._fields] if self._fields is not None else [])))
        return self._of_item(next((source for source in found if source), ""), index) or self.origin

    def _of_item(self, source: str, index: int) -> str:
        """A field that is named from the item's point of view, named from the message's."""
        root, _, rest = source.partition(".")
        if root != "item":
            return source
        column, _, inner = rest.partition(".")
        if column in self._zip and len(self._zip[column].paths) == 1:
            whole, rest = ".".join(self._zip[column].paths[0]), inner
        else:
            whole = self.origin
        return f"{whole}[{index}].{rest}".rstrip(".")

    def _within(self, name: str, index: int, fields: Fields, data: Mapping[str, Any],
                problems: list[MappingError] | None) -> dict[str, Any]:
        inner: list[MappingError] | None = None if problems is None else []
        try:
            made = fields.apply(data, inner)
        except MappingError as error:
            raise self._placed(error, name, index) from None
        if problems is not None:
            problems += [self._placed(error, name, index) for error in inner or ()]
        return made

    def _placed(self, error: MappingError, name: str, index: int) -> MappingError:
        return MappingError(f"{name}[{index}].{error.path}", error.message, self._of_item(error.source, index))


Reader = _One | _Many


class Fields:
    """A whole map, target path -> field. Nested targets (`relatedParty.id`) make nested dicts; absent fields are left out."""

    def __init__(self, fields: Mapping[str, FieldMap]) -> None:
        self._fields = [(name, path_of(name), field._read) for name, field in fields.items()]
        # A text from the top of the message needs no more than a look, and its steps: `key` is where.
        self._plan = [(name, path if len(path) > 1 else None, reader.key, reader.steps_for_text, reader)
                      for name, path, reader in self._fields]
        self._declared = fields
        targets = {path for _, path, _ in self._fields}
        for name, path, _ in self._fields:
            if any(path[:n] in targets for n in range(1, len(path))):
                raise ValueError(f"{name} lies inside another field of the map")

    def apply(self, data: Mapping[str, Any], problems: list[MappingError] | None = None) -> dict[str, Any]:
        """Map and check one message. Raises MappingError at the first field that fails; given `problems`, adds each of them instead."""
        out: dict[str, Any] = {}
        for name, path, key, steps, reader in self._plan:
            value = data.get(key) if key is not None else None
            try:
                if type(value) is str and value:
                    for step in steps:
                        value = step(value)
                else:
                    value = reader.read(name, data, problems)
            except ValueError as error:
                wrong = error if isinstance(error, MappingError) else MappingError(name, str(error), reader.origin)
                if problems is None:
                    raise wrong from None
                problems.append(wrong)
                continue
            if value is None:
                continue
            if path is None:
                out[name] = value
            else:
                into = out
                for part in path[:-1]:
                    into = into.setdefault(part, {})
                into[path[-1]] = value
        return out

    def templates(self) -> Iterator[Template]:
        """The templates that look at the message."""
        for field in self._declared.values():
            yield from field.templates()

    def concerned(self, data: Mapping[str, Any]) -> bool:
        """Whether the message has anything for this map: a field from it is there, or all fields are constants."""
        varying = [reader for _, _, reader in self._fields if not reader.constant]
        return not varying or any(t.fill(data) not in (None, "") for reader in varying for t in reader.templates())

    def source(self, target: str) -> str:
        """The field of the message that a field of the result comes from; empty where there is not one. Of a list's field
        (`productOrderItem[1].quantity`) it is that of the item (`line[1].count`).
        """
        for name, _, reader in self._fields:
            if name == target:
                return reader.origin
            found = _ITEM.match(target)
            if isinstance(reader, _Many) and found is not None and found[1] == name:
                return reader.source(int(found[2]), found[3])
        return ""
