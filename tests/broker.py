"""A virtual host of the test's own on the RabbitMQ at 127.0.0.1:5672, and a foreign client to talk to it: pika, blocking."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pika.exceptions
import pytest
from twisted.internet.threads import deferToThread

HOST = "127.0.0.1"
WAIT = 10


def url_of(vhost: str, port: int = 5672) -> str:
    return f"amqp://guest:guest@{HOST}:{port}/{vhost.replace('/', '%2F')}"


def _missing(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def rabbitmqctl(*arguments: str) -> None:
    subprocess.run(["rabbitmqctl", "-q", *arguments], check=True, capture_output=True, timeout=30)


@contextmanager
def vhost() -> Iterator[str]:
    """Yields the URL of a new virtual host."""
    try:
        pika.BlockingConnection(pika.URLParameters(url_of("/") + "?blocked_connection_timeout=2")).close()
    except (pika.exceptions.AMQPError, OSError):
        _missing(f"RabbitMQ at {HOST}:5672 does not answer")
    if shutil.which("rabbitmqctl") is None:
        _missing("rabbitmqctl, which makes the tests' virtual host, is not there")
    name = "uip_test_" + secrets.token_hex(4)
    rabbitmqctl("add_vhost", name)
    try:
        rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        yield url_of(name)
    finally:
        rabbitmqctl("delete_vhost", name)


class Foreign:
    """A client that knows nothing of us. Every method has a twin that runs in a thread: `await foreign.soon("ask", ...)`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.inbox = self.channel.queue_declare("", exclusive=True).method.queue

    def soon(self, method, *args, **kwargs):
        return deferToThread(getattr(self, method), *args, **kwargs)

    def publish(self, routing_key, body=b"{}", exchange="uip.requests", **properties):
        properties.setdefault("type", routing_key)
        body = body if isinstance(body, bytes) else body.encode()
        self.channel.basic_publish(exchange, routing_key, body, pika.BasicProperties(**properties), mandatory=True)

    def get(self, queue=None, wait=WAIT):
        """The next message of a queue as (properties, body), or None when none comes in time."""
        until = time.monotonic() + wait
        while True:
            method, properties, body = self.channel.basic_get(queue or self.inbox, auto_ack=True)
            if method is not None:
                return properties, body
            if time.monotonic() > until:
                return None
            self.connection.sleep(0.005)

    def ask(self, name, body=b"{}", **properties):
        """Send a request and return its answer."""
        properties.setdefault("correlation_id", secrets.token_hex(4))
        self.publish(name, body, reply_to=self.inbox, **properties)
        return self.get()

    def subscribe(self, exchange, routing_key):
        self.channel.queue_bind(self.inbox, exchange, routing_key)

    def delete(self, queue):
        self.channel.queue_delete(queue)

    def depth(self, queue):
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def close(self):
        if self.connection.is_open:
            self.connection.close()
