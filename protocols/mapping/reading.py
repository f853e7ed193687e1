"""What a field of a map, and a whole map, make of a message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from protocols.mapping.compiled import Part, compiled, usual
from protocols.mapping.engine import MappingError, Path, Template, path_of
from protocols.mapping.steps import Wrong, steps_of

if TYPE_CHECKING:
    from protocols.mapping.fields import FieldMap, ListMap

_ITEM = re.compile(r"([^\[]+)\[(\d+)\]\.(.+)\Z")


class One:
    """Reads a single value."""

    def __init__(self, field: FieldMap) -> None:
        self._template = Template(field.source)
        self._when = field.when
        self._steps = steps_of(field)
        self._field = field
        self.origin = ".".join(self._template.paths[0]) if len(self._template.paths) == 1 else ""

    def templates(self) -> Iterator[Template]:
        """What it looks at."""
        yield self._template

    @property
    def constant(self) -> bool:
        """Whether it is the same for every message."""
        return self._template.constant

    def part(self, name: str, target: Path) -> Part:
        """The field for the compiler."""
        read = partial(self.read, name)
        path = self._template.paths[0] if self._template.whole else ()
        if self._when is not None or any(map(str.isdecimal, path)):
            return Part(target, read)
        needed = self._field.required or self._field.default is not None
        return Part(target, read, path, self._made, needed, usual(self._field, self._made, self._steps))

    def read(self, _name: str, data: Mapping[str, Any], _problems: list[MappingError] | None = None) -> Any:
        """The checked value, None when it is absent and may be. Raises ValueError saying what is allowed."""
        if self._when is not None and not self._when.holds(data):
            return None
        return self._made(self._template.fill(data))

    def _made(self, value: Any) -> Any:
        """What becomes of the value that was found."""
        if value is None or value == "":
            value = self._field.default
            if value is None:
                if self._field.required:
                    raise Wrong("is required")
                return None
        for step in self._steps:
            value = step(value)
        return value


class Many:
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

    def part(self, name: str, target: Path) -> Part:
        """The field for the compiler."""
        return Part(target, partial(self.read, name))

    def templates(self) -> Iterator[Template]:
        """What it looks at."""
        yield self._each
        yield from self._zip.values()
        for fields in (*self._of, *([self._fields] if self._fields is not None else [])):
            yield from fields.templates()

    def read(self, name: str, data: Mapping[str, Any], problems: list[MappingError] | None = None) -> Any:
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


class Fields:
    """A whole map, target path -> field. Nested targets (`relatedParty.id`) make nested dicts; absent fields are left out."""

    def __init__(self, fields: Mapping[str, FieldMap]) -> None:
        self._fields = [(name, path_of(name), field.reader) for name, field in fields.items()]
        self._declared = fields
        targets = {path for _, path, _ in self._fields}
        for name, path, _ in self._fields:
            if any(path[:n] in targets for n in range(1, len(path))):
                raise ValueError(f"{name} lies inside another field of the map")

    @cached_property
    def _compiled(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        # made for the first message: of a large file most maps are not used
        return compiled([reader.part(name, path) for name, path, reader in self._fields])

    def apply(self, data: Mapping[str, Any], problems: list[MappingError] | None = None) -> dict[str, Any]:
        """Map and check one message. Raises MappingError at the first field that fails; given `problems`, adds each of them instead."""
        if not self._fields:
            return {}
        try:
            return self._compiled(data)
        except ValueError:
            return self._one_by_one(data, problems)

    def _one_by_one(self, data: Mapping[str, Any], problems: list[MappingError] | None) -> dict[str, Any]:
        """The same, slower, and it can tell which field is wrong and why."""
        out: dict[str, Any] = {}
        for name, path, reader in self._fields:
            try:
                value = reader.read(name, data, problems)
            except ValueError as error:
                wrong = error if isinstance(error, MappingError) else MappingError(name, str(error), reader.origin)
                if problems is None:
                    raise wrong from None
                problems.append(wrong)
                continue
            if value is None:
                continue
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
            if isinstance(reader, Many) and found is not None and found[1] == name:
                return reader.source(int(found[2]), found[3])
        return ""
