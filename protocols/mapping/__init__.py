"""Message maps: a foreign message to a business one and back, declared in an operator's file. Works on plain dicts."""

from protocols.mapping.definition import Definition, DefinitionError, Operation, Result
from protocols.mapping.engine import Fields, MappingError, Template

__all__ = ["Definition", "DefinitionError", "Fields", "MappingError", "Operation", "Result", "Template"]
