"""Simulated systems on real sockets. The behaviour is `protocols.mapping.simulation`; here it is bound to a transport.

Each transport gives one function: `simulate(reactor, host, port, definition, simulation, record, *, dialect=None)`. It binds and
returns Twisted's listening port, and calls `record` with each `Outcome.applied` at once, before it answers.
"""
