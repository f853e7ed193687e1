"""Thin Twisted bindings, one folder a transport, both directions."""
