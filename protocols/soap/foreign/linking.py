"""Names that a contract uses and none of its files declares: each with its place, and the nearest right name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from protocols.soap.foreign.documents import WSDL, XSD, Problem, parse_xml, well_known
from protocols.wording import nearest

# What each element names by an attribute: the kind of what is named.
_WSDL_USES = {"part": {"element": "element", "type": "type"}, "input": {"message": "message"}, "output": {"message": "message"},
              "fault": {"message": "message"}, "binding": {"type": "portType"}, "port": {"binding": "binding"}}
_XSD_USES = {"element": {"type": "type", "ref": "element", "substitutionGroup": "element"},
             "attribute": {"type": "type", "ref": "attribute"}, "extension": {"base": "type"}, "restriction": {"base": "type"},
             "list": {"itemType": "type"}, "group": {"ref": "group"}, "attributeGroup": {"ref": "attributeGroup"}}
_USES = {f"{{{space}}}{name}": uses for space, table in ((WSDL, _WSDL_USES), (XSD, _XSD_USES)) for name, uses in table.items()}
_OF_WSDL = ("message", "portType", "binding")
_DECLARED = {f"{{{WSDL}}}{kind}": kind for kind in _OF_WSDL} | {
    f"{{{XSD}}}{name}": "type" if name in ("complexType", "simpleType") else name
    for name in ("complexType", "simpleType", "element", "attribute", "group", "attributeGroup")}

_MOST = 20
"""How many are told."""

Names = dict[tuple[str, str], set[str]]
"""The names of a kind in a namespace."""


def unresolved(files: Iterable[str]) -> list[Problem]:
    """Every use of a name that is not declared in these files, which are a contract's."""
    roots = {Path(file): parse_xml(Path(file).read_bytes()) for file in files}
    names: Names = {}
    for root in roots.values():
        for holder in root.iter(f"{{{WSDL}}}definitions", f"{{{XSD}}}schema"):
            namespace = holder.get("targetNamespace") or ""
            for child in holder.iterchildren(*_DECLARED):
                names.setdefault((_DECLARED[str(child.tag)], namespace), set()).add(child.get("name", "").strip())
    found = [problem for file, root in roots.items() for problem in _wrong(file, root, names)]
    more = [Problem(found[_MOST].file, 0, f"and {len(found) - _MOST} more such names")] if len(found) > _MOST else []
    return found[:_MOST] + more


def _wrong(file: Path, root: etree._Element, names: Names) -> Iterator[Problem]:
    for node in root.iter(*_USES):
        line: Any = node.sourceline  # lxml's stubs give it a strange type
        for attribute, kind in _USES[str(node.tag)].items():
            prefix, _, name = node.get(attribute, "").strip().rpartition(":")
            namespace = node.nsmap.get(prefix or None, "")
            if not name or namespace == XSD or (namespace and well_known(namespace)):
                continue
            if prefix and not namespace:
                yield Problem(file, line, f"nothing declares the prefix of {attribute}=\"{prefix}:{name}\"")
            # A schema without a namespace has that of the one that includes it.
            elif not any(name in names.get((kind, space), ()) for space in (namespace, "")):
                yield Problem(file, line, f"no {kind} {name} is declared in {namespace or 'no namespace'}"
                                          f"{_instead(kind, name, namespace, names)}")


def _instead(kind: str, name: str, namespace: str, names: Names) -> str:
    for (other, space), known in names.items():
        if other == kind and name in known:
            return f"; did you mean the one of {space or 'no namespace'}?"
    if namespace and kind not in _OF_WSDL and not any(space == namespace and other not in _OF_WSDL for other, space in names):
        return ", nor anything else for messages: `imports:` may name a file for this namespace"
    return nearest(name, names.get((kind, namespace), ()))
