"""What a message of a contract can hold, by the paths that a protocol file uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from protocols.soap.foreign.contract import Message
from protocols.soap.foreign.schema import TEXT, Anything, Complex, Element, Particle, Simple, Type, Wildcard

ANYTHING = "anything"
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Field:
    """One value. `kind` is its XML Schema type; ANYTHING where the contract leaves it open, and ELEMENT at the end of the path where it
    leaves open which elements stand there. `needed` says that no message is right without it.
    """

    path: str
    kind: str
    needed: bool
    many: bool


def fields_of(message: Message | None) -> list[Field]:
    """The values a message can hold, in the contract's order. What holds itself again, and what is deeper than eight, is not followed."""
    if message is None:
        return []
    if message.bare:
        return list(_of(message.body[0][1].type, (), needed=True, many=False, around=()))
    return [one for name, element in message.body for one in _of(element.type, (name,), needed=element.least > 0, many=False, around=())]


def _of(kind: Type, path: tuple[str, ...], *, needed: bool, many: bool, around: tuple[Complex, ...]) -> Iterator[Field]:
    if isinstance(kind, Simple):
        yield Field(".".join(path) or TEXT, kind.kind, needed, many or kind.many)
    elif isinstance(kind, Anything):
        yield Field(".".join(path), ANYTHING, needed, many)
    elif not any(kind is outer for outer in around) and len(path) < _DEEPEST:
        if kind.text is not None:
            yield Field(".".join((*path, TEXT)), kind.text.kind, needed, many)
        for attribute in kind.attributes.values():
            yield Field(".".join((*path, attribute.name)), attribute.type.kind, needed and attribute.required, many or attribute.type.many)
        if kind.content is not None:
            yield from _within(kind.content, path, needed=needed, many=many, around=(*around, kind))


def _within(particle: Particle, path: tuple[str, ...], *, needed: bool, many: bool, around: tuple[Complex, ...]) -> Iterator[Field]:
    needed, many = needed and particle.least > 0, many or particle.most > 1
    if isinstance(particle, Element):
        yield from _of(particle.type, (*path, particle.name), needed=needed and not particle.nillable, many=many, around=around)
    elif isinstance(particle, Wildcard):
        yield Field(".".join((*path, "ELEMENT")), ANYTHING, needed, many)
    else:
        for number, member in enumerate(particle.members):
            # Of a choice one is needed: the first stands for it.
            yield from _within(member, path, needed=needed and (particle.kind != "choice" or number == 0), many=many, around=around)
