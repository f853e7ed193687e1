"""Simulated systems on real sockets. The behaviour is `protocols.mapping.simulation`; a transport binds it.

Each transport has a function `simulate(reactor, host, port, definition, simulation, record, *, dialects, folder)`. It begins at once and
returns Twisted's listening port, or what has the same `getHost` and `stopListening`, and a `ready` that fires when it can be asked; it
calls `record` with each applied change before the answer leaves.
"""

from gateway.simulators.running import Simulated, find

__all__ = ["Simulated", "find"]
