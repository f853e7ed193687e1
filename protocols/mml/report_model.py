"""How an answer is written: the knobs. Two forms: a block of lines, or one line of `NAME=value`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from protocols.mml.session import Part
from protocols.mml.templates import Line, LineTemplate


class Outcome(Part):
    """A line that tells the result: by its {code}, or, without one, by the constant `code`."""

    line: Line = Field(description="as it stands, with {code}, {text}, {transaction} where they vary")
    code: str = Field(default="", description="the code it means, where the line holds none; a {code} elsewhere in the report wins")
    unless_told: bool = Field(default=False, description="only where no other line of the report tells the result")

    @model_validator(mode="after")
    def _has_code(self) -> Self:
        if bool(self.code) == ("code" in LineTemplate(self.line).holes):
            raise ValueError("either the line holds {code} or `code` is given")
        if self.unless_told and not self.code:
            raise ValueError("unless_told: it needs `code`")
        return self


class Fields(Part):
    """Single values: `NAME  =  value` lines, `NAME ..... value` lines, one row under a header line, or a quoted row."""

    style: Literal["vertical", "leader", "row", "quoted"] = Field(default="vertical", description="how they are written")
    separators: tuple[Literal["=", ":", "..."], ...] = Field(default=("=",),
                                                             description="read between name and value; `...` is a run of dots")
    tight: bool = Field(default=False, description="the separator needs no blanks around it (`EN=0`), names are one word then")
    title: str = Field(default="Result", description="vertical: written above them; empty: nothing")
    width: int = Field(default=0, ge=0, le=80, description="columns of the name; 0: as wide as the widest")


class TableLayout(Part):
    """Tables: columns under a header line, or quoted rows (TL1)."""

    style: Literal["columns", "quoted"] = Field(default="columns", description="how they are written")
    titles: Literal["rule", "group"] = Field(default="rule",
        description="rule: a title is underlined with dashes; group: it is the first line after a blank one")
    sections: frozenset[str] = Field(default=frozenset(), description="titles known by their text, where no blank line stands before them")
    blank: str = Field(default="-", max_length=8,
                       description="written for an empty cell; empty: leave blank (columns are told by their offset)")
    rows_as_fields: bool = Field(default=False, description="a lone row without a title is read as fields, unless the part before has rows")


class Zip(Part):
    """A table in one line: the columns in one parameter, the cells in another."""

    columns: str = Field(default="ATTR", description="the parameter with the columns' names; a table's title and `_` may stand before it")
    cells: str = Field(default="RESULT", description="the parameter with the cells, row by row")
    column_separators: str = Field(default="&|", min_length=1, max_length=4, description="the first is written")
    cell_separator: str = Field(default="|", min_length=1, max_length=1, description="between cells")
    row_separator: str = Field(default="&", min_length=1, max_length=1, description="between rows")


class Inline(Part):
    """An answer in one line: `ACK:<command>:RETN=0,DESC=".."` or `RESP:0:NAME,value`."""

    lead: str = Field(default="ACK", min_length=1, description="how an answer begins")
    echo: bool = Field(default=True, description="the command's name follows the lead")
    mark: str = Field(default=":", min_length=1, max_length=1, description="behind lead and echo")
    separator: str = Field(default=",", min_length=1, max_length=1, description="between parameters")
    assign: str = Field(default="=", min_length=1, max_length=1, description="between name and value")
    code: str = Field(default="RETN", description="the parameter with the result code; empty: the code stands alone behind the lead")
    text: str = Field(default="DESC", description="the parameter with the description")
    text_on_success: bool = Field(default=True, description="written when the command succeeded too")
    quotes: str = Field(default="\"'", max_length=3, description="read around values; the first is written")
    quote_always: bool = Field(default=True, description="values are written in quotes, the code excepted")
    plain: str = Field(default="A-Za-z0-9_.+-", description="characters a value may have without quotes")
    upper: bool = Field(default=True, description="names are written in capitals")
    table: Zip | None = Field(default=None,
                              description="tables as columns and cells; without: rows as repeated `TITLE<assign>cell<separator>..`")


class ReportGrammar(Part):
    """Knobs of reports. Of several lines the first is written, all are read."""

    form: Literal["lines", "inline"] = Field(default="lines", description="a block of lines, or one line of `NAME=value`")
    inline: Inline = Field(default=Inline(), description="form: inline. Its knobs; all the others here are for lines")
    lead: str = Field(default="", description="written before a report (TL1: CR LF LF)")
    header: tuple[Line, ...] = Field(default=(),
                                     description="names {source} and {time}; a second one is a report inside another's (element manager)")
    serial: tuple[Line, ...] = Field(default=(), description="names {serial}")
    echo: tuple[Line, ...] = Field(default=(), description="names {echo}, the command; comments and numbers before it are dropped")
    outcomes: tuple[Outcome, ...] = Field(default=(), description="lines that tell the result, read wherever they stand")
    outcome_first: bool = Field(default=True, description="fields and tables stand behind the result, not before it")
    success: tuple[Line, ...] = Field(default=(), description="lines written for a success")
    failure: tuple[Line, ...] = Field(default=(),
        description="lines written for anything else; a line `{text}` or `{code}` alone is also read behind a failure")
    success_with_body: bool = Field(default=True, description="the success lines are written even when fields or tables follow")
    end_after_outcome: bool = Field(default=True,
                                    description="the end line is written behind the result lines; false: these end the report")
    gap: bool = Field(default=True, description="a blank line is written between result and fields or tables")
    assumed: str = Field(default="", description="the code of a report that is ended properly but tells none (Ericsson printouts)")
    assumed_at_prompt: bool = Field(default=False, description="`assumed` is also the code of what ends at a prompt (a command line, which "
                                                               "tells only what went wrong)")
    more: tuple[Line, ...] = Field(default=(), description="more parts follow")
    total: tuple[Line, ...] = Field(default=(), description="in the last part: how many {count} there are")
    count: tuple[Line, ...] = Field(default=(), description="under a table: its rows, {count}; any `(... = n)` is read")
    autonomous: tuple[Line, ...] = Field(default=(), description="mark an alarm or event; may name {serial}, {severity}, {name}")
    acknowledgements: tuple[Line, ...] = Field(default=(),
                                               description="`IP {transaction}`: taken, the answer follows; the first word is its code")
    idle: tuple[Line, ...] = Field(default=(), description="lines that say nothing outside answers (a menu's name before the prompt)")
    continued: bool = Field(default=False, description="a block without result is a further part when the part before said so")
    fields: Fields = Field(default=Fields(), description="single values")
    tables: TableLayout = Field(default=TableLayout(), description="tables")
    two_digit_year: bool = Field(default=False, description="times are written with a year of two digits")

    @model_validator(mode="after")
    def _speaks(self) -> Self:
        if self.form == "lines" and not (self.outcomes or self.assumed):
            raise ValueError("a report in lines needs `outcomes` (or `assumed`), to tell its result")
        if self.assumed_at_prompt and not self.assumed:
            raise ValueError("assumed_at_prompt: it needs `assumed`")
        if self.form == "lines" and not (self.success and self.failure):
            raise ValueError("a report in lines needs `success` and `failure`, to write its result")
        for name, holes in (("header", {"source"}), ("serial", {"serial"}), ("echo", {"echo"}), ("count", {"count"}), ("total", {"count"}),
                            ("acknowledgements", {"transaction"})):
            for line in getattr(self, name):
                if not holes <= set(LineTemplate(line).holes):
                    raise ValueError(f"{name}: {line!r} lacks {{{holes.pop()}}}")
        return self
