"""Elements read into plain values, as their types in the schema say."""

from __future__ import annotations

from lxml import etree

from protocols.base import RemoteProtocolError
from protocols.soap.foreign.schema import NIL, TEXT, TYPE, XSI, XSI_TYPE, Anything, Complex, Schema, Simple, Type, Value, local


class Reader:
    """Reads elements into plain values. `strict` refuses children and attributes the schema does not know; else they are dropped,
    as they are where a partner has a newer version of the contract. Raises RemoteProtocolError.
    """

    def __init__(self, schema: Schema, *, strict: bool) -> None:
        self._schema = schema
        self._strict = strict

    def read(self, node: etree._Element, type_: Type) -> Value:
        """The value of an element of this type."""
        if node.get(NIL) in ("true", "1"):
            return None
        named = node.get(XSI_TYPE)
        declared = type_
        if named is not None:
            type_ = self._schema.type_named(node, named) or type_
        if isinstance(type_, Anything):
            return self._anything(node)
        if isinstance(type_, Simple):
            if len(node):
                raise RemoteProtocolError(f"{local(node)} must be a single value")
            return self._simple(node, type_)
        out: dict[str, Value] = {}
        if type_.tag is not None and type_.tag != getattr(declared, "tag", None):
            out[TYPE] = type_.tag.rpartition("}")[2]
        self._attributes(node, type_, out)
        if type_.text is not None:
            out[TEXT] = self._simple(node, type_.text)
        for child in node:
            self._child(node, child, type_, out)
        return out

    def _simple(self, node: etree._Element, type_: Simple) -> Value:
        try:
            return type_.read(node.text)
        except ValueError as error:
            raise RemoteProtocolError(f"{local(node)} {error}") from None

    def _attributes(self, node: etree._Element, type_: Complex, out: dict[str, Value]) -> None:
        for tag, text in node.attrib.items():
            declared = type_.attributes.get(str(tag))
            if declared is not None:
                try:
                    out[declared.name] = declared.type.read(str(text))
                except ValueError as error:
                    raise RemoteProtocolError(f"{local(node)} {declared.name} {error}") from None
            elif type_.any_attribute:
                out[str(tag).rpartition("}")[2]] = str(text)
            elif self._strict and not str(tag).startswith(f"{{{XSI}}}"):
                raise RemoteProtocolError(f"{local(node)} has no attribute {tag!s}")

    def _child(self, node: etree._Element, child: etree._Element, type_: Complex, out: dict[str, Value]) -> None:
        tag = str(child.tag)
        found = type_.children.get(tag)
        if found is None and not self._strict:
            # Many peers get qualified and unqualified names wrong; the local name says what is meant.
            found = type_.children.get(local(child))
        if found is not None:
            element, many = found
            put(out, element.name, self.read(child, element.type), many=many)
        elif type_.wildcard:
            known = self._schema.elements.get(tag)
            put(out, local(child), self.read(child, known.type) if known else self._anything(child), many=False)
        elif self._strict:
            raise RemoteProtocolError(f"{local(node)} has no element {local(child)}")

    def _anything(self, node: etree._Element) -> Value:
        if not len(node):
            return node.text or ""
        out: dict[str, Value] = {str(tag).rpartition("}")[2]: str(text) for tag, text in node.attrib.items()
                                 if not str(tag).startswith(f"{{{XSI}}}")}
        for child in node:
            known = self._schema.elements.get(str(child.tag))
            put(out, local(child), self.read(child, known.type) if known else self._anything(child), many=False)
        return out


def put(out: dict[str, Value], name: str, value: Value, *, many: bool) -> None:
    """Add a value to a dict; what comes again, or may, becomes a list."""
    if name in out:
        before = out[name]
        if isinstance(before, list):
            before.append(value)
        else:
            out[name] = [before, value]
    else:
        out[name] = [value] if many else value
