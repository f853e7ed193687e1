"""Plain values written as elements, in the order and with the names that the schema has."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lxml import etree

from protocols.base import LocalProtocolError
from protocols.soap.foreign.schema import (
    BINARY,
    NIL,
    TEXT,
    TYPE,
    XSI_TYPE,
    Anything,
    Complex,
    Element,
    Group,
    Particle,
    Schema,
    Simple,
    Type,
    Value,
    Wildcard,
)
from protocols.wording import nearest


class Writer:
    """Writes plain values as elements, in the schema's order; keeps the elements that hold binary values in `binary`.

    Raises LocalProtocolError, naming the field.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.binary: list[etree._Element] = []

    def write(self, parent: etree._Element, element: Element, value: Value, path: tuple[str, ...] = ()) -> None:
        """Append the element with this value."""
        where = (*path, element.name)
        node = etree.SubElement(parent, element.tag)
        if value is None:
            if element.nillable:
                node.set(NIL, "true")
                return
            if not isinstance(element.type, Complex) or not element.type.may_be_empty():
                raise _wrong(where, "is required")
            value = {}  # it has to be there, and says all that it has to say by that
        self.fill(node, element.type, value, where)

    def fill(self, node: etree._Element, type_: Type, value: Value, path: tuple[str, ...]) -> None:
        """Give an element its attributes, text and children."""
        if isinstance(value, Mapping) and TYPE in value:
            type_ = self._derived(node, str(value[TYPE]), path)
            value = {k: v for k, v in value.items() if k != TYPE}
        if isinstance(type_, Anything):
            self._anything(node, value, path)
            return
        if isinstance(type_, Simple):
            if isinstance(value, Mapping) and set(value) == {TEXT}:
                value = value[TEXT]
            self._simple(node, type_, value, path)
            return
        if not isinstance(value, Mapping):
            if type_.text is None:
                raise _wrong(path, "must have fields of its own")
            value = {TEXT: value}
        used: set[str] = set()
        self._attributes(node, type_, value, used, path)
        if type_.text is not None:
            used.add(TEXT)
            if value.get(TEXT) is None:
                raise _wrong(path, "is required")
            self._simple(node, type_.text, value[TEXT], path)
        if type_.content is not None:
            self._particle(node, type_, type_.content, value, used, path)
        self._nothing_left(node, type_, value, used, path)

    def _simple(self, node: etree._Element, type_: Simple, value: Value, path: tuple[str, ...]) -> None:
        node.text = _text(type_, value, path)
        if type_.kind == BINARY:
            self.binary.append(node)

    @staticmethod
    def _attributes(node: etree._Element, type_: Complex, value: Mapping[str, Value], used: set[str], path: tuple[str, ...]) -> None:
        for attribute in type_.attributes.values():
            if value.get(attribute.name) is not None:
                used.add(attribute.name)
                node.set(attribute.tag, _text(attribute.type, value[attribute.name], (*path, attribute.name)))
            elif attribute.required:
                raise _wrong((*path, attribute.name), "is required")

    def _nothing_left(self, node: etree._Element, type_: Complex, value: Mapping[str, Value], used: set[str],
                      path: tuple[str, ...]) -> None:
        for name in value:
            if name in used or value[name] is None:
                continue
            if name in type_.children:
                raise _wrong((*path, name), "cannot stand together with the other fields")
            if type_.any_attribute and isinstance(value[name], str):
                node.set(name, value[name])
                continue
            known = [*(k for k in type_.children if not k.startswith("{")), *(a.name for a in type_.attributes.values())]
            raise _wrong((*path, name), "is not a field of the contract" + nearest(name, known))

    def _particle(self, node: etree._Element, type_: Complex, particle: Particle, value: Mapping[str, Value], used: set[str],
                  path: tuple[str, ...], turn: int | None = None) -> None:
        if isinstance(particle, Element):
            self._element(node, particle, value, used, path, turn)
        elif isinstance(particle, Wildcard):
            self._wildcard(node, type_, value, used, path)
        elif particle.kind == "choice":
            self._choice(node, type_, particle, value, used, path, turn)
        elif particle.most > 1 and turn is None:
            for number in range(_turns(particle.names, value)):
                self._sequence(node, type_, particle, value, used, path, number)
        else:
            self._sequence(node, type_, particle, value, used, path, turn)

    def _sequence(self, node: etree._Element, type_: Complex, group: Group, value: Mapping[str, Value], used: set[str],
                  path: tuple[str, ...], turn: int | None) -> None:
        if not group.least and not _present(group.names, value) and not any(isinstance(m, Wildcard) for m in group.members):
            return
        for member in group.members:
            self._particle(node, type_, member, value, used, path, turn)

    def _choice(self, node: etree._Element, type_: Complex, group: Group, value: Mapping[str, Value], used: set[str],
                path: tuple[str, ...], turn: int | None) -> None:
        if group.most > 1 and turn is None:
            for member in group.members:
                if isinstance(member, Wildcard):
                    self._particle(node, type_, member, value, used, path)
                elif isinstance(member, Element) and member.most > 1:
                    if _present(member.names, value):
                        self._particle(node, type_, member, value, used, path)
                else:
                    for number in range(_turns(member.names, value)):
                        self._particle(node, type_, member, value, used, path, number)
            if _present(group.names, value):
                return
        best = max(group.members, key=lambda m: len(_present(m.names, value)), default=None)
        if best is not None and _present(best.names, value):
            self._particle(node, type_, best, value, used, path, turn)
            return
        for member in group.members:
            if isinstance(member, Wildcard):
                self._particle(node, type_, member, value, used, path, turn)
                return
        if group.least and group.members and all(member.least for member in group.members):
            raise _wrong(path, f"needs one of {', '.join(sorted(group.names))}")

    def _element(self, node: etree._Element, element: Element, value: Mapping[str, Value], used: set[str],
                 path: tuple[str, ...], turn: int | None) -> None:
        found = value.get(element.name)
        used.add(element.name)
        given = found if isinstance(found, (list, tuple)) and not _takes_list(element.type) else [found]
        if turn is not None and element.most == 1:
            given = given[turn:turn + 1] or [None]
        if len(given) == 1 and given[0] is None and not element.least and not (element.nillable and element.name in value):
            return
        if len(given) > element.most:
            raise _wrong((*path, element.name), f"must not come more than {element.most} times")
        if len(given) < element.least:
            raise _wrong((*path, element.name), f"must come at least {element.least} times")
        for item in given:
            self.write(node, element, item, path)

    def _wildcard(self, node: etree._Element, type_: Complex, value: Mapping[str, Value], used: set[str],
                  path: tuple[str, ...]) -> None:
        attributes = {a.name for a in type_.attributes.values()}
        for name, item in value.items():
            if name in used or name in type_.children or name in attributes or item is None:
                continue
            used.add(name)
            known = self._schema.element(name)
            for one in item if isinstance(item, (list, tuple)) else [item]:
                if known is not None:
                    self.write(node, known, one, path)
                else:
                    self._anything(etree.SubElement(node, _name(name, path)), one, (*path, name))

    def _derived(self, node: etree._Element, name: str, path: tuple[str, ...]) -> Type:
        found = [tag for tag in self._schema.types if tag == name or tag.rpartition("}")[2] == name]
        if len(found) != 1:
            known = [tag.rpartition("}")[2] for tag in self._schema.types]
            raise _wrong((*path, TYPE), "is not a type of the contract" + nearest(name, known))
        # lxml turns a QName into prefix and name, and declares the prefix where it is missing.
        node.set(XSI_TYPE, etree.QName(found[0]))  # type: ignore[arg-type]  # the stubs do not know it
        return self._schema.types[found[0]]

    def _anything(self, node: etree._Element, value: Value, path: tuple[str, ...]) -> None:
        if not isinstance(value, Mapping):
            node.text = _text(Simple(), value, path)
            return
        for name, item in value.items():
            for one in item if isinstance(item, (list, tuple)) else [item]:
                if one is not None:
                    self._anything(etree.SubElement(node, _name(name, path)), one, (*path, name))


def _takes_list(type_: Type) -> bool:
    return isinstance(type_, Simple) and type_.many


def _present(names: frozenset[str], value: Mapping[str, Value]) -> list[str]:
    return [name for name in names if value.get(name) is not None]


def _turns(names: frozenset[str], value: Mapping[str, Value]) -> int:
    return max((len(v) if isinstance(v, (list, tuple)) else 1 for name in names if (v := value.get(name)) is not None), default=0)


def _text(type_: Simple, value: Value, path: tuple[str, ...]) -> str:
    try:
        text = type_.write(value)
    except ValueError as error:
        raise _wrong(path, str(error)) from None
    if _NOT_XML.search(text):
        raise _wrong(path, "holds a character that XML cannot carry")
    return text


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z_][\w.-]*")


def _name(name: str, path: tuple[str, ...]) -> str:
    if not _NAME.fullmatch(name):
        raise _wrong((*path, name), "is not an element's name")
    return name


def _wrong(path: tuple[str, ...], text: str) -> LocalProtocolError:
    return LocalProtocolError(f"{'.'.join(path)} {text}")
