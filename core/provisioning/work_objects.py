"""Work orders as people and partners see them (TMF697): what is to be done, by whom, and what came of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from core.messages.base import BusinessObject, Characteristic, Identifier, Instant, Parameter, StateChange, Text
from core.provisioning.objects import ServiceOrderState


class WorkMode(StrEnum):
    """How a work order is carried out: by a command to an element, by a person, or by a partner."""

    ELEMENT = "element"
    STAFF = "staff"
    PARTNER = "partner"


class WorkOutcome(StrEnum):
    """What a person says of finished work."""

    DONE = "done"
    FAILED = "failed"


class WorkOrder(BusinessObject):
    """One step of a service order. `undoOf` names the work order that this one takes back."""

    id: Identifier
    href: Text
    serviceOrder: Identifier
    serviceOrderItem: Identifier
    service: Identifier | None = None
    specialty: Identifier
    mode: WorkMode
    name: Text
    state: ServiceOrderState
    assignedTo: Text | None = None
    priority: int | None = None
    place: Text | None = None
    orderDate: Instant
    expectedCompletionDate: Instant | None = None
    completionDate: Instant | None = None
    undoOf: Identifier | None = None
    message: Text | None = None
    workCharacteristic: tuple[Characteristic, ...] = ()
    stateChange: tuple[StateChange, ...] = ()


class ListWork(BusinessObject):
    """Read the work of a specialty, open work unless a state is named; the most urgent first."""

    specialty: Identifier
    state: ServiceOrderState | None = None
    assignedTo: Annotated[Text | None, Parameter("ASSIGNEE")] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class WorkOrders(BusinessObject):
    """Work orders that were asked for."""

    workOrder: tuple[WorkOrder, ...] = ()


class CompleteWork(BusinessObject):
    """Report what came of a work order. `workCharacteristic` are values found on site (a port, a serial number)."""

    id: Annotated[Identifier, Parameter("WORKID")]
    outcome: WorkOutcome
    note: Text | None = None
    workCharacteristic: tuple[Characteristic, ...] = ()
