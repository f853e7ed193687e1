"""The credit core's own tables."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, String, Table, Text

from core.columns import DecimalText

metadata = MetaData()

credit_profile = Table(
    "credit_profile", metadata,
    Column("party", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("exposure", DecimalText, nullable=False),
    Column("score", Integer),
    Column("agency", Text),
    Column("verdict", String(16)),
    Column("reported", DateTime(timezone=True)),
    Column("clean", Boolean, nullable=False),
)
"""Our own record of a party: what is committed in all (the sum of its commitments), what a bureau last said of it and
when, and whether it has a clean record: nobody has refused it."""

credit_commitment = Table(
    "credit_commitment", metadata,
    Column("party", String(64), primary_key=True),
    Column("purpose", String(512), primary_key=True),
    Column("amount", DecimalText, nullable=False),
)
"""What has been approved for one purpose and not been released."""

credit_query = Table(
    "credit_query", metadata,
    Column("request", String(128), primary_key=True),
    Column("party", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("bureau", Integer, nullable=False),
    Column("message", String(128), index=True),
)
"""A decision being made: the request to be answered, which of the policy's bureaus is being asked, by which message."""

credit_decision = Table(
    "credit_decision", metadata,
    Column("id", String(64), primary_key=True),
    Column("party", String(64), nullable=False),
    Column("document", Text, nullable=False),
    Index("ix_credit_decision_party", "party"),
)
