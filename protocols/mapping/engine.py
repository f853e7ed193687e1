"""The engine's small parts: paths, templates and conditions, free of any business object and of any transport."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)*\Z")
_HOLE = re.compile(r"\{([^{}]*)\}")

Path = tuple[str, ...]


class MappingError(ValueError):
    """A message fails a check. `path` is the field as the map names it, `source` the field of the message it comes from, where it
    comes from one; the text never holds the value, which may be private.
    """

    def __init__(self, path: str, message: str, source: str = "") -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message
        self.source = source


def path_of(text: str) -> Path:
    """Read a field path. Raises ValueError."""
    if not _PATH.match(text):
        raise ValueError(f"{text!r} is not a field path (names joined by dots)")
    return tuple(text.split("."))


def look_up(data: Any, path: Path) -> Any:
    """The value at the path, or None where any part of it is missing. A number selects from a list."""
    for name in path:
        if isinstance(data, Mapping):
            data = data.get(name)
        elif isinstance(data, (list, tuple)) and name.isdecimal():
            data = data[int(name)] if int(name) < len(data) else None
        else:
            return None
    return data


def text_of(value: Any) -> str:
    """A single value as text: booleans as `true` and `false`, decimals without an exponent."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


class Template:
    """`$a.b` is that field with its type, `{a.b}` puts it into a text, anything else is itself. Raises ValueError when malformed.

    `fill(data)` gives the value for a message, None where a field it needs is missing. `paths` are the fields it looks at; `whole`
    is true when it is one of them as it is.
    """

    __slots__ = ("fill", "paths", "whole")

    def __init__(self, source: Any) -> None:
        self.paths: tuple[Path, ...] = ()
        self.whole = isinstance(source, str) and source.startswith("$")
        self.fill: Callable[[Mapping[str, Any]], Any]
        if isinstance(source, float):
            raise ValueError("a number with a point is written in quotes, so that it stays as it is")  # noqa: TRY004 (pydantic wants it)
        if isinstance(source, str) and source.startswith("$"):
            self.paths = (path_of(source[1:]),)
            self.fill = _field(self.paths[0])
        elif isinstance(source, str) and _HOLE.search(source):
            parts = _HOLE.split(source)
            self.paths = tuple(path_of(part) for part in parts[1::2])
            self.fill = _text(parts[::2], self.paths)
        else:
            self.fill = lambda _: source

    @property
    def constant(self) -> bool:
        """Whether it is the same for every message."""
        return not self.paths


def _field(path: Path) -> Callable[[Mapping[str, Any]], Any]:
    if len(path) == 1:
        (name,) = path
        return lambda data: data.get(name)
    return lambda data: look_up(data, path)


def _text(texts: list[str], paths: tuple[Path, ...]) -> Callable[[Mapping[str, Any]], Any]:
    first, *others = texts
    places = [(_field(path), text) for path, text in zip(paths, others, strict=True)]

    def fill(data: Mapping[str, Any]) -> str | None:
        out = [first]
        for get, text in places:
            value = get(data)
            if value is None:
                return None
            out += (text_of(value), text)
        return "".join(out)

    return fill


def _compiles(source: Any) -> Any:
    Template(source)
    return source


Source = Annotated[Any, AfterValidator(_compiles)]
"""What a template is made of, in a model."""
SourceText = Annotated[str, AfterValidator(_compiles)]
"""The same where only a text makes sense."""


class Condition(BaseModel):
    """Something that is so in a message, or is not. All that is given must hold for the value, taken as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: SourceText = Field(description="the value that is looked at: a template such as `$asked.IMSI`")
    equals: SourceText | None = Field(default=None, description="what it must be; itself a template")
    one_of: frozenset[str] | None = Field(default=None, description="what it may be")
    pattern: re.Pattern[str] | None = Field(default=None, description="a regular expression that it matches as a whole")
    present: bool | None = Field(default=None, description="whether it is there at all")
    _value: Template = PrivateAttr()
    _equals: Template = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._value = Template(self.value)
        self._equals = Template(self.equals)
        return self

    def templates(self) -> tuple[Template, ...]:
        """The templates it consists of."""
        return self._value, self._equals

    def holds(self, data: Mapping[str, Any]) -> bool:
        """Whether it is so in this message."""
        value = self._value.fill(data)
        if self.present is not None and self.present != (value not in (None, "")):
            return False
        text = None if value is None else text_of(value)
        if self.one_of is not None and text not in self.one_of:
            return False
        if self.pattern is not None and (text is None or not self.pattern.fullmatch(text)):
            return False
        if self.equals is None:
            return True
        expected = self._equals.fill(data)
        return text is not None and expected is not None and text == text_of(expected)
