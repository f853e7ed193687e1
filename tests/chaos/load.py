"""Orders with known keys, sent by clients that do what clients must: ask again, with the same key, until they are answered."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pika
import pika.exceptions

from tests.end_to_end.running import MmlClient, element, field, retcode, soap, submit_body

_WAIT = 10.0
_PAUSE = 0.1


class Again(Exception):
    """No answer, or 'later': the same may be asked again."""


class Refused(Exception):
    """An answer that asking again does not change."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a load; everything about it follows from its number. Its element's habits follow from `ending`."""

    number: int
    ending: str = "000"

    @property
    def key(self) -> str:
        return f"X-{self.number}"

    @property
    def customer(self) -> str:
        return f"CX{self.number}"

    @property
    def imsi(self) -> str:
        return f"24001{self.number:07}{self.ending}"


class BySoap:
    def __init__(self, port: int) -> None:
        self._port = port

    def submit(self, order: Order) -> str:
        try:
            status, answer = soap(self._port, submit_body(order.key, customer=order.customer, IMSI=order.imsi), key=order.key)
        except (OSError, http.client.HTTPException) as error:
            raise Again(type(error).__name__) from None
        if status == 200:
            return element(answer, "id")
        code = element(answer, "faultcode")
        raise (Again if ":Server." in code or code.startswith("Server.") else Refused)(code.rpartition(":")[2])

    def close(self) -> None:
        """Each request has a connection of its own."""


class ByMml:
    def __init__(self, port: int) -> None:
        self._port = port
        self._client: MmlClient | None = None

    def submit(self, order: Order) -> str:
        try:
            answer = self._connected().ask(f'ADD ORDER:EXTID="{order.key}",CUSTID="{order.customer}",CUSTNAME="Ann Lee",'
                                           f'OFFER="mobile-basic",IMSI="{order.imsi}",MSGID="{order.key}";')
        except (OSError, AssertionError) as error:
            self.close()
            raise Again(type(error).__name__) from None
        if (code := retcode(answer)) == 0:
            return field(answer, "id")
        raise (Again if code >= 2000 else Refused)(str(code))

    def _connected(self) -> MmlClient:
        if self._client is None:
            self._client = MmlClient(self._port)
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class ByAmqp:
    """pika, blocking: publishes with confirms and `mandatory`, and waits for the answer in a queue of its own."""

    def __init__(self, url: str) -> None:
        self._parameters = pika.URLParameters(url + "?heartbeat=5&blocked_connection_timeout=10&socket_timeout=3")
        self._connection: Any = None

    def submit(self, order: Order) -> str:
        body = {"externalId": order.key, "relatedParty": {"id": order.customer, "name": "Ann Lee", "role": "customer"},
                "productOrderItem": [{"id": "1", "action": "add", "quantity": 1, "productOffering": "mobile-basic",
                                      "productCharacteristic": [{"name": "IMSI", "value": order.imsi}]}]}
        try:
            if self._connection is None:
                self._connection = pika.BlockingConnection(self._parameters)
                self._channel = self._connection.channel()
                self._channel.confirm_delivery()
                self._inbox = self._channel.queue_declare("", exclusive=True).method.queue
            self._channel.basic_publish("uip.requests", "SubmitProductOrder", json.dumps(body).encode(), pika.BasicProperties(
                type="SubmitProductOrder", message_id=order.key, correlation_id=order.key, reply_to=self._inbox, delivery_mode=2),
                mandatory=True)
            kind, reply = self._answer(order.key)
        except (pika.exceptions.AMQPError, OSError) as error:
            self.close()
            raise Again(type(error).__name__) from None
        if kind == "ProductOrder":
            return str(reply["id"])
        raise (Again if reply.get("code") in {"busy", "timeout", "unavailable", "internal"} else Refused)(str(reply.get("code")))

    def _answer(self, correlation_id: str) -> tuple[str, dict[str, Any]]:
        end = time.monotonic() + _WAIT
        while time.monotonic() < end:
            method, properties, body = self._channel.basic_get(self._inbox, auto_ack=True)
            if method is None:
                self._connection.sleep(0.02)
            elif properties.correlation_id == correlation_id:
                return properties.type, json.loads(body)
        raise Again("no answer")

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(Exception):
                connection.close()


class Load:
    """Sends `orders`, evenly over `seconds`, one thread for each of `clients`. What was answered is in `answered`, by key."""

    def __init__(self, orders: Iterable[Order], seconds: float, clients: Iterable[Callable[[], Any]]) -> None:
        self.orders = list(orders)
        self.answered: dict[str, set[str]] = {order.key: set() for order in self.orders}
        self.refused: dict[str, str] = {}
        self.again: Counter[str] = Counter()
        self._left: queue.SimpleQueue[Order] = queue.SimpleQueue()
        for order in self.orders:
            self._left.put(order)
        makers = list(clients)
        self._pace = seconds * len(makers) / max(1, len(self.orders))
        self._given_up = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(make,), daemon=True) for make in makers]

    @property
    def acknowledged(self) -> int:
        return sum(1 for ids in self.answered.values() if ids)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> None:
        """Wait until everything is answered; what is not by then is never asked again."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._given_up.set()
        for thread in self._threads:
            thread.join(_WAIT + 10)

    def _work(self, make: Callable[[], Any]) -> None:
        client = make()
        due = time.monotonic()
        while not self._given_up.is_set():
            try:
                order = self._left.get_nowait()
            except queue.Empty:
                break
            due = max(due + self._pace, time.monotonic())
            self._given_up.wait(max(0.0, due - time.monotonic()))
            self.submit(client, order)
        client.close()

    def submit(self, client: Any, order: Order) -> None:
        """Ask until there is an answer."""
        while not self._given_up.is_set():
            try:
                self.answered[order.key].add(client.submit(order))
                return
            except Again as error:
                self.again[str(error)] += 1
                self._given_up.wait(_PAUSE)
            except Refused as error:
                self.refused[order.key] = str(error)
                return
            except Exception as error:  # a thread must not die unseen
                self.refused[order.key] = repr(error)
                return
