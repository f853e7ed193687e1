"""Validation against the contract's own schemas by libxml2: patterns, enumerations, ranges and lengths too, which zeep drops."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lxml import etree

from protocols.soap.foreign.documents import WSDL, XSD, well_known

# What libxml2 quotes of the message: values may be private.
_QUOTED = re.compile(r"(?s)'.*' (?=is not (?:a valid|accepted|an element|facet-valid))")
_NAMED = re.compile(r"^Element '(?:\{[^}]*\})?([^']*)'(?:, attribute '(?:\{[^}]*\})?([^']*)')?: ")
_FACET = re.compile(r"^\[facet '\w+'\] ")
_FEW = 3
"""Contradictions that are told of a contract's schemas."""
_Words = tuple[str, tuple[Any, ...], str, tuple["_Words", ...]]
_NAMESPACES = re.compile(r"\{[^}\s]*[:/][^}\s]*\}")  # a pattern's {3} is none


class Unsound(ValueError):
    """The schemas of a contract contradict themselves, or use what is not there."""


class Validator:
    """Tells what is wrong with an element. Not for use in two threads at once."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Compile the schemas in the files of a contract. Raises Unsound."""
        held = _Held(files)
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        parser.resolvers.add(held)
        try:
            self._schema = etree.XMLSchema(etree.fromstring(held.root(), parser))
        except (etree.XMLSchemaParseError, etree.XMLSyntaxError) as error:
            entries: Any = error.error_log
            raise Unsound("; ".join(held.place(e.filename) + _told(e.message) for e in entries[:_FEW]) or _told(str(error))) from None

    def problem(self, node: etree._Element) -> str | None:
        """What is wrong with an element, without the value that is; None when it is valid."""
        if self._schema.validate(node):
            return None
        errors: Any = self._schema.error_log
        return _told(errors[0].message)


def _told(message: str) -> str:
    named = _NAMED.match(message)
    rest = _FACET.sub("", message[named.end():] if named else message)
    rest = _NAMESPACES.sub("", _QUOTED.sub("", rest))
    name = ".".join(part for part in named.groups() if part) + ": " if named else ""
    return name + " ".join(rest.split())[:300].rstrip(".")


class _Held(etree.Resolver):
    """The schemas in memory, each namespace behind one address that includes all that declare it.

    Partners' files are loose about imports: some import a namespace twice from different places, some their own, some forget
    it. So every import is taken out, and every schema sees every other namespace.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._parts: dict[str, etree._Element] = {}
        self._files: dict[str, str] = {}
        self._of: dict[str | None, list[str]] = {}
        included: set[str] = set()
        used: set[str] = set()
        for address, data in files.items():
            for number, schema in enumerate(_schemas(etree.fromstring(data))):
                part = address if schema.getparent() is None else f"uip:inline/{len(self._parts)}/{number}"
                self._parts[part], self._files[part] = schema, address
                self._of.setdefault(schema.get("targetNamespace"), []).append(part)
                used.update(str(node.get("namespace")) for node in schema.iterchildren(f"{{{XSD}}}import"))
                included.update(str(node.get("schemaLocation")) for node in _inclusions(schema))
        for missing in used - {str(n) for n in self._of}:
            known = well_known(missing)
            if known is not None:
                self._parts[missing] = etree.fromstring(known)
                self._of[missing] = [missing]
        for parts in self._of.values():
            _once([self._parts[part] for part in parts])
        # What others include is theirs, and has their namespace where it has none of its own.
        for namespace, parts in self._of.items():
            self._of[namespace] = [p for p in parts if p not in included] or parts
        self._drivers = {namespace: f"uip:namespace/{number}" for number, namespace in enumerate(self._of) if namespace is not None}
        self._texts = {part: self._with_imports(schema) for part, schema in self._parts.items()}
        for name, driver in self._drivers.items():
            self._texts[driver] = _driver(name, self._of[name], ())

    def root(self) -> bytes:
        """The schema that brings in all others."""
        return _driver(None, self._of.get(None, ()), self._drivers.items())

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]  # noqa: ARG002  # as lxml calls it
        """lxml's: the text at an address. What is not held here is not to be had."""
        this: Any = self  # lxml's stubs have these otherwise
        known = self._texts.get(system_url.removeprefix("file://"))
        return this.resolve_string(known, context, base_url=system_url) if known is not None else this.resolve_empty(context)

    def place(self, part: str | None) -> str:
        """The file that a part comes from, and a colon."""
        file = self._files.get((part or "").removeprefix("file://"))
        return f"{file.rpartition('/')[2]}: " if file else ""

    def _with_imports(self, schema: etree._Element) -> bytes:
        own = schema.get("targetNamespace")
        schema.text = None  # stray characters, which nobody but libxml2 minds
        for child in schema:
            child.tail = None
        for node in list(schema.iterchildren(f"{{{XSD}}}import")):
            schema.remove(node)
        for node in list(_inclusions(schema)):
            schema.insert(0, node)  # they come first, which partners forget
        for namespace, driver in self._drivers.items():
            if namespace != own:
                schema.insert(0, schema.makeelement(f"{{{XSD}}}import", {"namespace": namespace, "schemaLocation": driver}))
        return etree.tostring(schema, with_tail=False)


def _once(schemas: list[etree._Element]) -> None:
    """Take out what several schemas of one namespace declare in the very same words."""
    seen: dict[tuple[str, str | None], tuple[etree._Element, _Words]] = {}
    for schema in schemas:
        for child in list(schema):
            if child.get("name") is None:
                continue
            words = _words(child)
            where, first = seen.setdefault((str(child.tag), child.get("name")), (schema, words))
            if where is not schema and first == words:
                schema.remove(child)


def _words(node: etree._Element) -> _Words:
    """What an element says, however it is laid out. Canonical XML would do, but cannot say namespaces such as `tmf854.v1`."""
    return str(node.tag), tuple(sorted(node.attrib.items())), (node.text or "").strip(), tuple(map(_words, node))


def _schemas(root: etree._Element) -> Iterator[etree._Element]:
    if root.tag == f"{{{XSD}}}schema":
        yield root
    elif root.tag == f"{{{WSDL}}}definitions":
        yield from root.iterfind(f"{{{WSDL}}}types/{{{XSD}}}schema")


def _inclusions(schema: etree._Element) -> Iterator[etree._Element]:
    return schema.iterchildren(f"{{{XSD}}}include", f"{{{XSD}}}redefine")


def _driver(namespace: str | None, includes: Iterable[str], imports: Iterable[tuple[str, str]]) -> bytes:
    root = etree.Element(f"{{{XSD}}}schema", nsmap={"xs": XSD})
    if namespace is not None:
        root.set("targetNamespace", namespace)
    for name, address in imports:
        etree.SubElement(root, f"{{{XSD}}}import", namespace=name, schemaLocation=address)
    for address in includes:
        etree.SubElement(root, f"{{{XSD}}}include", schemaLocation=address)
    return etree.tostring(root)
