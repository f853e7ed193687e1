"""What the monitor core keeps: one row for each alarm of each source, the newest that was raised under that name."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, MetaData, String, Table, Text

metadata = MetaData()

alarm = Table(
    "alarm", metadata,
    Column("source", String(64), primary_key=True),
    Column("which", String(64), primary_key=True),  # a digest of what tells it from the source's others
    Column("id", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("severity", String(32), nullable=False),
    Column("raised", DateTime(timezone=True), nullable=False),
    Column("reported", DateTime(timezone=True)),  # the newest report's time by the source's clock, where it tells one
    Column("document", Text, nullable=False),
    Index("alarm_id", "id", unique=True),
    Index("alarm_state", "state", "source"),
)
