"""Drivers: a connector's commands carried out on a foreign system as a protocol file says, nothing applied twice."""

from adapters.drivers.driver import TOLD, Client, Driver, NotSent, OutcomeUnknown, make_connector

__all__ = ["TOLD", "Client", "Driver", "NotSent", "OutcomeUnknown", "make_connector"]
