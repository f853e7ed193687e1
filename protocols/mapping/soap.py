"""What a protocol file says of a system that speaks SOAP, beside its `wsdl:`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, WithJsonSchema, model_validator

from protocols.mapping.engine import SourceText, Template, look_up, path_of, text_of
from protocols.mapping.fields import FieldMap
from protocols.mapping.operations import Message
from protocols.mapping.reading import Fields


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Sources = Annotated[tuple[SourceText, ...], BeforeValidator(_listed), WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SoapSession(_Part):
    """A session that is carried in headers: log in, keep what the login's reply gives, show it with every request.

    Codes of the class `sessionLost` mean that the session is gone: then a new one is begun and the request is sent again, once,
    since the peer has refused it. The simulator reads the same section the other way round.
    """

    login: Message = Field(description="the operation that logs in; its fields see `user` and `secret`")
    keep: Mapping[str, SourceText] = Field(min_length=1, description="what is kept of the login's reply, by name: `$fields.sessionId`, "
                                           "`$headers.SessionId`; the first is what the session is known by")
    sequence: SourceText | None = Field(default=None, description="where the login's reply has the number of the first request; "
                                        "each request counts one further")
    headers: Mapping[str, FieldMap] = Field(min_length=1, description="header elements of every request; they see `session` (what is "
                                            "kept) and `sequence`")
    logout: Message | None = Field(default=None, description="the operation that ends the session; its fields see `session`")
    _keep: dict[str, Template] = PrivateAttr()
    _headers: Fields = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._keep = {name: Template(source) for name, source in self.keep.items()}
        self._headers = Fields(self.headers)
        return self

    def begun(self, reply: Mapping[str, Any]) -> dict[str, Any] | None:
        """What is kept of a login's reply, None where it lacks something."""
        kept = {name: template.fill(reply) for name, template in self._keep.items()}
        return None if None in kept.values() else kept

    def first_number(self, reply: Mapping[str, Any]) -> int:
        """The sequence number of the first request."""
        found = Template(self.sequence).fill(reply) if self.sequence is not None else None
        text = "" if found is None else text_of(found).strip()
        return int(text) if text.isdecimal() else 1

    def shown(self, kept: Mapping[str, Any], sequence: int) -> dict[str, Any]:
        """The headers of a request. Raises MappingError."""
        return self._headers.apply({"session": kept, "sequence": sequence})

    # The other way round: what a simulated system reads and says.

    def credentials(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        """The user and the secret in a login's fields, empty where they are not."""
        return _read(self.login.fields, "$user", fields), _read(self.login.fields, "$secret", fields)

    def granted(self, name: str, sequence: int) -> dict[str, Any]:
        """Where a login's reply has what is kept and the first number: templates and their values, all kept values being `name`."""
        places: dict[str, Any] = dict.fromkeys(self.keep.values(), name)
        return places if self.sequence is None else {**places, self.sequence: sequence}

    def named(self, headers: Mapping[str, Any]) -> str:
        """The session that a request's headers name, empty where they name none."""
        return _read(self.headers, f"$session.{next(iter(self.keep))}", headers)

    def numbered(self, headers: Mapping[str, Any]) -> str | None:
        """The sequence number in a request's headers, as text; None where none is asked for."""
        return _read(self.headers, "$sequence", headers) if any(f.source == "$sequence" for f in self.headers.values()) else None


def _read(fields: Mapping[str, FieldMap], source: str, data: Mapping[str, Any]) -> str:
    """The value of the field that is made of `source`."""
    for target, field in fields.items():
        if field.source == source:
            found = look_up(data, path_of(target))
            return "" if found is None else text_of(found)
    return ""


class Soap(_Part):
    """Which port of which service of the WSDL is meant, and how its answers are read.

    `fault_code` and `fault_text` see a fault's detail elements by name (`$InquiryFault.code`); of several templates the first
    that finds something is taken, and SOAP's own code and reason where none does.
    """

    service: str | None = Field(default=None, description="the service in the WSDL; the first one without it")
    port: str | None = Field(default=None, description="its port; the first one with a SOAP binding without it")
    strict: bool = Field(default=False, description="replies that hold more than the contract says are refused")
    validate_messages: bool = Field(default=True, alias="validate", description="what is sent and what is served is checked against the "
                                    "schema; a contract whose schema is not sound may need false")
    fault_code: Sources = Field(default=(), description="where a fault has its code")
    fault_text: Sources = Field(default=(), description="where a fault has its text")
    headers: Mapping[str, FieldMap] = Field(default={}, description="header elements of every request, for partners that want a name and "
                                            "a password of their own making there, or to be told the message's name; they see `user`, "
                                            "`secret`, `now`, `stamp` (the time in fourteen digits) and `command`. The simulator reads its "
                                            "users' names and passwords there too")
    reply_headers: Mapping[str, FieldMap] = Field(default={}, description="header elements of the answers that we give, where the contract "
                                                  "has them; they see `headers` (the request's), `now` and `command`")
    session: SoapSession | None = Field(default=None, description="a session carried in headers")
    attachments: bool = Field(default=False, description="binary values are sent as attachments (MTOM); those that come are always "
                              "taken")
    _code: tuple[Template, ...] = PrivateAttr()
    _text: tuple[Template, ...] = PrivateAttr()
    _headers: Fields = PrivateAttr()
    _reply_headers: Fields = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._headers, self._reply_headers = Fields(self.headers), Fields(self.reply_headers)
        self._code, self._text = (tuple(Template(s) for s in sources) for sources in (self.fault_code, self.fault_text))
        return self

    @property
    def proves(self) -> bool:
        """Whether the protocol itself carries the user's name or secret: in a session's login, or in headers."""
        return self.session is not None or any(path[0] in ("user", "secret") for field in self.headers.values()
                                               for template in field.templates() for path in template.paths)

    def shown(self, user: str, secret: str, now: datetime, command: str) -> dict[str, Any]:
        """The headers of a request of this name. Raises MappingError."""
        seen = {"user": user, "secret": secret, "now": now.isoformat(), "stamp": f"{now:%Y%m%d%H%M%S}", "command": command}
        return self._headers.apply(seen) if self.headers else {}

    def answered(self, headers: Mapping[str, Any], now: datetime, command: str) -> dict[str, Any]:
        """The headers of the answer to a request with these headers. Raises MappingError."""
        return self._reply_headers.apply({"headers": headers, "now": now.isoformat(), "command": command}) if self.reply_headers else {}

    def credentials(self, headers: Mapping[str, Any]) -> tuple[str, str]:
        """The other way round: the user and the secret in a request's headers, empty where they are not."""
        return _read(self.headers, "$user", headers), _read(self.headers, "$secret", headers)

    def fault(self, code: str, text: str, details: Mapping[str, Any]) -> tuple[str, str]:
        """A fault's code and text: the partner's own where its details have them, else SOAP's."""
        return _first(self._code, details, code), _first(self._text, details, text)


def _first(templates: tuple[Template, ...], data: Mapping[str, Any], otherwise: str) -> str:
    found = next((value for template in templates if (value := template.fill(data)) not in (None, "")), None)
    return otherwise if found is None else text_of(found)
