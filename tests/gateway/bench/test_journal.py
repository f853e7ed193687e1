from __future__ import annotations

import re

import pytest
from sqlalchemy import func, select, update

from adapters.store.engine import open_engine
from adapters.store.tables import inbox
from core.messages.catalogue import Catalogue
from core.messages.envelope import Envelope
from core.orders.tables import product_order
from gateway.bench.journal import PER_ORDER, GetAny, KeyedSubmit, Repeat, fill, order_id
from gateway.commands.bench import add_arguments
from tests.adapters.store.conftest import url

__all__ = ["url"]


def rows(url):
    engine = open_engine(url)
    with engine.connect() as connection:
        found = connection.execute(select(inbox).order_by(inbox.c.seq)).all()
        orders = connection.execute(select(product_order.c.id).order_by(product_order.c.id)).scalars().all()
        counted = connection.execute(select(func.count(inbox.c.idempotency_key.distinct()))).scalar()
    engine.dispose()
    return found, orders, counted


def test_a_filled_journal_is_one_the_gateway_could_have_written(url):
    fill(url, 50)
    fill(url, 120)  # goes on from there
    found, orders, keys = rows(url)
    assert len(found) == 120
    assert orders == [order_id(n) for n in range(120 // PER_ORDER)]
    assert keys == len(orders)
    models = Catalogue(["SubmitProductOrder"]).model
    for row in found:
        envelope = Envelope.from_json(row.envelope, models)
        assert envelope.to_json().decode() == row.envelope
        assert row.reply is None or models(row.reply_type).model_validate_json(row.reply).id in orders
    assert [row.received for row in found] == sorted(row.received for row in found)


def test_a_database_with_orders_of_its_own_is_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path}/uip.db"
    fill(url, 5)
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(update(product_order).values(id="PO01a20d60df484ad53153e1044af02f81"))
    engine.dispose()
    with pytest.raises(ValueError, match="has orders of its own"):
        fill(url, 10)
    assert len(rows(url)[0]) == 5


def test_the_loads_are_what_they_say():
    submit = KeyedSubmit("crm", "s", first=1000)
    sent = [submit.request(n) for n in range(10)]
    keys = [re.search(rb'MSGID="(\w{32})"', request)[1] for request in sent]
    assert len(set(keys)) == 10
    repeat = Repeat(submit)
    assert {repeat.request(n) for n in range(10)} == set(sent)
    get = GetAny("crm", "s", orders=7)
    assert {get.request(n) for n in range(7)} == {f'LST ORDER:ORDERID="{order_id(n)}";\r\n'.encode() for n in range(7)}


def test_sizes_are_numbers(capsys):
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args(["--journal-rows", "10,20"]).journal_rows == [10, 20]
    with pytest.raises(SystemExit):
        parser.parse_args(["--journal-rows", "10,many"])
    assert "10,many: allowed are whole numbers from 1, with commas between" in capsys.readouterr().err
