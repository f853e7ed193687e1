"""What uip.yaml may say of a SOAP listener."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from config.settings import Name, Part, Port, Seconds, Tls


class SoapListenerSettings(Part):
    """A port that serves the native contract at `path`, and partners' own contracts at other paths: `partners` maps each path to
    the protocol whose file serves it (its `serves:` and its `wsdl:`).

    `address` is the address partners reach us at, as the WSDL tells it (`https://soap.example.net/soap`); without one it is
    where a request for the WSDL was sent. `certificates` maps the common name of a peer's certificate to the party it
    proves (with `tls.authority` only). `reply_to` lists the beginnings of addresses an asynchronous answer may be sent to
    (WS-Addressing ReplyTo); none are allowed by default, or anyone could make the gateway call anything. Sizes are in
    bytes, times in seconds: `request_timeout` bounds a whole request's arrival, `idle_timeout` the silence between two.
    """

    host: str = "127.0.0.1"
    port: Port = 8000
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$")] = "/soap"
    partners: dict[Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$")], Name] = Field(default_factory=dict)
    address: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    tls: Tls | None = None
    certificates: dict[str, Name] = Field(default_factory=dict)
    reply_to: tuple[Annotated[str, Field(pattern=r"^https?://[^\s/?#]+/")], ...] = ()
    max_request: Annotated[int, Field(ge=1_000, le=100_000_000)] = 2_000_000
    max_connections: Annotated[int, Field(ge=1)] = 2_000
    request_timeout: Seconds = 20
    idle_timeout: Seconds = 60

    @model_validator(mode="after")
    def _one_contract_a_path(self) -> Self:
        if self.path in self.partners:
            raise ValueError(f"partners: {self.path} is the native contract's path")
        return self
