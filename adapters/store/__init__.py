"""The store: inbox, outbox, timers and the cores' handlers, made durable together, many requests to a commit."""

from adapters.store.store import Store, open_store

__all__ = ["Store", "open_store"]
