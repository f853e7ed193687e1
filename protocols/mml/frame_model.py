"""A frame with a length, a header of fixed-width fields, a padded body and a checksum: every field declared."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from protocols.mml.session import Part

SOURCES = ("session", "dialogue", "transaction", "word")


class HeaderField(Part):
    """One fixed-width field. `session`, `dialogue`, `transaction` and `word` are filled from the message, the others with `value`."""

    name: str = Field(min_length=1, description="what it is called; one of the sources, and it is filled from there")
    width: int = Field(ge=1, le=64, description="bytes")
    value: str = Field(default="", description="what stands there when the message says nothing")
    source: Literal["", "session", "dialogue", "transaction", "word", "constant"] = Field(
        default="", description="where the value comes from; empty: what the name says, else constant")
    kind: Literal["text", "hex"] = Field(default="text", description="hex: digits, filled with zeros on the left")
    pad: str = Field(default=" ", min_length=1, max_length=1, description="what fills the field")
    justify: Literal["left", "right"] = Field(default="left", description="the side the value stands on")
    check: bool = Field(default=False, description="what comes must equal `value`")

    @property
    def filled_from(self) -> str:
        """The source, named or by the field's name."""
        return self.source or (self.name if self.name in SOURCES else "constant")


class Checksum(Part):
    """What stands behind the body."""

    kind: Literal["xor32-not", "none"] = Field(
        default="xor32-not", description="XOR of all big-endian 32-bit words of header and body, inverted, in hexadecimal")
    width: int = Field(default=8, ge=0, le=16, description="digits")
    policy: Literal["enforce", "warn", "ignore"] = Field(
        default="enforce", description="a wrong one is a fault, is told in `suspect`, or is not looked at")


class Length(Part):
    """The length field, directly behind the flag."""

    width: int = Field(default=4, ge=1, le=8, description="digits or bytes")
    base: Literal["hex", "decimal", "binary"] = Field(default="hex", description="how it is written; binary: the highest byte first")
    counts_more: int = Field(default=0, ge=-64, le=64, description="how much more than header and padded body the number counts")
    maximum: int = Field(default=65_000, ge=1, le=16_777_216, description="the greatest header and body, bytes")


class Frame(Part):
    """The frame: flag, length, header, body, checksum, in this order."""

    flag: str = Field(default="`SC`", max_length=16, description="how every frame begins; the reader finds the next by it. Empty: frames "
                      "begin with their length, and a wrong one ends the connection")
    length: Length = Field(default=Length(), description="the length field")
    header: tuple[HeaderField, ...] = Field(description="in wire order; may be empty where answers come in order")
    body_multiple: int = Field(default=4, ge=1, le=64, description="the body is padded to a multiple of this, in bytes")
    body_pad: str = Field(default=" ", min_length=1, max_length=1, description="what the body is padded with")
    checksum: Checksum = Field(default=Checksum(), description="what stands behind the body")
    heartbeat: str = Field(default="", description="the whole heartbeat; echoed unchanged by the side that gets it")
    command_word: str = Field(default="TXBEG", description="`word` of a command")
    report_word: str = Field(default="TXEND", description="`word` of an answer")
    command_dialogue: str = Field(default="DLGCON", description="`dialogue` of a command that says none")

    @model_validator(mode="after")
    def _header_is_whole(self) -> Self:
        names = [f.name for f in self.header]
        if len(set(names)) != len(names):
            raise ValueError("header: a field is named twice")
        if any(len(f.value) > f.width for f in self.header):
            raise ValueError("header: a value is wider than its field")
        sources = [f.filled_from for f in self.header if f.filled_from != "constant"]
        if len(set(sources)) != len(sources):
            raise ValueError("header: two fields have the same source")
        if self.checksum.kind != "none" and self.checksum.width != 8:
            raise ValueError("checksum: xor32-not has 8 digits")
        if self.checksum.kind != "none" and (sum(f.width for f in self.header)) % 4:
            raise ValueError("header: the widths must add up to a multiple of 4, the checksum's word")
        return self

    @cached_property
    def checksum_width(self) -> int:
        """Bytes behind the body."""
        return 0 if self.checksum.kind == "none" else self.checksum.width
