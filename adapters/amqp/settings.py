"""What uip.yaml may say of a broker, and of the native listener."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from config.settings import Name, Part, Seconds, Tls

_PORTS = {"amqp": 5672, "amqps": 5671}
ShortName = Annotated[str, Field(min_length=1, max_length=127, pattern=r"^[A-Za-z0-9._:/-]+$")]


@dataclass(frozen=True, slots=True)
class Url:
    """An AMQP URI (RabbitMQ's AMQP URI specification) taken apart. Its text form leaves the password out."""

    secure: bool
    host: str
    port: int
    user: str
    vhost: str
    password: str

    def __str__(self) -> str:
        return f"{'amqps' if self.secure else 'amqp'}://{self.user}@{self.host}:{self.port}/{self.vhost.removeprefix('/')}"

    def __repr__(self) -> str:
        return f"Url({self})"


def parse_url(text: str) -> Url:
    """Take an AMQP URI apart. Raises ValueError, whose text never shows the URI: it holds a password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("not an AMQP URI: amqp://user:password@host:port/vhost") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or "/" in parts.path[1:]:
        raise ValueError("not an AMQP URI: amqp://user:password@host:port/vhost (or amqps), a slash in the vhost written %2F")
    return Url(parts.scheme == "amqps", parts.hostname, port or _PORTS[parts.scheme], unquote(parts.username or "guest"),
               unquote(parts.path[1:]) or "/", unquote(parts.password or "guest"))


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


class BrokerSettings(Part):
    """How to reach a broker. With several URLs the next one is tried when one fails. Times are in seconds.

    `heartbeat` bounds how long a dead connection goes unnoticed (twice it and ten seconds; a consumer's `watch` is quicker),
    `confirm_timeout` how long the broker may take for a confirm or any other answer, `watch` how often an idle consumer
    proves that it still consumes, `proof` how long that may take.
    `window` is how many publishes may be without a confirm.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # it holds a password

    url: Annotated[tuple[SecretStr, ...], BeforeValidator(_several), Field(min_length=1)]
    tls: Tls | None = None
    heartbeat: Annotated[int, Field(ge=1, le=600)] = 10
    connect_timeout: Seconds = 10
    confirm_timeout: Seconds = 10
    watch: Seconds = 10
    proof: Seconds = 5
    retry_first: Seconds = 0.2
    retry_longest: Seconds = 15
    window: Annotated[int, Field(ge=1, le=65_535)] = 1_000

    @field_validator("url")
    @classmethod
    def _readable(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for url in urls:
            parse_url(url.get_secret_value())
        return urls

    @property
    def urls(self) -> tuple[Url, ...]:
        """The URLs taken apart."""
        return tuple(parse_url(url.get_secret_value()) for url in self.url)


class ListenerSettings(BrokerSettings):
    """A listener: requests from `requests`, events on `events`, what cannot be answered in queue `dead`. With `protocol`, the
    messages are those of a foreign system, taken from the queue its file names and read as the file says.

    `requests` is the name of an exchange and of the queue bound to it. A message whose sender the broker vouches for (its
    `user_id`) is that party's, if there is such a party; others are `party`'s, and refused without one. `prefetch` bounds
    the requests in hand at one time. A request that nobody waits for is tried `attempts` times, with growing delay, before
    it is dead. `start_timeout` bounds how long the start of the gateway waits for the broker. With `declare: false` the
    broker's operator has made exchanges, queues and binding, and they are used as they are.
    """

    protocol: Name | None = None
    party: Name | None = None
    requests: ShortName = "uip.requests"
    events: ShortName = "uip.events"
    dead: ShortName = "uip.dead"
    prefetch: Annotated[int, Field(ge=1, le=65_535)] = 500
    max_message_bytes: Annotated[int, Field(ge=1, le=128 * 1024 * 1024)] = 1024 * 1024
    attempts: Annotated[int, Field(ge=1, le=100)] = 8
    start_timeout: Seconds = 5
    declare: bool = True


class ConnectorSettings(BrokerSettings):
    """A way out to a foreign system behind a broker, as the file of `protocol` says."""

    protocol: Name
