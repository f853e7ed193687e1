"""The tables the provisioning core owns. Nobody else reads or writes them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

service_order = Table(
    "service_order", metadata,
    Column("id", String(64), primary_key=True),
    Column("external_id", String(64), nullable=False),
    Column("product_order", String(64), nullable=False),  # "" when no product order led to it
    Column("state", String(32), nullable=False),
    Column("ends_in", String(32)),  # while undoing: the state it ends in once all is undone
    Column("document", Text, nullable=False),  # the ServiceOrder, as JSON
    Column("actions", Text, nullable=False),  # the SubmitServiceOrder, as JSON
    # An order is named by who placed it: the same name again is the same order.
    Index("service_order_name", "product_order", "external_id", unique=True),
)

work_order = Table(
    "work_order", metadata,
    Column("id", String(64), primary_key=True),
    Column("service_order", String(64), nullable=False),
    Column("item", String(64), nullable=False),
    Column("service", String(64), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("state", String(32), nullable=False),
    Column("element", String(64), nullable=False),
    Column("command", Text, nullable=False),  # as JSON: command and filled parameters
    Column("undo", Text),  # the same, for the command that undoes this one
    Column("undo_of", String(64)),
    Column("message_id", String(64)),  # of the command sent last, which a Fault names as its cause
    Column("tries", Integer, nullable=False),
    Column("message", String(512)),
    Index("work_order_sequence", "service_order", "sequence", unique=True),
    Index("work_order_message", "message_id"),
    Index("work_order_service", "service"),
)

service = Table(
    "service", metadata,
    Column("id", String(64), primary_key=True),
    Column("party", String(64), nullable=False),
    Column("specification", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("service_order", String(64), nullable=False),
    Column("characteristics", Text, nullable=False),  # as JSON, name to value
)

resource = Table(
    "resource", metadata,
    Column("characteristic", String(64), primary_key=True),
    Column("value", String(512), primary_key=True),  # unique per characteristic, whichever pool or order it came from
    Column("pool", String(64)),
    Column("state", String(32), nullable=False),
    Column("owner", String(64)),  # a service, or a reservation that no order has taken up yet
    Column("expires", DateTime(timezone=True)),
    Index("resource_owner", "owner"),
    Index("resource_free", "pool", "state", "value"),
)

pool_cursor = Table(
    "pool_cursor", metadata,
    Column("pool", String(64), primary_key=True),
    Column("next", BigInteger, nullable=False),  # index of the first value never taken
)

reservation = Table(
    "reservation", metadata,
    Column("id", String(64), primary_key=True),
    Column("state", String(32), nullable=False),
    Column("expires", DateTime(timezone=True), nullable=False),
)
