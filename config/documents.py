"""Operators' YAML files: read with the line of every value, so that each mistake can be shown where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from protocols.mapping.mistakes import explain
from protocols.wording import dotted

Where = tuple[str | int, ...]
"""The way to a value from the top of its file: keys, and indexes counted from 0."""

LARGEST = 4 * 1024 * 1024
"""Bytes. A file above it is not an operator's."""
DEEPEST = 100
"""Levels of nesting."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is eight times as quick; not every build of PyYAML has it


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: in which file, on which line (from 1), at which value, and what is allowed there. `variable` is that of the
    environment which gave the value, where the file did not.
    """

    file: Path
    line: int
    path: str
    message: str
    variable: str | None = None

    def __str__(self) -> str:
        place = f"{self.variable} in the environment" if self.variable else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class SiteError(Exception):
    """A site has mistakes; all that could be found are in `problems`."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        self.told = [str(problem) for problem in self.problems]
        super().__init__("\n".join(self.told))


class Unusable(OSError):
    """What a setting asks for cannot be had: a port is taken, a database does not answer. `key` is its place within its section."""

    def __init__(self, key: Where, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class Document:
    """One file's data, where each value stands, and which of them a variable of the environment has given. `moved` tells of sections
    that stand elsewhere in the file than in the data.
    """

    file: Path
    data: Any
    lines: Mapping[Where, int] = field(default_factory=dict)
    variables: Mapping[Where, str] = field(default_factory=dict)
    moved: Mapping[Where, Where] = field(default_factory=dict)

    def line(self, where: Where) -> int:
        """Return the line of a value, or of the nearest thing around it."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def problem(self, where: Where, message: str) -> Problem:
        """Say what is wrong at a value."""
        where = next(((*there, *where[len(here):]) for here, there in self.moved.items() if where[:len(here)] == here), where)
        return Problem(self.file, self.line(where), dotted(where), message, self.variables.get(where))

    @contextmanager
    def blamed(self, *where: str | int) -> Iterator[None]:
        """Tell what cannot be had for a section as a mistake at the setting that asks for it. Raises SiteError for any OSError."""
        try:
            yield
        except OSError as error:
            raise SiteError([self.problem((*where, *getattr(error, "key", ())), str(error))]) from error

    def problems(self, error: ValidationError, model: type[BaseModel], at: Where = ()) -> list[Problem]:
        """Say what pydantic found when `model` checked the value at `at`, each with the nearest right name."""
        return [self.problem((*at, *where), text) for where, text in explain(error, model)]

    def checked(self, model: type[BaseModel], at: Where, problems: list[Problem]) -> Any:
        """Return the value at `at` as `model` has it, or None after adding what is wrong to `problems`."""
        value = self.data
        for part in at:
            value = value[part]
        try:
            return model.model_validate(value if value is not None else {})
        except ValidationError as error:
            problems += self.problems(error, model, at)
            return None


def load_yaml(file: Path) -> Document:
    """Read a YAML file. Raises SiteError naming file and line when it cannot be read, is no YAML, or says a key twice."""
    try:
        if file.stat().st_size > LARGEST:
            raise SiteError([Problem(file, 1, "", f"is larger than {LARGEST} bytes")])
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SiteError([Problem(file, 1, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise SiteError([Problem(file, 1, "", f"is not UTF-8 (at byte {error.start})")]) from None
    lines: dict[Where, int] = {}
    problems: list[Problem] = []
    try:
        _bound_depth(text, file)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(file, {}, lines)
        _note(node, (), lines, problems, file, set())
        data = None if problems else loader.construct_document(node)  # a document inside itself could not be constructed
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SiteError([Problem(file, mark.line + 1 if mark else 1, "", error.problem or "is not YAML")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SiteError([Problem(file, 1, "", f"is not YAML: {error}")]) from None
    if problems:
        raise SiteError(problems)
    return Document(file, data, lines)


def _bound_depth(text: str, file: Path) -> None:
    """Refuse what is nested so deep that composing it, which recurses in C, would end the process."""
    depth = 0
    parser = _Loader(text)
    while parser.check_event():
        event = parser.get_event()
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise SiteError([Problem(file, event.start_mark.line + 1, "", f"is nested deeper than {DEEPEST} levels")])


def _note(node: yaml.Node, where: Where, lines: dict[Where, int], problems: list[Problem], file: Path, around: set[int]) -> None:
    lines[where] = node.start_mark.line + 1
    if id(node) in around:
        problems.append(Problem(file, node.start_mark.line + 1, dotted(where), "contains itself"))
        return
    around = around | {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note(item, (*where, index), lines, problems, file, around)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                problems.append(Problem(file, key.start_mark.line + 1, dotted((*where, name)), "stands twice"))
            seen.add(name)
            _note(value, (*where, name), lines, problems, file, around)
            lines[*where, name] = key.start_mark.line + 1
