"""Records: messages of fields, without a language around them. Delimited text, fixed widths, JSON, XML; the knobs only.

`protocols.records` speaks them. A record's kind is the command it stands for, or the answer; paths are names joined by dots, from the
top of the record (in delimited and fixed records: the name of a field).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from protocols.mml.session import Part

OTHERS = "*"
"""The layout of every kind that has none of its own."""
_PATH = r"^[^.\s][^.]*(\.[^.]+)*$|^$"
FieldPath = Annotated[str, Field(max_length=200, pattern=_PATH)]


class Prefix(Part):
    """The number before each record that tells its length."""

    width: int = Field(default=4, ge=1, le=8, description="its digits, or its bytes")
    base: Literal["decimal", "hex", "binary"] = Field(default="decimal", description="how it is written; binary: the highest byte first")
    counts_itself: bool = Field(default=False, description="the number counts its own bytes too")


class RecordFrame(Part):
    """Where a record begins and ends. What is not ended is no record: a connection that breaks inside one has said nothing."""

    kind: Literal["line", "marks", "length", "root", "width"] = Field(
        default="line", description="each on a line; between two marks; behind its length; up to the end of the root element (XML); as "
                                    "long as its layout (fixed)")
    line_end: Literal["\n", "\r\n"] = Field(default="\n", description="line: what is written; both are read")
    start: str = Field(default="\x02", min_length=1, max_length=8, description="marks: before a record; the reader finds the next by it")
    stop: str = Field(default="\x03", min_length=1, max_length=8, description="marks: behind a record")
    length: Prefix = Field(default=Prefix(), description="length: the number before each record")


class RecordField(Part):
    """A field of a delimited or fixed record. In a file its name alone will do where nothing else is to be said."""

    name: str = Field(default="", max_length=128, description="what messages call it; empty: a filler")
    width: int = Field(default=0, ge=0, le=65_536, description="fixed: bytes")
    pad: str = Field(default=" ", min_length=1, max_length=1, pattern=r"^[\x20-\x7e]$", description="fixed: what fills it")
    justify: Literal["left", "right"] = Field(default="left", description="fixed: the side the value stands on")
    value: str = Field(default="", description="what stands there when the message says nothing; read, it is not part of the message")


def _named(field: Any) -> Any:
    return {"name": field} if isinstance(field, str) else field


_Named = Annotated[RecordField, BeforeValidator(_named, json_schema_input_type=str | RecordField)]
Layout = Annotated[tuple[_Named, ...], Field(min_length=1, max_length=512)]


class Delimited(Part):
    """Values between separators, in the order of the layout. An empty place is a field that is not there."""

    separator: str = Field(default="|", min_length=1, max_length=4, description="between values")
    quote: str = Field(default="", max_length=1, description="around a value that holds a separator, or is empty and yet there")
    escape: Literal["\\", "double", ""] = Field(
        default="\\", description="`\\` stands before a separator, a quote or itself, and makes `\\n`, `\\r` and `\\t`; a quote inside "
                                  "quotes is doubled; or neither, and such a value cannot be said")
    assign: str = Field(default="", max_length=1, description="what the layout does not name follows it as NAME<assign>value; empty: "
                                                              "nothing may")
    header: bool = Field(default=False, description="the first record of each direction holds the names of the fields, in their order")


class Document(Part):
    """JSON and XML: fields inside fields."""

    fields: FieldPath = Field(default="", description="where the fields of a command stand; empty: beside its kind and id")
    answer_fields: FieldPath | None = Field(default=None, description="where those of an answer stand; without it, the same")
    types: Mapping[str, Literal["number", "boolean"]] = Field(
        default={}, description="JSON: what is written as a number or a boolean, by path; all else is text. All are read alike")
    constants: Mapping[str, str] = Field(default={}, description="what stands in every record, by path (`jsonrpc: \"2.0\"`)")
    lists: frozenset[FieldPath] = Field(default=frozenset(), description="XML: elements that are lists even when only one comes, by path")
    root: str = Field(default="{kind}", min_length=1, description="XML: the root element's name; `{kind}`: the kind of the record")
    namespace: str = Field(default="", description="XML: the namespace that is written; read, any will do")
    attributes: frozenset[FieldPath] = Field(default=frozenset(), description="XML: what is written as an attribute, by path")


class Rows(Part):
    """Tables of an answer in flat records: each row is a record of its own, before the answer."""

    kind: str = Field(min_length=1, description="the kind of a row")
    title: str = Field(default="", description="the field with the table's title; empty: there is one table only")


class More(Part):
    """What says that further parts of the answer follow."""

    field: FieldPath = Field(min_length=1, description="the field that says it")
    value: str = Field(default="Y", min_length=1, description="what it says then")


class HeartbeatRecord(Part):
    """A record that asks whether the other side is there."""

    kind: str = Field(min_length=1, description="its kind")
    answer: str = Field(default="", description="the kind of the answer to it; empty: it is sent back as it is")


class RecordGrammar(Part):
    """Knobs of `framing: records`."""

    format: Literal["delimited", "fixed", "json", "xml"] = Field(description="how a record is written")
    frame: RecordFrame = Field(default=RecordFrame(), description="where a record begins and ends")
    kind: FieldPath = Field(default="", description="the field with the record's kind; empty in XML whose root element is called so, or "
                                                     "where all records are of one kind")
    command: str = Field(default="", description="the command that every record stands for, where `kind` names no field")
    id: FieldPath = Field(default="", description="the field by which an answer finds its command; empty: by their order")
    session: FieldPath = Field(default="", description="the field with the session's number, which the answer to the login gives")
    code: FieldPath = Field(min_length=1, description="the field with an answer's result code")
    text: FieldPath = Field(default="", description="the field with an answer's text for people")
    assumed: str = Field(default="", description="the code of an answer that has none; empty: such a record is no answer")
    answer: str = Field(default="{command}", min_length=1, description="the kind of an answer")
    refusal: str = Field(default="ERROR", min_length=1, description="the kind of an answer to what could not be read")
    events: tuple[str, ...] = Field(default=(), description="kinds of what comes unasked; `ALARM*`: all that begin so. A record without "
                                                            "result code is such a one anyway")
    more: More | None = Field(default=None, description="what says that further parts of the answer follow")
    heartbeat: HeartbeatRecord | None = Field(default=None, description="the heartbeat")
    layouts: Mapping[str, Layout] = Field(default={}, description="delimited and fixed: the fields of each command in their order; `*`: of "
                                                                  "every other")
    answers: Mapping[str, Layout] = Field(default={}, description="the same for each kind of answer; without any, those of the commands")
    rows: Rows | None = Field(default=None, description="delimited and fixed: how tables are written")
    delimited: Delimited = Field(default=Delimited(), description="knobs of delimited records")
    document: Document = Field(default=Document(), description="knobs of JSON and XML")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.format in {"delimited", "fixed"}:
            self._layouts_fit()
        elif self.layouts or self.answers or self.rows:
            raise ValueError("`layouts`, `answers` and `rows` are for delimited and fixed records")
        if {"root": "xml", "width": "fixed"}.get(self.frame.kind, self.format) != self.format:
            raise ValueError(f"`frame: {{kind: {self.frame.kind}}}` is not for {self.format} records")
        by_root = self.format == "xml" and "{kind}" in self.document.root
        if sum(map(bool, (self.kind, self.command, by_root))) != 1:
            raise ValueError("say where a record's kind is: either `kind`, or `command` for all, or in XML `document.root: \"{kind}\"`")
        if self.assumed and self.events and not (self.kind or by_root):
            raise ValueError("`events` are told by their kind: name its field in `kind`")
        marks = self.delimited
        if self.format == "delimited":
            if len({marks.separator, marks.quote, marks.assign} - {""}) != sum(map(bool, (marks.separator, marks.quote, marks.assign))):
                raise ValueError("delimited: `separator`, `quote` and `assign` must differ")
            if marks.escape == "double" and not marks.quote:
                raise ValueError("delimited: `escape: double` needs a `quote`")
            if marks.header and (set(self.layouts) | set(self.answers)) != {OTHERS}:
                raise ValueError("delimited: with a `header` all records of a direction are alike: one layout, `*`")
        return self

    def _layouts_fit(self) -> None:
        if not self.layouts:
            raise ValueError(f"{self.format} records need `layouts`")
        places = set()
        for where, kind, layout in self.every_layout():
            names = [field.name for field in layout if field.name]
            if len(set(names)) != len(names):
                raise ValueError(f"{where}.{kind}: a field is named twice")
            if self.format == "fixed" and (lacking := next((f.name or "a filler" for f in layout if not f.width), None)):
                raise ValueError(f"{where}.{kind}: {lacking} has no width")
            if self.format == "fixed" and (wide := next((f.name for f in layout if len(f.value) > f.width), None)):
                raise ValueError(f"{where}.{kind}: the value of {wide} is wider than its field")
            if self.kind and self.kind not in names:
                raise ValueError(f"{where}.{kind}: lacks {self.kind}, the record's kind")
            if self.kind:
                number = next(n for n, f in enumerate(layout) if f.name == self.kind)
                places.add((number if self.format == "delimited" else sum(f.width for f in layout[:number]), layout[number].width))
        if len(places) > 1:
            raise ValueError(f"{self.kind}, the record's kind, must stand at the same place in every layout")

    def every_layout(self) -> Iterator[tuple[str, str, tuple[RecordField, ...]]]:
        """Section, kind and fields of each layout."""
        for where, layouts in (("layouts", self.layouts), ("answers", self.answers)):
            for kind, layout in layouts.items():
                yield where, kind, layout
