"""Where commands and reports end in a stream of text."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from protocols.mml.session import Part


class End(Part):
    """A line that ends a report."""

    line: str = Field(min_length=1, max_length=80, description="its text; blanks may be more or fewer, dashes more")
    whole: bool = Field(default=False, description="only when nothing else stands on the line; else as soon as its last letter has come")
    rest: bool = Field(default=False, description="whatever stands behind it on its line belongs to it (`END JOB 0012`)")
    more: bool = Field(default=False, description="more parts of the same answer follow")

    @model_validator(mode="after")
    def _whole_or_rest(self) -> Self:
        if self.whole and self.rest:
            raise ValueError("`whole` and `rest` cannot both be")
        return self


class Stream(Part):
    """Knobs of `framing: text`."""

    terminators: tuple[Annotated[str, Field(min_length=1, max_length=1)], ...] = Field(
        default=(";",), min_length=1, description="characters that end a command outside quotes and comments; the first is written")
    line_ends_command: bool = Field(default=False, description="a line end closes a command too")
    line_end: str = Field(default="\r\n", description="written after commands and between the lines of reports")
    report_ends: tuple[End, ...] = Field(default=(), description="lines that end a report; the first without `more` is written")
    prompt_ends: bool = Field(default=False, description="a prompt ends the report before it")
    report_terminators: tuple[Annotated[str, Field(min_length=1, max_length=1)], ...] = Field(
        default=(";",), description="report form inline: characters that end a report outside quotes; the first is written")
    opens: tuple[str, ...] = Field(default=(),
                                   description="line beginnings that open a report; inside it texts of `results.texts` mean nothing")
