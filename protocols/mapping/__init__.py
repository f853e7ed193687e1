"""Message maps: a foreign message to a business one and back, declared in an operator's file. Works on plain dicts."""

from protocols.mapping.definition import Definition, DefinitionError, Operation, Result
from protocols.mapping.engine import Fields, MappingError, Template
from protocols.mapping.simulation import Act, Conversation, Habit, Outcome, Reply, Simulation, Simulator

__all__ = ["Act", "Conversation", "Definition", "DefinitionError", "Fields", "Habit", "MappingError", "Operation", "Outcome", "Reply",
           "Result", "Simulation", "Simulator", "Template"]
