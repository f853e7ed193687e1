"""Drivers: a connector's commands carried out on a foreign system as a protocol file says, nothing applied twice."""

from adapters.drivers.driver import Client, Driver, NotSent, OutcomeUnknown, make_connector

__all__ = ["Client", "Driver", "NotSent", "OutcomeUnknown", "make_connector"]
