"""What Alembic runs. The connection and the transaction are the caller's (see the package)."""

from typing import Any

from alembic import context
from sqlalchemy.types import TypeDecorator

from adapters.store.migrations import all_metadata


def render(kind: str, item: Any, _context: Any) -> Any:
    """Write a core's own column type as the plain type under it: a revision must not change when the core's code does."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


_attributes = context.config.attributes
context.configure(connection=_attributes["connection"], target_metadata=_attributes.get("metadata") or all_metadata(),
                  render_as_batch=True, transactional_ddl=True, render_item=render)
context.run_migrations()
