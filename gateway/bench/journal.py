"""What a gateway's work costs as its journal grows: a database filled with what years of orders leave, then measured.

The rows are what the gateway itself would have written: one order in five messages, with its stored reply and a random
idempotency key; the others are what the cores told each other about it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, select, text

from adapters.store import migrations
from adapters.store.engine import open_engine
from adapters.store.inserting import insert_rows
from adapters.store.tables import inbox, milliseconds
from core.messages.base import Characteristic, RelatedParty, StateChange, as_json
from core.messages.envelope import Envelope
from core.orders.objects import (
    ItemAction,
    ProductOrder,
    ProductOrderCreateEvent,
    ProductOrderItem,
    ProductOrderItemRequest,
    ProductOrderState,
    StartProductOrder,
    SubmitProductOrder,
)
from core.orders.tables import product_order
from gateway.bench.exchanges import MmlGet, MmlSubmit
from gateway.bench.processes import cpu_seconds
from gateway.bench.report import Row
from gateway.bench.run import Plan, Target, by, measured, own_gateway

PER_ORDER = 5
"""Journal rows that one order makes here; the first holds the request and its reply."""

_PARTY = "crm"
_ID, _EXTERNAL, _KEY = "@ORDER@", "@EXTERNAL@", "@KEY@"
_CHUNK = 20_000
_EVERY_MS = 20
"""How far apart the rows' times are."""
_STRIDE = 7_919
"""A prime: steps of it come to every number before any comes again."""
_DIGITS = 20
_MOST = 10**9
_EPOCH = milliseconds(datetime(2020, 1, 1, tzinfo=UTC))


def order_id(number: int) -> str:
    """Return the id of the filled order of that number (from 0); it sorts by time as the gateway's own do."""
    return f"PO{_EPOCH + number * PER_ORDER * _EVERY_MS:012x}{number:0{_DIGITS}x}"


@dataclass(frozen=True, slots=True)
class _Template:
    """A journal row of one kind, with marks where each row differs."""

    address: str
    type: str
    envelope: str
    reply_type: str | None = None
    reply: str | None = None


def _templates() -> tuple[str, list[_Template]]:
    """Return an order's document, and the rows it leaves in the journal."""
    then = datetime(2020, 1, 1, tzinfo=UTC)
    party = RelatedParty(id="C-1000234", name="Ann Lee")
    characteristics = tuple(Characteristic(name=n, value=v) for n, v in (("TELESERVICES", "basic"), ("SUPPLEMENTARY", "standard")))
    request = SubmitProductOrder(
        externalId=_EXTERNAL, relatedParty=party, account="ACC-1000234", note="Filled in by the bench",
        productOrderItem=(ProductOrderItemRequest(id="1", action=ItemAction.ADD, quantity=1, productOffering="mobile-basic",
                                                  productCharacteristic=characteristics),))
    order = ProductOrder(
        id=_ID, href=f"/productOrderingManagement/v4/productOrder/{_ID}", state=ProductOrderState.ACKNOWLEDGED, orderDate=then,
        externalId=_EXTERNAL, relatedParty=party, account=request.account, note=request.note,
        productOrderItem=(ProductOrderItem(id="1", action=ItemAction.ADD, quantity=1, productOffering="mobile-basic",
                                           productCharacteristic=characteristics, state=ProductOrderState.ACKNOWLEDGED),),
        stateChange=(StateChange(state=ProductOrderState.ACKNOWLEDGED, changeDate=then),))

    def row(address: str, body: Any, reply: Any = None, key: str | None = None) -> _Template:
        envelope = Envelope(body=body, message_id=_ID, correlation_id=_ID, occurred_at=then, party=_PARTY, session="mml-1",
                            causation_id=None if key else _ID, idempotency_key=key, key=_ID)
        return _Template(address, envelope.type, envelope.to_json().decode(), type(reply).__name__ if reply else None,
                         as_json(reply) if reply else None)

    rows = [row("orders", request, order, _KEY)]
    inside = [row("credit", StartProductOrder(productOrder=_ID)), row("orders", StartProductOrder(productOrder=_ID)),
              row("billing", ProductOrderCreateEvent(productOrder=order)), row("provisioning", StartProductOrder(productOrder=_ID))]
    return as_json(order), rows + inside[:PER_ORDER - 1]


def _orders(first: int, until: int) -> Iterator[tuple[Mapping[str, Any], list[Mapping[str, Any]]]]:
    """Make orders and their journal rows."""
    document, templates = _templates()
    for number in range(first, until):
        order, external, key = order_id(number), f"FILLED-{number}", secrets.token_hex(16)

        def filled(template: str, order: str = order, external: str = external, key: str = key) -> str:
            return template.replace(_ID, order).replace(_EXTERNAL, external).replace(_KEY, key)

        rows: list[Mapping[str, Any]] = []
        for at, t in enumerate(templates):
            ms = _EPOCH + (number * PER_ORDER + at) * _EVERY_MS
            rows.append({
                "address": t.address, "message_id": f"{ms:012x}{at:04x}{number:016x}", "correlation_id": order, "party": _PARTY,
                "idempotency_key": None if at else key, "session": "mml-1", "type": t.type, "envelope": filled(t.envelope),
                "received": ms, "pending": False, "reply_type": t.reply_type, "reply": filled(t.reply) if t.reply else None})
        yield {"id": order, "party": _PARTY, "external_id": external, "state": "acknowledged", "document": filled(document),
               "pending_cancel": None}, rows


def fill(url: str, rows: int, told: Callable[[int], None] = lambda _: None) -> None:
    """Bring the journal of a database to that many rows, making its tables where there are none.

    Raises ValueError for a database of another kind, and for one with orders that are not the bench's.
    """
    engine = open_engine(url)
    try:
        migrations.upgrade(engine)
        newest = select(func.max(product_order.c.id)).where(product_order.c.id < order_id(_MOST))
        with engine.connect() as connection:
            last = connection.execute(newest).scalar()
            if last is None and connection.execute(select(product_order.c.id).limit(1)).first() is not None:
                raise ValueError(f"{engine.url.render_as_string()} has orders of its own; the bench fills an empty database")
        orders = int(last[-_DIGITS:], 16) + 1 if last else 0
        while orders * PER_ORDER < rows:
            until = min(orders + _CHUNK // PER_ORDER, -(-rows // PER_ORDER))
            made = list(_orders(orders, until))
            _write(engine, {product_order: [o for o, _ in made], inbox: [r for _, of in made for r in of]})
            orders = until
            told(orders * PER_ORDER)
        _settle(engine)
    finally:
        engine.dispose()


def _write(engine: Engine, rows: Mapping[Table, list[Mapping[str, Any]]]) -> None:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("ROLLBACK")  # a pragma is taken outside a transaction only
            connection.exec_driver_sql("PRAGMA synchronous=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        for table, of in rows.items():
            _copy(connection, table, of) if engine.dialect.name == "postgresql" else insert_rows(connection, table, of)
        driver: Any = connection.connection.driver_connection
        driver.commit()  # SQLAlchemy does not know of what was copied


def _settle(engine: Engine) -> None:
    """Do now what would disturb the measuring: bring everything to the disk, and gather the planner's figures."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            os.sync()
        else:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("VACUUM ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")


def _copy(connection: Connection, table: Table, rows: list[Mapping[str, Any]]) -> None:
    driver: Any = connection.connection.driver_connection
    names = list(rows[0])
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([row[name] for name in names])


def size(url: str) -> int:
    """Return how many bytes the database has on its disk."""
    engine = open_engine(url)
    try:
        if engine.dialect.name == "sqlite":
            file = Path(str(engine.url.database))
            return sum(f.stat().st_size for f in file.parent.glob(file.name + "*"))
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    finally:
        engine.dispose()


def database_cpu(url: str) -> Callable[[], float] | None:
    """Return what reads the processor time of a database server on this machine for this database; None for SQLite, whose time is
    the gateway's. A server whose processes cannot be seen from here counts 0.
    """
    engine = open_engine(url)
    if engine.dialect.name == "sqlite":
        engine.dispose()
        return None

    def read() -> float:
        with engine.connect() as connection:
            pids = connection.execute(text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
                                           "pg_backend_pid()")).scalars().all()
        total = 0.0
        for pid in pids:
            with suppress(OSError):
                total += cpu_seconds(pid)
        return total

    return read


def loads(target: Target, orders: int, plan: Plan, rows: int, server: Callable[[], float] | None) -> Iterator[Row]:
    """Measure over MML, the protocol that costs least beside the store: orders with a random key, the same keys again, and
    orders read from all over the journal.
    """
    assert target.mml is not None
    first = secrets.randbits(40) * 10_000_000  # keys and external ids that no run before has used
    submit = KeyedSubmit(*target.party, first=first)
    for name, exchange in (("submit", submit), ("repeat", Repeat(submit)), ("get", GetAny(*target.party, orders=orders))):
        yield measured(f"{rows:,} rows: {name}", target.pid, plan, by(target.mml, exchange), server)


class KeyedSubmit(MmlSubmit):
    """ADD ORDER with a random idempotency key, as clients make them; the same number has the same key."""

    def __init__(self, user: str, secret: str, *, first: int) -> None:
        super().__init__(user, secret)
        self._first = first
        self.most = 0

    def request(self, number: int) -> bytes:
        """The order of that number."""
        self.most = max(self.most, number)
        number += self._first
        key = blake2b(str(number).encode(), digest_size=16).hexdigest()
        return super().request(number).replace(b";\r\n", f',MSGID="{key}";\r\n'.encode())


class Repeat(MmlSubmit):
    """Orders that have been sent before, with their keys, in no order."""

    def __init__(self, before: KeyedSubmit) -> None:
        super().__init__(before.user, before.secret)
        self._before = before

    def request(self, number: int) -> bytes:
        """One of the earlier requests."""
        return self._before.request(number * _STRIDE % (self._before.most + 1))


class GetAny(MmlGet):
    """LST ORDER of filled orders, in no order."""

    def __init__(self, user: str, secret: str, *, orders: int) -> None:
        super().__init__(user, secret)
        self._orders = orders

    def request(self, number: int) -> bytes:
        """One of them."""
        self.order = order_id(number * _STRIDE % self._orders)
        return super().request(number)


@contextmanager
def journal_of(url: str | None) -> Iterator[str]:
    """Give the database's URL; without one, that of a SQLite file that is removed afterwards."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="uip-bench-") as folder:
        yield f"sqlite:///{folder}/uip.db"


def growing(url: str, sizes: Sequence[int], plan: Plan, told: Callable[[str], None]) -> Iterator[Row]:
    """Fill the database to each size, the smallest first, and measure a gateway of our own on it each time."""
    server = database_cpu(url)
    for rows in sorted(sizes):
        fill(url, rows)
        told(f"{rows:,} rows in the journal: {size(url) / 1e9:.2f} GB")
        with own_gateway(None, url) as target:
            yield from loads(target, max(rows // PER_ORDER, 1), plan, rows, server)
