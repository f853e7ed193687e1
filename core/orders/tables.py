"""The order core's own tables. An order is one document; the columns beside it are what it is looked for by."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

product_order = Table(
    "product_order", metadata,
    Column("id", String(64), primary_key=True),
    Column("party", String(64), nullable=False),
    Column("external_id", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("document", Text, nullable=False),
    Column("pending_cancel", Text),
    Index("ix_product_order_external_id", "external_id", "party"),
)
"""`party` is who submitted the order; `pending_cancel` the cancellation being assessed: its task and the request to answer."""

product = Table(
    "product", metadata,
    Column("id", String(64), primary_key=True),
    Column("product_order", String(64), nullable=False, index=True),
    Column("product_offering", String(64), nullable=False),
    Column("customer", String(64), nullable=False, index=True),
    Column("quantity", Integer, nullable=False),
    Column("services", Text, nullable=False),
    Column("status", String(32), nullable=False),
    Column("start_date", String(40), nullable=False),
    Column("end_date", String(40)),
)
"""The product inventory (TMF637): what customers have. `status` is `active`, `pendingTerminate` while an order to
remove it is under way, or `terminated`; `services` the ids of the services that make it, as a JSON list."""
