"""What Alembic runs. The connection and the transaction are the caller's (see the package)."""

from alembic import context

from adapters.store.migrations import all_metadata

_attributes = context.config.attributes
context.configure(connection=_attributes["connection"], target_metadata=_attributes.get("metadata") or all_metadata(),
                  render_as_batch=True, transactional_ddl=True)
context.run_migrations()
