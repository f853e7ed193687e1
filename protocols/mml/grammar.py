"""How a command is written (shape of ITU-T Z.315): words, blocks, parameters, values. The knobs only; `language` speaks it."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from protocols.mml.session import Part


def _mark(given: str) -> str:
    if len(given) != 1 or given.isalnum() or given == "_" or (given.isspace() and given != " "):
        raise ValueError("must be one punctuation character, or a blank")
    return given


Mark = Annotated[str, AfterValidator(_mark)]
"""One punctuation character, or a blank."""
Names = Annotated[frozenset[str], AfterValidator(lambda names: frozenset(map(str.upper, names)))]
"""Names whose case does not matter."""


class Confirmation(Part):
    """A parameter that dangerous commands must carry (`CONFIRM=Y`); added on sending where it is missing."""

    parameter: str = Field(default="CONFIRM", min_length=1, description="its name")
    value: str = Field(default="Y", min_length=1, description="its value")
    verbs: Names = Field(min_length=1, description="first words of the commands that need it")


class CommandGrammar(Part):
    """Knobs of the command language."""

    word_separators: tuple[Annotated[str, Field(min_length=1, max_length=1)], ...] = Field(
        default=(" ",), min_length=1, description="between the words of a command's name; the first is written")
    max_words: int = Field(default=4, ge=1, le=8, description="most words of a name")
    words: int = Field(default=0, ge=0, le=8, description="exact number of words, where the same mark parts words and parameters")
    single_words: Names = Field(default=frozenset(), description="names of one word, where `words` says more (LOGIN, LOGOUT)")
    word_width: int = Field(default=0, ge=0, le=32, description="words are padded with blanks to this many columns; 0: not")
    upper: bool = Field(default=True, description="names of commands and parameters are written in capitals; reading ignores case anyway")
    block: Mark = Field(default=":", description="stands before each block; a blank where `words` says how long a name is")
    parameter: Mark = Field(default=",", description="stands between parameters; a blank makes a command line of it: one block, any blanks")
    assign: Mark = Field(default="=", description="stands between name and value; a blank where `parameter` is one")
    style: Literal["named", "positional", "mixed"] = Field(
        default="named", description="named: NAME=value in one block; positional, mixed: also values without name, in several blocks")
    leading: tuple[Literal["tid", "aid", "ctag", "general"], ...] = Field(
        default=(), description="blocks of one value before the parameters (TL1: [tid, aid, ctag, general])")
    block_always: bool = Field(default=True, description="the block mark is written even when no parameter follows (`LGO:;`)")
    quote: str = Field(default='"', max_length=1, description="around values that are not plain; empty: the dialect cannot quote")
    escape: Literal["\\", "double", ""] = Field(default="\\",
                                                description="how a quote stands inside quotes: behind `\\`, doubled, not at all")
    quote_always: bool = Field(default=False, description="quote plain values too, numbers excepted")
    plain: str = Field(default="A-Za-z0-9_.+-",
                       description="characters a value may have without quotes, as in a regular expression's [...]")
    flags: Names = Field(default=frozenset(), description="names written without `=` when their value is empty (ALL, LOC)")
    empty: Literal["quoted", "bare"] = Field(default="quoted", description="an empty value is `NAME=\"\"` or `NAME=`")
    list_separator: str = Field(default="&", max_length=2, description="between the values of a list; empty: no lists")
    range_separator: str = Field(default="&&", max_length=3, description="between the ends of a range; empty: no ranges")
    comments: bool = Field(default=True, description="`/* ... */` may stand anywhere outside quotes and means nothing")
    confirmation: Confirmation | None = Field(default=None, description="a parameter that dangerous commands must carry")

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.parameter == " ":
            return self._on_a_line()
        if " " in (self.block, self.assign):
            raise ValueError("`block` and `assign` are blanks only where `parameter` is one")
        marks = [self.block, self.assign, *([self.quote] if self.quote else [])]
        if self.parameter != self.block:
            marks.append(self.parameter)
        if len(set(marks)) != len(marks):
            raise ValueError("`block`, `parameter`, `assign` and `quote` must differ (only `block` and `parameter` may be the same)")
        if self.parameter == self.block and (self.style == "mixed" or not self.words):
            raise ValueError("where `block` and `parameter` are the same mark, `words` must be given and `style` cannot be mixed")
        if self.words and self.block not in self.word_separators and self.parameter == self.block:
            raise ValueError("`words` counts names parted by the block mark: put it into `word_separators`")
        return self

    def _on_a_line(self) -> Self:
        marks = [mark for mark in (self.block, self.assign, self.quote) if mark.strip()]
        if len(set(marks)) != len(marks):
            raise ValueError("`block`, `assign` and `quote` must differ")
        if self.block == " " and not self.words:
            raise ValueError("where `block` is a blank, `words` must say how many a name has")
        if self.assign == " " and self.style == "mixed":
            raise ValueError("where `assign` is a blank, `style` cannot be mixed: nothing would tell a name from a value")
        if self.leading or self.word_width:
            raise ValueError("`leading` and `word_width` cannot be where `parameter` is a blank")
        if re.match(f"[{self.plain}]", " "):
            raise ValueError("`plain` cannot hold a blank where `parameter` is one")
        return self
