"""The files of a contract: a WSDL and everything it imports, from the site's own folder, never from the network.

A reference that leads nowhere, or out of the folder, is reported with file and line. The operator mends it without touching
the partner's files: `imports` maps what a reference says (its location or its namespace) to a file of the site.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree

WSDL = "http://schemas.xmlsoap.org/wsdl/"
XSD = "http://www.w3.org/2001/XMLSchema"
MAX_BYTES = 16 << 20
"""Of one file."""
MAX_FILES = 2_000

_REFERENCES = {f"{{{WSDL}}}import": "location", f"{{{XSD}}}import": "schemaLocation", f"{{{XSD}}}include": "schemaLocation",
               f"{{{XSD}}}redefine": "schemaLocation"}

# What partners' files take for granted, in the few lines that matter here: the schemas themselves stand on servers that
# nobody may ask while a contract is loaded.
_WELL_KNOWN = {
    "http://www.w3.org/XML/1998/namespace": b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
        targetNamespace="http://www.w3.org/XML/1998/namespace"><xs:attribute name="lang" type="xs:string"/>
        <xs:attribute name="space" type="xs:string"/><xs:attribute name="base" type="xs:anyURI"/>
        <xs:attribute name="id" type="xs:ID"/><xs:attributeGroup name="specialAttrs"><xs:attribute ref="xml:base"/>
        <xs:attribute ref="xml:lang"/><xs:attribute ref="xml:space"/></xs:attributeGroup></xs:schema>""",
    "http://schemas.xmlsoap.org/soap/encoding/": b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
        xmlns:t="http://schemas.xmlsoap.org/soap/encoding/" targetNamespace="http://schemas.xmlsoap.org/soap/encoding/">
        <xs:attribute name="arrayType" type="xs:string"/><xs:attribute name="offset" type="xs:string"/>
        <xs:attributeGroup name="commonAttributes"><xs:attribute name="id" type="xs:ID"/><xs:attribute name="href" type="xs:anyURI"/>
        </xs:attributeGroup><xs:complexType name="Array"><xs:sequence><xs:any minOccurs="0" maxOccurs="unbounded"
        processContents="lax"/></xs:sequence><xs:attribute ref="t:arrayType"/><xs:attributeGroup ref="t:commonAttributes"/>
        </xs:complexType></xs:schema>""",
    "http://www.w3.org/2005/05/xmlmime": b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
        xmlns:m="http://www.w3.org/2005/05/xmlmime" targetNamespace="http://www.w3.org/2005/05/xmlmime">
        <xs:attribute name="contentType" type="xs:string"/><xs:attribute name="expectedContentTypes" type="xs:string"/>
        <xs:complexType name="base64Binary"><xs:simpleContent><xs:extension base="xs:base64Binary">
        <xs:attribute ref="m:contentType"/></xs:extension></xs:simpleContent></xs:complexType>
        <xs:complexType name="hexBinary"><xs:simpleContent><xs:extension base="xs:hexBinary">
        <xs:attribute ref="m:contentType"/></xs:extension></xs:simpleContent></xs:complexType></xs:schema>""",
}
_VALUES = frozenset(("value", "default", "fixed"))
"""The attributes of XML Schema in which blanks count."""


def copy_of(address: str, folder: Path) -> Path:
    """Where the copy of a file on another machine is kept, below the protocol files' folder."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", address.partition("://")[2]).strip("-.")[:60]
    return folder / "fetched" / f"{readable}-{hashlib.sha256(address.encode()).hexdigest()[:12]}.xml"


def well_known(namespace: str) -> bytes | None:
    """The schema of a namespace that everybody takes for granted."""
    return _WELL_KNOWN.get(namespace)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an operator's or a partner's file; `line` counts from 1, 0 where it has none."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class ContractError(ValueError):
    """A WSDL cannot be used; `problems` holds every reason."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def parse_xml(data: bytes) -> etree._Element:
    """Parse a document that may be hostile. Raises ValueError (lxml's XMLSyntaxError is one of SyntaxError, turned into it here).

    No DTD, so no entities either; no network; libxml2's own limits on depth and size hold.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
                             remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"is not well-formed XML (line {error.lineno or 0})") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("has a DOCTYPE, which SOAP and WSDL files must not have")
    return root


class Documents:
    """A contract's files, loaded and their references resolved. `files` maps an address (a path's text) to its bytes as zeep
    reads them, every reference in them an address of this table.
    """

    def __init__(self, root: Path, inside: Path, imports: Mapping[str, Path]) -> None:
        self.root = root.resolve()
        self.files: dict[str, bytes] = {}
        self.problems: list[Problem] = []
        self.encoded = False
        self.elsewhere: list[str] = []
        """Addresses on other machines that are needed and of which there is no copy."""
        self._inside = inside.resolve()
        self._imports = imports
        self._declared: dict[Path, str] = {}
        self._load(self.root, self.root, 0)

    def load(self, address: str) -> bytes:
        """The bytes of a file, as zeep asks for them. Raises ValueError: nothing but what is here can be loaded."""
        known = self.files.get(address) or _WELL_KNOWN.get(address)
        if known is None:
            raise ValueError(f"{address} is not part of the contract")
        return known

    def _load(self, path: Path, asked_from: Path, line: int) -> str | None:
        """Load a file and what it refers to; returns the namespace it declares, None where it could not be loaded."""
        if str(path) in self.files:
            return self._declared.get(path)
        if len(self.files) >= MAX_FILES:
            self._problem(asked_from, line, f"the contract has more than {MAX_FILES} files")
            return None
        self.files[str(path)] = b""
        try:
            root = parse_xml(_bounded(path))
        except OSError:
            self._problem(asked_from, line, f"there is no file {path}")
            return None
        except ValueError as error:
            self._problem(path, 0, f"{path.name} {error}")
            return None
        if path == self.root and root.tag != f"{{{WSDL}}}definitions":
            self._problem(path, 0, f"{path.name} is not a WSDL 1.1 file: its root is {root.tag}")
            return None
        _mend(root)
        self._declared[path] = root.get("targetNamespace") or ""
        self.encoded = self.encoded or any(body.get("use") == "encoded" for body in root.iter("{*}body"))
        for node, attribute in list(references(root)):
            self._resolve(path, node, attribute)
        if path == self.root:
            self._supply(root)
        self.files[str(path)] = etree.tostring(root)
        return self._declared[path]

    def _supply(self, root: etree._Element) -> None:
        """Bring in the schemas that `imports` names for namespaces which are used without any import of them."""
        for namespace, file in self._imports.items():
            if file.is_file() and str(file.resolve()) not in self.files and self._load(file.resolve(), self.root, 0) == namespace:
                types = root.find(f"{{{WSDL}}}types")
                if types is None:
                    types = etree.Element(f"{{{WSDL}}}types")
                    root.insert(sum(1 for _ in root.iterchildren(f"{{{WSDL}}}documentation", f"{{{WSDL}}}import")), types)
                schema = etree.SubElement(types, f"{{{XSD}}}schema")
                etree.SubElement(schema, f"{{{XSD}}}import", namespace=namespace, schemaLocation=str(file.resolve()))

    def _resolve(self, path: Path, node: etree._Element, attribute: str) -> None:
        location, namespace = node.get(attribute), node.get("namespace")
        line: Any = node.sourceline  # lxml's stubs give it a strange type
        instead = self._imports.get(location or "") or self._imports.get(namespace or "")
        if instead is not None:
            target = instead.resolve()
        elif namespace in _WELL_KNOWN:
            node.set(attribute, namespace)
            return
        elif not location:
            return  # a namespace that the contract itself holds elsewhere
        elif "://" in location:
            target = copy_of(location, self._inside).resolve()
            if not target.is_file():
                self.elsewhere.append(location)
                self._problem(path, line, f"{location} is on another machine: `uip check DIR --fetch` keeps a copy of it, or `imports:` "
                                          f"names a file of yours with this location as its key")
                return
        else:
            target = _beside(path, location, self._inside)
        if not target.is_relative_to(self._inside):
            self._problem(path, line, f"{location or namespace} lies outside {self._inside}")
            return
        if not target.is_file():
            self._problem(path, line, f"there is no file {target} ({location or namespace}); `imports:` may name another")
            return
        node.set(attribute, str(target))
        declared = self._load(target, path, line or 0)
        if node.tag == f"{{{XSD}}}import" and declared is not None and (namespace or "") != declared:
            self._problem(path, line, f"{location or target.name} declares the namespace {declared or '(none)'}, not "
                                      f"{namespace or '(none)'} as the import says; `imports:` may name another")

    def _problem(self, path: Path, line: int | None, message: str) -> None:
        self.problems.append(Problem(path, line or 0, message))


def _mend(root: etree._Element) -> None:
    """Take away the blanks around names, which count nowhere (XML Schema 2, 4.3.6) but are read as part of them by libxml2 and zeep;
    put imports that stand in wsdl:types by themselves into a schema.
    """
    for node in root.iter(f"{{{XSD}}}*", f"{{{WSDL}}}*"):
        for name, value in node.attrib.items():
            if str(value) != str(value).strip() and name not in _VALUES:
                node.set(name, str(value).strip())
    for types in root.iterchildren(f"{{{WSDL}}}types"):
        astray = list(types.iterchildren(f"{{{XSD}}}import"))
        if astray:
            etree.SubElement(types, f"{{{XSD}}}schema").extend(astray)


def _beside(path: Path, location: str, inside: Path) -> Path:
    """The file that a reference names, from where it stands. Many contracts were written on Windows: there a backslash is a slash,
    and capital letters do not count, so of a name that is not there the one that differs in them only is meant.
    """
    target = (path.parent / location.replace("\\", "/")).resolve()
    if target.is_file() or not target.is_relative_to(inside):
        return target
    found = inside
    for name in target.relative_to(inside).parts:
        alike = [p for p in found.iterdir() if p.name.casefold() == name.casefold()] if found.is_dir() else []
        if len(alike) != 1:
            return target
        found = alike[0]
    return found.resolve()


def _bounded(path: Path) -> bytes:
    """Raises OSError, and ValueError when the file is too large."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES} bytes")
    return path.read_bytes()


def references(root: etree._Element) -> Iterator[tuple[etree._Element, str]]:
    """Every element that refers to another file, and the attribute that says where it is."""
    for node in root.iter(*_REFERENCES):
        yield node, _REFERENCES[str(node.tag)]
