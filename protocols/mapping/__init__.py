"""Message maps: a foreign message to a business one and back, declared in an operator's file. Works on plain dicts."""

from protocols.mapping.definition import Definition, DefinitionError, Result
from protocols.mapping.engine import MappingError, Template
from protocols.mapping.fields import FieldMap
from protocols.mapping.operations import Message, Operation, Query, Send
from protocols.mapping.reading import Fields
from protocols.mapping.reply import Reply
from protocols.mapping.serving import Asked, Serving, UnknownCommand
from protocols.mapping.simulation import GARBAGE, Act, Conversation, Outcome, Record, Said, Simulation
from protocols.mapping.simulator import Habit, Simulator

__all__ = ["GARBAGE", "Act", "Asked", "Conversation", "Definition", "DefinitionError", "FieldMap", "Fields", "Habit", "MappingError",
           "Message", "Operation", "Outcome", "Query", "Record", "Reply", "Result", "Said", "Send", "Serving", "Simulation", "Simulator",
           "Template", "UnknownCommand"]
