"""Answers as blocks of lines, written: a dialect's lines are put together once, and an answer fills them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from protocols.base import LocalProtocolError
from protocols.mml.body_writer import BodyWriter, clean
from protocols.mml.messages import Acknowledgement, Alarm, Report
from protocols.mml.report_model import ReportGrammar
from protocols.mml.results import Results
from protocols.mml.templates import template_of

_CODE = re.compile(r"[\w.-]{1,64}\Z", re.ASCII)
_YEAR = re.compile(r"\d{4}-")
_TWO_DIGITS = re.compile(r"\d\d(?=\d\d-)")


class LineWriter:
    """One dialect's reports. All raise LocalProtocolError for what no reader could tell, nothing else; a text ends with a line end.

    `suspect` finds, behind a line end, what may begin one of the report's own lines; `is_own` tells whether a line is one.
    """

    def __init__(self, grammar: ReportGrammar, results: Results, line_end: str, suspect: re.Pattern[str],
                 is_own: Callable[[str], bool]) -> None:
        self._grammar = grammar
        self._results = results
        self._line_end, self._trailing = line_end, f" {line_end}"
        self._suspect, self._is_own = suspect, is_own
        self._body = BodyWriter(grammar)
        self._header = self._lines(grammar.header[:1])
        self._opening = self._header + self._lines(grammar.serial[:1])
        self._echo = self._lines(grammar.echo[:1])
        # of a failure, a success; without a text, with one
        self._outcomes = [[self._lines(self._told(lines, text=text)) for text in (False, True)]
                          for lines in (grammar.failure, grammar.success)]
        # attributes of pydantic's models cost more than they look
        self._gap, self._outcome_first = line_end if grammar.gap else "", grammar.outcome_first
        self._ends_itself = not grammar.end_after_outcome
        self._quiet, self._two_digit_year = not grammar.success_with_body, grammar.two_digit_year
        self._needs_transaction = any("transaction" in template_of(line).holes for line in grammar.success)
        self._code: Callable[[str], tuple[str, bool]] = lru_cache(1024)(self._coded)

    def _lines(self, sources: Iterable[str]) -> str:
        """The format of several lines. A line that is nothing but the text is data, and called `bare`."""
        formats = [template_of(source).format for source in sources]
        return "".join([(f.replace("%(text)s", "%(bare)s") if f.strip() == "%(text)s" else f) + self._line_end for f in formats])

    @staticmethod
    def _told(lines: Iterable[str], *, text: bool) -> list[str]:
        """Without a text, lines that hold nothing else are left out."""
        return [line for line in lines if text or template_of(line).holes != ("text",)]

    def _coded(self, retcode: str) -> tuple[str, bool]:
        """The dialect's code for one of ours, and whether it is a success."""
        code = self._results.written.get(retcode, retcode)
        if not _CODE.match(code):
            raise LocalProtocolError(f"not a result code: {retcode!r}")
        return code, self._results.means(code) in ("success", "progress")

    def report(self, report: Report) -> tuple[str, bool]:
        """A report, and whether its end line is already among its lines."""
        code, good = self._code(report.retcode)
        if self._needs_transaction and not _CODE.match(report.transaction):
            raise LocalProtocolError(f"not a transaction: {report.transaction!r}")
        time = report.time
        if self._two_digit_year and _YEAR.match(time):
            time = _TWO_DIGITS.sub("", time, count=1)
        values = {"source": report.source, "time": time, "serial": str(report.serial), "echo": report.command, "code": code,
                  "text": report.description, "transaction": report.transaction}
        if not "".join(values.values()).isprintable():
            values = {name: clean(value) for name, value in values.items()}
        text = values["text"] = values["text"].strip()
        body = self._body.write(report)
        outcome = self._outcomes[good][bool(text)]
        if self._quiet and good and body and code == self._results.ok:
            outcome = ""
        if "%(bare)s" in outcome:
            values["bare"] = self._defused(text)
        ended = self._ends_itself and bool(outcome)
        begun = self._filled(self._opening, values)
        echo = self._filled(self._echo, values) if report.command else ""
        safe = self._line_end.join([*body, ""]) if body else ""
        if self._suspect.search(f"\n{echo}{safe}") is not None:  # seldom; so one look over all
            echo, safe = self._all_defused(echo), self._all_defused(safe)
        closing = self._closing(report) if report.more or report.total else ""
        outcome = self._filled(outcome, values)
        if self._outcome_first:
            return f"{begun}{echo}{outcome}{self._gap}{safe}{closing}", ended
        return f"{begun}{echo}{self._line_end if safe else ''}{safe}{closing}{outcome}", ended

    def _filled(self, lines: str, values: dict[str, str]) -> str:
        """The lines with their holes filled, and nothing trailing."""
        text = lines % values
        if self._trailing not in text and text.isascii():
            return text
        return self._line_end.join(map(str.rstrip, text.split(self._line_end)))

    def _closing(self, report: Report) -> str:
        """What says that more parts follow, or how many there were."""
        grammar = self._grammar
        lines = [*(grammar.more[:1] if report.more else ()), *(grammar.total[:1] if report.total else ())]
        return self._filled(self._lines(lines), {"count": str(report.total)})

    def _all_defused(self, text: str) -> str:
        """Lines of data, none of which is read as one of the report's own."""
        return self._line_end.join(map(self._defused, text.split(self._line_end)))

    def _defused(self, line: str) -> str:
        """A line of data that would be read as one of the report's own gets a dot in front."""
        text = line.strip()
        return f".{line}" if text and self._is_own(text) else line

    def alarm(self, alarm: Alarm) -> str:
        """An alarm up to its end line."""
        wanted = [line for line in self._grammar.autonomous if line.split("{")[0].strip() == alarm.severity] or self._grammar.autonomous
        if not wanted:
            raise LocalProtocolError("the dialect has no alarms")
        values = {"source": clean(alarm.source or "UIP"), "time": clean(alarm.time), "serial": clean(alarm.serial) or "0",
                  "name": clean(alarm.name), "severity": clean(alarm.severity)}
        body = self._body.write(Report("0", "", alarm.fields, alarm.tables))
        return self._filled(self._header + self._lines(wanted[:1]), values) + self._all_defused("".join([b + self._line_end for b in body]))

    def acknowledgement(self, acknowledgement: Acknowledgement) -> str:
        """The line that says so."""
        for line in self._grammar.acknowledgements:
            if template_of(line).prefix == acknowledgement.code.upper() and _CODE.match(acknowledgement.transaction):
                return self._filled(self._lines([line]), {"transaction": acknowledgement.transaction})
        raise LocalProtocolError(f"the dialect has no acknowledgement {acknowledgement.code}")
