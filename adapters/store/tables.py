"""The store's own tables. Times are milliseconds since 1970 in UTC: the same in both databases, small, and in order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text, false

metadata = MetaData(naming_convention={
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
})

_Sequence = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER column

inbox = Table(
    "inbox", metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column("address", String(96), nullable=False),
    Column("message_id", String(128), nullable=False),
    Column("correlation_id", String(128), nullable=False),
    Column("party", String(128), nullable=False),
    Column("idempotency_key", String(255)),
    Column("session", String(128), nullable=False),
    Column("type", String(96), nullable=False),
    Column("envelope", Text, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("reply_type", String(96)),
    Column("reply", Text),
    Index("ix_inbox_message", "message_id", "address", unique=True),
    Index("ix_inbox_correlation", "correlation_id"),
)
"""Every message a core has taken: the journal, and what makes a second delivery or a repeated request harmless.

`pending` says the answer is still to come (ANSWER_LATER); `reply` is the stored answer, a business object as JSON.
"""

Index("ix_inbox_idempotency", inbox.c.idempotency_key, inbox.c.party, unique=True,
      sqlite_where=inbox.c.idempotency_key.is_not(None), postgresql_where=inbox.c.idempotency_key.is_not(None))

outbox = Table(
    "outbox", metadata,
    Column("id", String(32), primary_key=True),
    Column("address", String(96), nullable=False),
    Column("key", String(128), nullable=False),
    Column("type", String(96), nullable=False),
    Column("envelope", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("last_error", Text),
    Column("state", String(8), nullable=False),
    Column("node", String(32), nullable=False, server_default=""),
    Column("handed", Boolean, nullable=False, server_default=false()),
    Index("ix_outbox_waiting", "state", "node", "id"),
)
"""Messages on their way. `attempts` counts the tries that may have begun: it is written before the try, with the row
itself or with the record of the try before. `state` is `pending`, `dead`, or `sent`:
with a broker, and looked after from `not_before` on (see claims.py). Only `node` relays the row; `handed` says that
another node put it there and that it has not been read yet. Ids of one address and key are in the order of commit.
"""

Index("ix_outbox_handed", outbox.c.node, outbox.c.id, sqlite_where=outbox.c.handed, postgresql_where=outbox.c.handed)
# A SQLite file has one process, whose node is "": there nobody asks where a key's messages wait.
Index("ix_outbox_key", outbox.c.key, sqlite_where=outbox.c.node != "")

node = Table(
    "node", metadata,
    Column("id", String(32), primary_key=True),
    Column("lease", BigInteger, nullable=False),
)
"""Processes that share this database, each for one life. Whose `lease` has ended, by the database's clock, is taken for dead;
until another node deletes its row, what is in its name is still its own.
"""

login_account = Table(
    "login_account", metadata,
    Column("peer", String(255), primary_key=True),
    Column("account", String(128), primary_key=True),
    Column("refusals", Integer, nullable=False),
    Column("lockouts", Integer, nullable=False),
    Column("locked_until", BigInteger, nullable=False),
)
"""Accounts at peers outside: how often in a row they were refused, and until when (the database's clock) nobody tries them."""

login_slot = Table(
    "login_slot", metadata,
    Column("id", String(32), primary_key=True),
    Column("peer", String(255), nullable=False),
    Column("account", String(128), nullable=False),
    Column("node", String(32), nullable=False, index=True),
    Index("ix_login_slot_account", "peer", "account"),
)
"""Sessions that are open at peers outside, each in the name of the node that holds it."""

timer = Table(
    "timer", metadata,
    Column("owner", String(96), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("due", BigInteger, nullable=False, index=True),
    Column("address", String(96), nullable=False),
    Column("envelope", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
)
"""Messages to be sent at a time. `owner` is the core that set the timer; ids are its own. `attempts` counts the tries that were made
before (replay.py): who is asked again must know that it may have been asked.
"""


def milliseconds(instant: datetime) -> int:
    """Return the instant as the tables keep it."""
    return round(instant.timestamp() * 1000)


def instant(value: int) -> datetime:
    """Return a time from the tables as an instant in UTC."""
    return datetime.fromtimestamp(value / 1000, UTC)


Row = dict[str, Any]
