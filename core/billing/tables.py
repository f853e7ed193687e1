"""The tables the billing core owns. Amounts are decimal text: SQLite would make binary floats of numbers."""

from __future__ import annotations

from sqlalchemy import Column, Date, DateTime, Index, Integer, LargeBinary, MetaData, String, Table

from core.columns import DecimalText

metadata = MetaData()

billing_account = Table(
    "billing_account", metadata,
    Column("id", String(64), primary_key=True),
    Column("party", String(64), nullable=False),
    Column("party_name", String(512), nullable=False),
    Column("currency", String(3), nullable=False),
)

product_charge = Table(
    "product_charge", metadata,
    Column("product", String(64), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("tariff", String(64), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("active_from", DateTime(timezone=True), nullable=False),
    Column("active_to", DateTime(timezone=True)),
    Column("charged_to", Date, nullable=False),  # recurring fees are charged for every day before this one
    Index("product_charge_account", "account"),
)

charge = Table(
    "charge", metadata,
    Column("id", String(64), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("product", String(64), nullable=False),
    Column("name", String(512), nullable=False),
    Column("period_start", Date),
    Column("period_end", Date),
    Column("net", DecimalText, nullable=False),
    Column("tax", DecimalText, nullable=False),
    Column("tax_fixed", Integer, nullable=False),  # 1: the price included its tax; 0: the bill's group sum decides
    Column("tax_category", String(64), nullable=False),
    Column("tax_rate", DecimalText, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("bill", String(64)),  # None while unbilled
    Index("charge_unbilled", "account", "bill"),
    Index("charge_product", "product"),  # each new product's charges are read back
)

usage = Table(
    "usage", metadata,
    Column("source", String(64), primary_key=True),
    Column("usage_id", String(64), primary_key=True),
    Column("id", String(64), nullable=False),
    Column("account", String(64), nullable=False),
    Column("product", String(64)),
    Column("type", String(64), nullable=False),
    Column("date", DateTime(timezone=True), nullable=False),
    Column("quantity", DecimalText, nullable=False),
    Column("state", String(32), nullable=False),
    Column("rated", DecimalText),  # in the tariff's terms: with tax where its prices include it; 9 places
    Column("answer", String, nullable=False),  # the UsageAck, as JSON: the same report gets the same answer
    Column("bill", String(64)),
    Index("usage_unbilled", "account", "bill", "state"),
)

bill_series = Table(
    "bill_series", metadata,
    Column("series", String(64), primary_key=True),
    Column("last", Integer, nullable=False),
)

bill = Table(  # issued bills, which never change
    "bill", metadata,
    Column("number", String(64), primary_key=True),
    Column("id", String(64), nullable=False),
    Column("account", String(64), nullable=False),
    Column("cycle", Date, nullable=False),
    Column("period_end", DateTime(timezone=True), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("document", String, nullable=False),  # the CustomerBill, as JSON
    Index("bill_cycle", "account", "cycle", unique=True),
)

bill_document = Table(
    "bill_document", metadata,
    Column("id", String(64), primary_key=True),
    Column("bill", String(64), nullable=False),
    Column("name", String(512), nullable=False),
    Column("mime_type", String(64), nullable=False),
    Column("template", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("bill_document_bill", "bill"),
)

bill_run = Table(
    "bill_run", metadata,
    Column("id", String(64), primary_key=True),
    Column("request", String(128), nullable=False),  # the message that is answered when it ends
    Column("cycle", Date, nullable=False),
    Column("started", DateTime(timezone=True), nullable=False),
    Column("completed", DateTime(timezone=True)),
    Column("open", Integer, nullable=False),  # accounts still to be billed
)

bill_run_account = Table(
    "bill_run_account", metadata,
    Column("run", String(64), primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("bill", String(64)),
    Column("parked", String(512)),  # why there is no bill
)
