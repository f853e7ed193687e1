"""The engine: templates and field maps, compiled once, free of any business object and of any transport."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)*\Z")
_HOLE = re.compile(r"\{([^{}]*)\}")


class MappingError(ValueError):
    """A message fails a check. `path` is the field as the map names it; the message never holds the value, which may be private."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


def _path(text: str) -> tuple[str, ...]:
    if not _PATH.match(text):
        raise ValueError(f"{text!r} is not a field path (names joined by dots)")
    return tuple(text.split("."))


def look_up(data: Any, path: tuple[str, ...]) -> Any:
    """The value at the path, or None where any part of it is missing. A number selects from a list."""
    for name in path:
        if isinstance(data, Mapping):
            data = data.get(name)
        elif isinstance(data, (list, tuple)) and name.isdecimal():
            data = data[int(name)] if int(name) < len(data) else None
        else:
            return None
    return data


class Template:
    """`$a.b` is that field with its type, `{a.b}` puts it into a text, anything else is itself. Raises ValueError when malformed."""

    def __init__(self, source: Any) -> None:
        self._whole: tuple[str, ...] | None = None
        self._texts: list[str] = []
        self._holes: list[tuple[str, ...]] = []
        self._constant = source
        if isinstance(source, str) and source.startswith("$"):
            self._whole = _path(source[1:])
        elif isinstance(source, str) and _HOLE.search(source):
            parts = _HOLE.split(source)
            self._texts = parts[::2]
            self._holes = [_path(p) for p in parts[1::2]]

    def fill(self, data: Mapping[str, Any]) -> Any:
        """The value for this message; None where a field it needs is missing."""
        if self._whole is not None:
            return look_up(data, self._whole)
        if not self._holes:
            return self._constant
        out = [self._texts[0]]
        for path, text in zip(self._holes, self._texts[1:], strict=True):
            value = look_up(data, path)
            if value is None:
                return None
            out += (str(value), text)
        return "".join(out)


class Condition(BaseModel):
    """True when the template's value, as text, is `equals` (itself a template), is in `one_of`, matches `pattern` as a whole, or is
    `present`. All that are given must hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: str
    equals: str | None = None
    one_of: frozenset[str] | None = None
    pattern: re.Pattern[str] | None = None
    present: bool | None = None
    _value: Template = PrivateAttr()
    _equals: Template = PrivateAttr()

    @field_validator("value", "equals")
    @classmethod
    def _compiles(cls, source: str | None) -> str | None:
        Template(source)
        return source

    def model_post_init(self, context: Any) -> None:
        self._value = Template(self.value)
        self._equals = Template(self.equals)

    def holds(self, data: Mapping[str, Any]) -> bool:
        """Whether it is so in this message."""
        value = self._value.fill(data)
        if self.present is not None and self.present != (value is not None):
            return False
        if self.one_of is not None and str(value) not in self.one_of:
            return False
        if self.pattern is not None and (value is None or not self.pattern.fullmatch(str(value))):
            return False
        if self.equals is None:
            return True
        expected = self._equals.fill(data)
        return value is not None and expected is not None and str(value) == str(expected)


class FieldMap(BaseModel):
    """One field: where it comes from and what it must be. Codes translate first, then the type is made, then checks run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Any = Field(default=None, alias="from")
    type: Literal["string", "integer", "decimal", "boolean"] = "string"
    required: bool = False
    default: Any = None
    codes: Mapping[str, Any] | None = None
    pattern: re.Pattern[str] | None = None
    one_of: tuple[str, ...] | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=0)
    when: Condition | None = None
    _template: Template = PrivateAttr()

    @field_validator("source")
    @classmethod
    def _compiles(cls, source: Any) -> Any:
        Template(source)
        return source

    def model_post_init(self, context: Any) -> None:
        self._template = Template(self.source)

    def value(self, name: str, data: Mapping[str, Any]) -> Any:
        """The checked value, None when it is absent and may be. Raises MappingError."""
        if self.when is not None and not self.when.holds(data):
            return None
        value = self._template.fill(data)
        if value is None or value == "":
            value = self.default
        if value is None:
            if self.required:
                raise MappingError(name, "is required")
            return None
        if self.codes is not None:
            if str(value) not in self.codes:
                raise MappingError(name, f"must be one of {', '.join(self.codes)}")
            value = self.codes[str(value)]
        value = self._typed(name, value)
        text = str(value)
        if self.pattern is not None and not self.pattern.fullmatch(text):
            raise MappingError(name, f"must match {self.pattern.pattern}")
        if self.one_of is not None and text not in self.one_of:
            raise MappingError(name, f"must be one of {', '.join(self.one_of)}")
        if self.min_length is not None and len(text) < self.min_length:
            raise MappingError(name, f"must be at least {self.min_length} long")
        if self.max_length is not None and len(text) > self.max_length:
            raise MappingError(name, f"must be at most {self.max_length} long")
        if isinstance(value, (int, Decimal)):
            if self.minimum is not None and value < self.minimum:
                raise MappingError(name, f"must be at least {self.minimum}")
            if self.maximum is not None and value > self.maximum:
                raise MappingError(name, f"must be at most {self.maximum}")
        return value

    def _typed(self, name: str, value: Any) -> Any:
        if isinstance(value, (Mapping, list, tuple)):
            raise MappingError(name, "must be a single value")
        text = str(value).strip()
        if self.type == "integer":
            if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
                raise MappingError(name, "must be a whole number")
            return int(text)
        if self.type == "decimal":
            try:
                number = Decimal(text)
            except InvalidOperation:
                raise MappingError(name, "must be a number") from None
            if not number.is_finite():
                raise MappingError(name, "must be a number")
            return number
        if self.type == "boolean":
            if text.lower() not in ("true", "false", "1", "0"):
                raise MappingError(name, "must be true or false")
            return text.lower() in ("true", "1")
        return str(value)


class Fields:
    """A whole map, target path -> field. Nested targets (`relatedParty.id`) make nested dicts; absent fields are left out."""

    def __init__(self, fields: Mapping[str, FieldMap]) -> None:
        self._fields = [(name, _path(name), field) for name, field in fields.items()]
        targets = {path for _, path, _ in self._fields}
        for name, path, _ in self._fields:
            if any(path[:n] in targets for n in range(1, len(path))):
                raise ValueError(f"{name} lies inside another field of the map")

    def apply(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Map and check one message. Raises MappingError at the first field that fails."""
        out: dict[str, Any] = {}
        for name, path, field in self._fields:
            value = field.value(name, data)
            if value is not None:
                into = out
                for part in path[:-1]:
                    into = into.setdefault(part, {})
                into[path[-1]] = value
        return out
