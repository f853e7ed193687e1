"""What a message of a contract can hold, by the paths that a protocol file uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from protocols.soap.foreign.contract import Message
from protocols.soap.foreign.schema import TEXT, TYPE, Anything, Complex, Element, Particle, Schema, Simple, Type, Wildcard

ANYTHING = "anything"
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Field:
    """One value. `kind` is its XML Schema type; ANYTHING where the contract leaves it open, and ELEMENT at the end of the path where it
    leaves open which elements stand there. `needed` says that no message is right without it. `among` are the values there are.
    """

    path: str
    kind: str
    needed: bool
    many: bool
    among: tuple[str, ...] = ()


def fields_of(message: Message | None, schema: Schema, *, needed: bool = False) -> Iterator[Field]:
    """The values a message can hold, in the contract's order; with `needed`, those that it must hold. There can be a great many, so
    take no more than you want. What holds itself again, and what is deeper than eight, is not followed.
    """
    if message is not None:
        yield from _Listing(schema, only_needed=needed).of_message(message)


class _Listing:
    def __init__(self, schema: Schema, *, only_needed: bool) -> None:
        self._schema = schema
        self._only_needed = only_needed

    def of_message(self, message: Message) -> Iterator[Field]:
        for name, element in message.body:
            path = () if message.bare else (name,)
            yield from self._of(element.type, path, needed=message.bare or element.least > 0, many=False, around=())

    def _of(self, kind: Type, path: tuple[str, ...], *, needed: bool, many: bool, around: tuple[Complex, ...]) -> Iterator[Field]:
        if self._only_needed and not needed:
            return
        if isinstance(kind, Simple):
            yield Field(".".join(path) or TEXT, kind.kind, needed, many or kind.many)
        elif isinstance(kind, Anything):
            yield Field(".".join(path), ANYTHING, needed, many)
        elif not any(kind is outer for outer in around) and len(path) < _DEEPEST:
            if kind.abstract:
                derived = self._schema.concrete(kind)
                yield Field(".".join((*path, TYPE)), "token", needed, many, derived)
            if kind.text is not None:
                yield Field(".".join((*path, TEXT)), kind.text.kind, needed, many)
            for attribute in kind.attributes.values():
                if not self._only_needed or attribute.required:
                    yield Field(".".join((*path, attribute.name)), attribute.type.kind, needed and attribute.required,
                                many or attribute.type.many)
            if kind.content is not None:
                yield from self._within(kind.content, path, needed=needed, many=many, around=(*around, kind))

    def _within(self, particle: Particle, path: tuple[str, ...], *, needed: bool, many: bool,
                around: tuple[Complex, ...]) -> Iterator[Field]:
        needed, many = needed and particle.least > 0, many or particle.most > 1
        if self._only_needed and not needed:
            return
        if isinstance(particle, Element):
            yield from self._of(particle.type, (*path, particle.name), needed=needed and not particle.nillable, many=many, around=around)
        elif isinstance(particle, Wildcard):
            yield Field(".".join((*path, "ELEMENT")), ANYTHING, needed, many)
        else:
            for number, member in enumerate(particle.members):
                # Of a choice one is needed: the first stands for it.
                yield from self._within(member, path, needed=needed and (particle.kind != "choice" or number == 0), many=many,
                                        around=around)
