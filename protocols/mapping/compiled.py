"""A map compiled into one validator of pydantic's core: a message is mapped and checked in one call, most of it outside of Python.

It makes of a message what the map makes of it field by field. It does not tell what is wrong: that is left to the map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import ceil, floor
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import PydanticOmit, SchemaValidator
from pydantic_core import core_schema as schema

from protocols.mapping.steps import Step

if TYPE_CHECKING:
    from protocols.mapping.fields import FieldMap

_WHOLE = "\0"
"""Where the validator finds the whole message, for what looks at more than one of its fields. No template can name it."""
_INTEGER = "^[+-]?[0-9]{1,18}$"


class Part(NamedTuple):
    """A field as the validator needs it. Its functions raise ValueError where a check fails, and give None where nothing is there."""

    target: Sequence[str]
    read: Callable[[Mapping[str, Any]], Any]
    """Makes the value of the whole message."""
    place: Sequence[str] = ()
    """Where the value stands, when nothing else is looked at; empty: only `read` knows."""
    made: Step = str
    """Makes the value of what stands there, of None too."""
    needed: bool = False
    """Whether something else than nothing is made of None."""
    usual: schema.CoreSchema | None = None
    """Takes most of what stands there, and makes of it what `made` makes."""


def compiled(parts: Sequence[Part]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What makes the nested dicts of a message. It raises ValueError where a field fails."""
    validate: Callable[[Any], dict[str, Any]] = SchemaValidator(_group(parts)).validate_python
    if all(len(part.target) == 1 and part.place for part in parts):
        return validate

    def apply(data: Mapping[str, Any]) -> dict[str, Any]:
        message = dict(data)
        message[_WHOLE] = message
        try:
            return validate(message)
        finally:
            del message[_WHOLE]  # else only the garbage collection would end it

    return apply


def _group(parts: Sequence[Part]) -> schema.CoreSchema:
    named: dict[str, list[Part]] = {}
    for part in parts:
        named.setdefault(part.target[0], []).append(part._replace(target=part.target[1:]))
    return schema.typed_dict_schema({
        name: _from_message(schema.no_info_after_validator_function(_present, _group(inner))) if inner[0].target else _field(inner[0])
        for name, inner in named.items()})


def _field(part: Part) -> schema.TypedDictField:
    if not part.place:
        return _from_message(schema.no_info_plain_validator_function(_or_omitted(part.read)))
    made: schema.CoreSchema = schema.no_info_plain_validator_function(_or_omitted(part.made))
    if part.usual is not None:
        made = schema.union_schema([part.usual, made], mode="left_to_right")
    if part.needed:
        made = schema.with_default_schema(made, default_factory=partial(_not_none, part.made))
    where: Any = part.place[0] if len(part.place) == 1 else [[*part.place]]
    return schema.typed_dict_field(made, required=False, validation_alias=where)


def _from_message(made: schema.CoreSchema) -> schema.TypedDictField:
    return schema.typed_dict_field(made, validation_alias=_WHOLE)


def _present(group: dict[str, Any]) -> dict[str, Any]:
    if not group:
        raise PydanticOmit
    return group


def _or_omitted(make: Step) -> Step:
    def made(value: Any) -> Any:
        value = make(value)
        if value is None:
            raise PydanticOmit
        return value

    return made


def _not_none(make: Step) -> Any:
    value = make(None)
    if value is None:
        raise ValueError("the default means nothing")
    return value


def usual(field: FieldMap, made: Step, steps: Sequence[Step]) -> schema.CoreSchema | None:
    """A validator for texts as nearly all of them are, as far as they are valid; None where there is none.

    `made` makes the field's value of a text, by `steps`.
    """
    if field.apply or field.type == "any":
        return None
    listed = field.one_of if field.codes is None else field.codes
    if listed is not None:
        return _listed(listed, made)
    other_checks = field.pattern is not None or (field.min_length, field.max_length) != (None, None)
    if field.type == "integer" and not other_checks:
        bounded = schema.int_schema(ge=None if field.minimum is None else ceil(field.minimum),
                                    le=None if field.maximum is None else floor(field.maximum))
        return schema.chain_schema([schema.str_schema(strict=True, pattern=_INTEGER), bounded])
    if field.type == "string" and field.pattern is None:
        return schema.str_schema(strict=True, min_length=max(1, field.min_length or 0), max_length=field.max_length)
    text: schema.CoreSchema = schema.str_schema(strict=True, min_length=1)
    for step in steps[1:] if field.type == "string" else steps:  # the first makes it a text
        text = schema.no_info_after_validator_function(step, text)
    return text


def _listed(texts: Iterable[str], made: Step) -> schema.CoreSchema | None:
    """Texts of a list: what is made of each is known beforehand."""
    known: dict[str, Any] = {}
    for text in filter(None, texts):
        try:
            value = made(text)
        except ValueError:
            continue
        if value is not None:
            known[text] = value
    if not known:
        return None
    one = schema.literal_schema([*known])
    if all(text is value for text, value in known.items()):
        return one
    return schema.no_info_after_validator_function(known.__getitem__, one)
