"""How a conversation in a dialect runs: login, signs of life, correlation, timeouts. Declared here, driven by the adapters.

Times are seconds. The codec itself uses only `prompts` and `echo`; everything else tells the two sides of a connection what
to do and when. The texts of login steps may hold `{user}` and `{password}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Part(BaseModel):
    """A section of a dialect file: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(Part):
    """One step of a login by prompts: wait for the prompt, then send the text and a line end."""

    expect: str = Field(min_length=1, description="the prompt to wait for, as it stands at the start of a line")
    send: str = Field(default="", description="what to answer; {user} and {password} are filled in")


class Login(Part):
    """How to log in: by a command with two parameters, by prompts, or not at all (both empty)."""

    command: str = Field(default="", description="the command that logs in; empty: no login command")
    user: str = Field(default="", description="its parameter for the user's name (`1` for the first position)")
    secret: str = Field(default="", description="its parameter for the password")
    extra: Mapping[str, str] = Field(default={}, description="further parameters and their constant values (`HLRSN: \"1\"`)")
    tid: str = Field(default="", description="TL1: the target identifier of the login command")
    access: Literal["", "user"] = Field(default="", description="`user`: the user's name goes into TL1's aid, not into a parameter")
    dialogue: tuple[Step, ...] = Field(default=(), description="prompts to answer before any command (telnet login)")
    failed: tuple[str, ...] = Field(default=(), description="texts that say the login by prompts failed (`Login incorrect`)")
    attempts: int = Field(default=3, ge=1, le=100, description="refused logins in a row after which the lock-out guard stops trying")
    lockout: Seconds = Field(default=300.0, description="how long the lock-out guard waits then, so that the account is not locked")

    @model_validator(mode="after")
    def _parameters_named(self) -> Self:
        if self.command and not (self.secret and (self.user or self.access)):
            raise ValueError("a login command needs `user` (or `access: user`) and `secret`")
        return self


class Keepalive(Part):
    """How a client shows it is there, and notices that the peer is not."""

    send: Literal["none", "heartbeat", "command"] = Field(default="none",
                                                          description="the frame's heartbeat, a harmless command, or nothing")
    command: str = Field(default="", description="the whole command without terminator (`DSP VER:`), for `send: command`")
    interval: Seconds = Field(default=60.0, description="silence after which one is sent")
    misses: int = Field(default=3, ge=1, le=100, description="intervals without a sign of life after which the peer is dropped")
    skip_while_busy: bool = Field(default=True, description="send none while a command is outstanding")

    @model_validator(mode="after")
    def _command_given(self) -> Self:
        if (self.send == "command") != bool(self.command):
            raise ValueError("`command` is given with `send: command`, and only then")
        return self


class Session(Part):
    """A whole session, seen from the client; a server reads login, logout, prompts and greeting from it."""

    login: Login = Field(default=Login(), description="how to get in")
    logout: str = Field(default="", description="the command that logs out, sent before we close; empty: just close")
    prepare: tuple[str, ...] = Field(default=(), description="whole commands to send after the login (`REG NE:IP=\"10.0.0.1\"`)")
    keepalive: Keepalive = Field(default=Keepalive(), description="signs of life")
    connect_timeout: Seconds = Field(default=10.0, description="to open the connection")
    login_timeout: Seconds = Field(default=20.0, description="to be logged in, prompts included")
    command_timeout: Seconds = Field(default=30.0, description="from a command to its answer or first part")
    part_timeout: Seconds = Field(default=30.0, description="from one part of an answer to the next")
    idle_timeout: Seconds = Field(default=1800.0, description="server: silence after which a session is ended")
    part_rows: int = Field(default=0, ge=0, le=100_000, description="server: rows of tables in one part of an answer; 0: all in one")
    window: int = Field(default=1, ge=1, le=1024, description="commands that may be outstanding on one connection")
    correlation: Literal["order", "echo", "transaction", "ctag"] = Field(
        default="order", description="what tells which command an answer belongs to; `transaction` and `ctag` are Report.transaction")
    max_sessions: int = Field(default=1, ge=1, le=1024, description="connections a client may open to one peer (login slots are scarce)")
    telnet: bool = Field(default=False, description="the peer speaks telnet: negotiate, and strip it")
    echo: bool = Field(default=False, description="the peer echoes what it is sent; the codec drops the echo")
    prompts: tuple[str, ...] = Field(default=(),
                                     description="texts at the start of a line that mean the peer waits; the first is written by a server")
    prompt_written: bool = Field(default=True, description="server: the first prompt is written after each answer")
    greeting: str = Field(default="", description="server: text sent when a peer connects, before the first prompt")

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if self.window > 1 and self.correlation in ("order", "echo"):
            raise ValueError(f"a window above 1 needs correlation by transaction or ctag, not by {self.correlation}")
        return self

    @property
    def expected(self) -> tuple[str, ...]:
        """Every prompt the peer may show, those of the login included."""
        return tuple(dict.fromkeys([*self.prompts, *(s.expect for s in self.login.dialogue)]))
