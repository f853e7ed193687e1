"""What uip.yaml may say. Everything here is checked before anything is bound or opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Part(BaseModel):
    """A section of an operator's file: unknown keys are refused, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(Part):
    """TLS of one listener or connector; paths are relative to the site's folder.

    A listener needs `certificate` and `key`; with `authority` it asks its peers for certificates of that authority (mutual
    TLS). A connector trusts `authority`, or the machine's own store without one, and shows `certificate` if it has one.
    """

    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    @model_validator(mode="after")
    def _in_pairs(self) -> Tls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key come together")
        return self


class Party(Part):
    """Who may ask: its name and secret, the operations it may call (`*` for all), and how many requests a second."""

    name: Name
    secret: SecretStr
    operations: tuple[str, ...] = ("*",)
    rate: Annotated[float, Field(gt=0)] | None = None


class Operator(Part):
    """Who may look at the console."""

    name: Name
    secret: SecretStr


class Limits(Part):
    """Every bound in one place. Times are in seconds."""

    max_in_flight: Annotated[int, Field(ge=1)] = 2_000
    max_sessions: Annotated[int, Field(ge=1)] = 10_000
    max_login_tries: Annotated[int, Field(ge=1)] = 5
    login_timeout: Seconds = 30
    idle_timeout: Seconds = 900
    request_deadline: Seconds = 30
    drain_timeout: Seconds = 20


def _days(value: Any) -> int | None:
    if value == "never":
        return None
    if type(value) is int and 7 <= value <= 36_500:
        return value
    raise ValueError("must be whole days, 7 or more, or `never`")


Days = Annotated[int | None, BeforeValidator(_days)]
"""At least a week of days, for that is how long any asker may try again; None for ever."""


class Retention(Part):
    """After how many days what is done with is removed (`never`: it stays).

    `journal`: what parties asked and were answered. A request's idempotency key is kept as long as its row: after that, the
    same key is a new request. `messages`: what the cores told each other about it, events too. `dead`: messages given up, which
    `uip replay` can send again until then. Nothing goes that is still to be answered or delivered.

    A sweep every so many hours removes at most `rows` in one transaction, with a pause of so many seconds after each.
    """

    journal: Days = 400
    messages: Days = 30
    dead: Days = 90
    every: Annotated[float, Field(gt=0, le=24 * 31)] = 24
    rows: Annotated[int, Field(ge=1, le=10_000)] = 100
    pause: Seconds = 0.1


def parse_database_url(text: str) -> URL:
    """Parse the URL of a database that a gateway can use. Raises ValueError saying which those are."""
    from sqlalchemy.engine import make_url  # slow to load, and not every command has to do with a site
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
        kind = url.get_backend_name()
    except (ArgumentError, ValueError):
        kind = ""
    if kind == "postgresql" or (kind == "sqlite" and url.database and url.database != ":memory:"):
        return url
    raise ValueError("must be sqlite:///FILE or postgresql://USER@HOST/NAME")


def _known_database(text: str) -> str:
    parse_database_url(text)
    return text


class Database(Part):
    """SQLAlchemy's URL: `sqlite:///data/uip.db` (relative to the site's folder) or `postgresql://user@host/name`."""

    url: Annotated[str, AfterValidator(_known_database)] = "sqlite:///data/uip.db"
    retention: Retention = Retention()


class Console(Part):
    """Where operators look: the status page, /health, /ready and /metrics."""

    host: str = "127.0.0.1"
    port: Port = 8001


class Log(Part):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Part):
    """The whole of uip.yaml. Sections of `listeners` and `connectors` are checked by the adapter they name.

    A section `amqp` with a broker's `url` stands for `listeners.amqp`, the native listener; one `bus` with a `url` lets several
    processes share the work (`uip serve --role`).
    """

    parties: tuple[Party, ...] = ()
    operators: tuple[Operator, ...] = ()
    limits: Limits = Limits()
    database: Database = Database()
    console: Console = Console()
    log: Log = Log()
    listeners: dict[Name, dict[str, Any]] = Field(min_length=1, repr=False)
    connectors: dict[Name, dict[str, Any]] = Field(default_factory=dict, repr=False)
    bus: dict[str, Any] | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        for what, names in (("parties", [p.name for p in self.parties]), ("operators", [o.name for o in self.operators])):
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: a name stands twice")
        return self
