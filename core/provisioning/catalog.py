"""What an operator writes for provisioning: recipes, and the pools their numbers come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.messages.base import Identifier, Text

_PLACE = re.compile(r"\{(\w+)\}")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Command(_Entry):
    """A business command for an element. `{IMSI}` in a parameter stands for the service's characteristic of that name."""

    command: Identifier
    parameters: Mapping[Identifier, Text] = Field(default_factory=dict)

    def places(self) -> frozenset[str]:
        """Return the names of the characteristics the parameters need."""
        return frozenset(chain.from_iterable(_PLACE.findall(text) for text in self.parameters.values()))

    def filled(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the parameters with every place filled. Raises KeyError naming a characteristic that has no value."""
        return {name: _PLACE.sub(lambda place: values[place[1]], text) for name, text in self.parameters.items()}


class AllocateStep(_Entry):
    """Make a characteristic this service's own: the value that was ordered, else the next free one of the pool, if any."""

    kind: Literal["allocate"]
    characteristic: Identifier
    pool: Identifier | None = None


class ElementStep(_Entry):
    """One work order for the element behind the connector of that name, and the command that undoes it. A step without
    `undo` leaves nothing behind once the steps before it are undone.
    """

    kind: Literal["element"]
    element: Identifier
    do: Command
    undo: Command | None = None


Step = Annotated[AllocateStep | ElementStep, Field(discriminator="kind")]


class Recipe(_Entry):
    """How a service is made: allocations first, then work orders one after the other. `defaults` are characteristics
    that need not be ordered. The last
    work order is the end-to-end test: once the element confirms it the service works, and there is no way back.
    """

    id: Identifier
    name: Text
    defaults: Mapping[Identifier, Text] = Field(default_factory=dict)
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @property
    def allocations(self) -> tuple[AllocateStep, ...]:
        """The characteristics the service must own, in order."""
        return tuple(s for s in self.steps if isinstance(s, AllocateStep))

    @property
    def work(self) -> tuple[ElementStep, ...]:
        """The work orders, in order."""
        return tuple(s for s in self.steps if isinstance(s, ElementStep))

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        owned = [s.characteristic for s in self.allocations]
        if len(set(owned)) < len(owned):
            raise ValueError("a characteristic is allocated twice")
        if not self.work:
            raise ValueError("a recipe needs at least one element step")
        known = {*owned, *self.defaults}
        for step in self.work:
            for command in (step.do, step.undo):
                if command and (unknown := command.places() - known):
                    raise ValueError(f"{command.command} uses {{{min(unknown)}}}, which is neither allocated nor a default")
        return self


class Range(_Entry):
    """Numbers from `first` to `last`, both included, as many digits each; every `step`-th one."""

    first: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
    last: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
    step: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if len(self.first) != len(self.last) or self.first > self.last:
            raise ValueError("last must have as many digits as first and not be below it")
        return self

    def __len__(self) -> int:
        return (int(self.last) - int(self.first)) // self.step + 1

    def __getitem__(self, index: int) -> str:
        return str(int(self.first) + index * self.step).zfill(len(self.first))

    def __contains__(self, value: object) -> bool:
        return (isinstance(value, str) and len(value) == len(self.first) and value.isdecimal() and value.isascii()
                and self.first <= value <= self.last and (int(value) - int(self.first)) % self.step == 0)


class Pool(_Entry):
    """Values for one characteristic, taken in the order written: `values`, then `ranges`. Append to a pool in service;
    what is put before its cursor is not looked at again. `reservation` is how long a reservation lasts, in minutes.
    """

    id: Identifier
    characteristic: Identifier
    values: tuple[Identifier, ...] = ()
    ranges: tuple[Range, ...] = ()
    reservation: Annotated[int, Field(ge=1, le=60 * 24 * 31)] = 30

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values) + sum(len(r) for r in self.ranges)

    def value(self, index: int) -> str:
        """Return the value at `index`, counted from 0. Raises IndexError beyond the last."""
        if index < len(self.values):
            return self.values[index]
        index -= len(self.values)
        for r in self.ranges:
            if index < len(r):
                return r[index]
            index -= len(r)
        raise IndexError(index)

    def __contains__(self, value: object) -> bool:
        return value in self.values or any(value in r for r in self.ranges)


def checked_catalog(recipes: Mapping[str, Recipe], pools: Mapping[str, Pool]) -> None:
    """See that every pool a recipe names exists and fills the characteristic. Raises ValueError."""
    for recipe in recipes.values():
        for step in recipe.allocations:
            if step.pool is None:
                continue
            pool = pools.get(step.pool)
            if pool is None:
                raise ValueError(f"recipe {recipe.id}: no pool {step.pool}; there are {', '.join(sorted(pools)) or 'none'}")
            if pool.characteristic != step.characteristic:
                raise ValueError(f"recipe {recipe.id}: pool {pool.id} fills {pool.characteristic}, not {step.characteristic}")
