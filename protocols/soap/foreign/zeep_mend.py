"""Five mends of zeep 4.3, which reads WSDL and XML Schema for us.

A WSDL split over several files of one namespace is found whole: zeep remembers which definitions it has searched by their
namespace, and so passes over every further file of the same one; remembered by the object itself, all are searched.

An element in a choice keeps its minOccurs: zeep calls every such element optional, so that a choice with nothing chosen
could not be told from a right one. What the schema says stands in `declared_least` beside zeep's own `min_occurs`.

A substitution group is known: zeep passes over `substitutionGroup` and `abstract`. Here they stand in `substitutes_for` and
`abstract` of a global element, and `referred` tells an element that was declared by `ref`. `abstract` of a type is kept too.

A type keeps what it extends: while zeep resolves types that hold each other, a base is still without what it inherits itself, and
what was derived from it then lacks that for good. `extends` of a derived type is its base and the type as it was declared, with its
own content only; `restricts` the base of a restricted one; `finished` gives the type that a type became when it was resolved.

The body's part is taken from `parts` (WSDL 1.1, 3.5); zeep looks for an attribute `part`, which soap:body does not have.
"""

from __future__ import annotations

from typing import Any

from zeep.utils import qname_attr
from zeep.wsdl import wsdl
from zeep.wsdl.messages.soap import DocumentMessage, SoapMessage
from zeep.xsd.elements.references import RefElement
from zeep.xsd.types.complex import ComplexType
from zeep.xsd.visitor import SchemaVisitor, tags


def _get(self: Any, name: str, key: str, searched: set[int] | None = None) -> Any:
    """Find a message, port type, binding or service here or in what is imported. Raises IndexError, as zeep expects."""
    here = getattr(self, name)
    if key in here:
        return here[key]
    searched = set() if searched is None else searched
    if id(self) not in searched:
        searched.add(id(self))
        for imported in self.imports.values():
            try:
                return _get(imported, name, key, searched)
            except IndexError:
                continue
    raise IndexError(f"no definition {key!r} in {name}")


_visit_element = SchemaVisitor.visit_element
_resolve = RefElement.resolve


def _visit(self: Any, node: Any, parent: Any) -> Any:
    element = _visit_element(self, node, parent)
    element.declared_least = int(node.get("minOccurs", "1"))
    if parent.tag == tags.schema:
        element.substitutes_for = qname_attr(node, "substitutionGroup", self.document._target_namespace)
        element.abstract = node.get("abstract", "").strip() in ("true", "1")
    return element


def _resolved(self: Any) -> Any:
    element = _resolve(self)
    if hasattr(self, "declared_least"):
        element.declared_least = self.declared_least
    element.referred = True
    return element


_visit_type = SchemaVisitor.visit_complex_type
_extend, _restrict = ComplexType.extend, ComplexType.restrict


def _visit_complex(self: Any, node: Any, parent: Any) -> Any:
    type_ = _visit_type(self, node, parent)
    type_.abstract = node.get("abstract", "") in ("true", "1")
    return type_


def _extended(self: Any, base: Any) -> Any:
    made = _extend(self, base)
    made.extends, made.abstract = (base, self), self.abstract
    return made


def _restricted(self: Any, base: Any) -> Any:
    made = _restrict(self, base)
    made.restricts, made.abstract = base, self.abstract
    return made


def finished(type_: Any) -> Any:
    """The type that a type became when it was resolved."""
    while type_._resolved not in (None, False, type_):
        type_ = type_._resolved
    return type_


def _parse_body(element: Any) -> dict[str, Any]:
    parts = (element.get("parts") or "").split()
    return {"part": parts[0] if len(parts) == 1 else None, "use": element.get("use", "literal"),
            "encodingStyle": element.get("encodingStyle"), "namespace": element.get("namespace")}


_resolve_body = DocumentMessage._resolve_body


def _body(self: Any, info: Any, definitions: Any, parts: Any) -> Any:
    if info and info["part"] not in (None, *parts):
        # zeep has taken away a part that is a header too; or the body names one that does not exist, and then means what is left.
        parts, info = (self.abstract.parts, info) if info["part"] in self.abstract.parts else (parts, {**info, "part": None})
    return _resolve_body(self, info, definitions, parts)


wsdl.Definition.get = _get  # type: ignore[method-assign]  # that is the mend
SchemaVisitor.visitors[tags.element] = _visit
SchemaVisitor.visitors[tags.complexType] = _visit_complex
ComplexType.extends = ComplexType.restricts = None  # type: ignore[attr-defined]  # what the mend adds
ComplexType.abstract = False  # type: ignore[attr-defined]  # that too
ComplexType.extend, ComplexType.restrict = _extended, _restricted  # type: ignore[method-assign]  # and that
SoapMessage._parse_body = staticmethod(_parse_body)  # type: ignore[method-assign]  # that too
DocumentMessage._resolve_body = _body  # type: ignore[method-assign]  # and that
RefElement.resolve = _resolved  # type: ignore[method-assign]  # that too
