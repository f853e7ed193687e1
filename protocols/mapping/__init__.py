"""Message maps: a foreign message to a business one and back, declared in an operator's file. Works on plain dicts."""

from protocols.mapping.definition import Definition, DefinitionError, Operation, Result
from protocols.mapping.engine import Fields, MappingError, Template
from protocols.mapping.simulation import GARBAGE, Act, Conversation, Habit, Outcome, Record, Reply, Simulation, Simulator

__all__ = ["GARBAGE", "Act", "Conversation", "Definition", "DefinitionError", "Fields", "Habit", "MappingError", "Operation", "Outcome",
           "Record", "Reply", "Result", "Simulation", "Simulator", "Template"]
