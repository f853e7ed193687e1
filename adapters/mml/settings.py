"""What uip.yaml says of an MML listener or connector."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from config.settings import Name, Part, Port, Seconds, Tls


class ListenerSettings(Part):
    """A port that speaks one dialect. With `protocol`, the commands are those that the file serves, in the file's dialect; without it
    they are the native ones.

    `window` bounds the commands taken from a peer and not yet answered; beyond it the peer is not read. `write_timeout` is how
    long a peer may leave its answers unread before it is cut off. `currency` is that of an amount which comes without one.
    `sessions_per_user` bounds how many sessions one party may have here at once; `another_login` says whether one more is
    refused (with 2001, busy) or replaces the oldest.
    """

    host: str = "127.0.0.1"
    port: Port = 7776
    tls: Tls | None = None
    dialect: Name = "huawei-text"
    protocol: Name | None = None
    window: Annotated[int, Field(ge=1, le=1024)] = 16
    write_timeout: Seconds = 30
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    sessions_per_user: Annotated[int, Field(ge=1, le=100_000)] | None = None
    another_login: Literal["refused", "replaces"] = "refused"

    @model_validator(mode="after")
    def _one_dialect(self) -> ListenerSettings:
        if self.protocol is not None and "dialect" in self.model_fields_set:
            raise ValueError("the protocol's file names the dialect")
        return self


class ConnectorSettings(Part):
    """A peer that is driven as a protocol file says.

    `user` and `secret` log in, where the dialect has a login and they are given. `sessions` is how many connections are kept;
    `login_slots` how many sessions the account may have in all, whoever uses it, in whatever process that shares our database
    (without it, in each process: what the dialect says, or `sessions` when that is more). `heartbeat` and `misses` take the
    place of the dialect's keepalive interval and misses, `connect_timeout` of its own. `reconnect_from` and `reconnect_to`
    are the shortest and the longest pause before connecting again.
    """

    protocol: Name
    host: str = "127.0.0.1"
    port: Port
    tls: Tls | None = None
    user: str | None = None
    secret: SecretStr | None = None
    sessions: Annotated[int, Field(ge=1, le=64)] = 1
    login_slots: Annotated[int, Field(ge=1, le=1024)] | None = None
    connect_timeout: Seconds | None = None
    heartbeat: Seconds | None = None
    misses: Annotated[int, Field(ge=1, le=100)] | None = None
    reconnect_from: Seconds = 0.2
    reconnect_to: Seconds = 30

    @model_validator(mode="after")
    def _in_pairs(self) -> ConnectorSettings:
        if (self.user is None) != (self.secret is None):
            raise ValueError("user and secret come together")
        return self
