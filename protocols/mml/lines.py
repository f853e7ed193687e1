"""Answers as blocks of lines, read: Huawei reports, Ericsson printouts, Nokia listings, TL1 responses. `line_writer` writes them."""

from __future__ import annotations

import re

from protocols.mml.bodies import BodyReader
from protocols.mml.line_writer import LineWriter
from protocols.mml.messages import Acknowledgement, Alarm, Report
from protocols.mml.quoted_rows import unescaped
from protocols.mml.report_model import ReportGrammar
from protocols.mml.results import Results
from protocols.mml.streams import LineCutter
from protocols.mml.templates import LineTemplate, template_of

_META = re.compile(r"(?>(?:\s*+/\*(?>.*?\*/|.*)|\s*+\d++(?=[\s:/])[\s:]*+)*)", re.DOTALL)
_COMMENT = re.compile(r"/\*(?>.*?\*/|.*)", re.DOTALL)
_BARE_CODE = re.compile(r"[A-Z][A-Z0-9_-]{1,15}\Z|\d{1,9}\Z")
_ECHO = re.compile(r"[A-Za-z][\w -]*+(?::.*)?;\Z", re.DOTALL)
_NOISE = str.maketrans("", "", "\x00\x02\x03\x04\x07\r")
_LONGEST_ECHO = 50

_Mark = tuple[str, str, LineTemplate, str]
"""How the line begins (in capitals), what it is, its template, the code it means."""


class _Found:
    """What one report has told so far."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.code = ""
        self.exact = False
        self.mark = ""
        self.via = ""
        self.more = False
        self.total = 0
        self.body: list[str] = []
        self.text: list[str] = []
        self.failing = False
        self.last_resort = ""
        """The code where no line tells one for certain."""


class LineReports:
    """One dialect's reports; `writer` writes them. `parse` raises nothing: what is not a report is an alarm."""

    def __init__(self, grammar: ReportGrammar, results: Results, marks: LineCutter, charset: str, line_end: str) -> None:
        self._grammar = grammar
        self._results = results
        self._marks = marks
        self._charset = charset
        line = template_of
        self._header = [line(t) for t in grammar.header]
        self._serial = [line(t) for t in grammar.serial]
        self._echo = [line(t) for t in grammar.echo]
        self._failure = [line(t) for t in grammar.failure]
        self._idle = [line(t) for t in grammar.idle]
        bare = [t.source.strip() for t in self._failure]
        self._bare_code, self._bare_text = "{code}" in bare, "{text}" in bare
        texts = [t for t in self._failure if t.holes == ("text",) and t.source.strip() != "{text}"]
        outcomes: list[tuple[str, LineTemplate, str]] = [("last resort" if o.unless_told else "outcome", line(o.line), o.code)
                                                         for o in grammar.outcomes]
        head: list[tuple[str, LineTemplate, str]] = [
            *(("header", t, "") for t in self._header), *(("serial", t, "") for t in self._serial),
            *(("echo", t, "") for t in self._echo), *outcomes, *(("text", t, "") for t in texts),
            *(("autonomous", line(t), "") for t in grammar.autonomous), *(("ack", line(t), "") for t in grammar.acknowledgements)]
        body: list[tuple[str, LineTemplate, str]] = [
            *(("more", line(t), "") for t in grammar.more), *(("total", line(t), "") for t in grammar.total)]
        inside = [m for m in head if m[0] == "header" and m[1].prefix] + body
        outside = outcomes + [("text", t, "") for t in texts]
        self._head: list[_Mark] = [(t.prefix, kind, t, code) for kind, t, code in head + body]
        self._body: list[_Mark] = [(t.prefix, kind, t, code) for kind, t, code in inside + outside]
        self._head_starts = tuple({m[0] for m in self._head})
        self._body_starts = tuple({m[0] for m in self._body})
        starts = sorted({*map(re.escape, self._body_starts), *marks.beginnings()})
        suspect = re.compile(r"\n\s*+(?:" + "|".join(starts) + ")", re.IGNORECASE)  # begins with a byte that is quickly found
        self.writer = LineWriter(grammar, results, line_end, suspect, self._is_own)

    def _is_own(self, text: str) -> bool:
        """Whether a line of the body, without blanks around it, would be read as one of the report's own."""
        return self._marks.is_mark(text.encode(self._charset, "replace")) or self._marked(text, in_body=True) is not None

    # Reading.

    def parse(self, text: str, ended: str, previous: Report | None) -> Report | Alarm | Acknowledgement | None:
        """Read what stands before a report's end. `ended` is `end`, `more` or `prompt`; `previous` the part before, if one goes on.

        None for nothing but blanks.
        """
        lines = text.translate(_NOISE).split("\n")
        found = _Found()
        number = 0
        closing = len(lines)
        if ended in ("end", "more"):
            closing = next((n for n in range(len(lines) - 1, -1, -1) if lines[n].strip()), 0)
        while number < closing:
            number = self._line(lines, number, found)
        if closing < len(lines):
            mark = self._marked(lines[closing].strip(), in_body=False)
            if mark is not None and mark[0] == "outcome":
                self._take(mark, found)
        if ended == "more":
            found.more = True
        return self._made(text, lines, ended, previous, found)

    def _line(self, lines: list[str], number: int, found: _Found) -> int:
        """Take one line, or several that are one; return the number of the next."""
        line = lines[number].strip()
        in_body = bool(found.code) or found.mark == "autonomous"
        mark = self._marked(line, in_body=in_body) if line else None
        if mark is None and line and not in_body and self._echo:
            joined, after = self._long_echo(lines, number, line)
            if after > number + 1:
                mark, number = self._marked(joined, in_body=False), after - 1
        if mark is None:
            self._unmarked(lines[number], line, found)
        else:
            self._take(mark, found)
        return number + 1

    def _marked(self, line: str, *, in_body: bool) -> tuple[str, dict[str, str], LineTemplate, str] | None:
        start = line[:32].upper()
        if not start.startswith(self._body_starts if in_body else self._head_starts):
            return None
        for prefix, kind, template, code in self._body if in_body else self._head:
            if start.startswith(prefix) and (told := template.read(line)) is not None:
                return kind, told, template, code
        return None

    def _long_echo(self, lines: list[str], number: int, line: str) -> tuple[str, int]:
        """An echo over several lines, `%%...` up to the line that ends with `%%`, as one; and the number of the line after it."""
        for template in self._echo:
            closing = template.source.rpartition("}")[2].strip()
            if closing and line.upper().startswith(template.prefix) and template.prefix:
                for last in range(number + 1, min(number + _LONGEST_ECHO, len(lines))):
                    if lines[last].rstrip().endswith(closing):
                        return " ".join(part.strip() for part in lines[number:last + 1]), last + 1
        return line, number + 1

    def _take(self, mark: tuple[str, dict[str, str], LineTemplate, str], found: _Found) -> None:
        kind, told, template, code = mark
        if kind == "header":
            if found.code:
                found.via = found.told.get("source", "")
                outer = found.code if self._results.means(found.code) not in ("success", "progress") else ""
                found.body.clear()
                found.code, found.exact = outer, bool(outer)
            found.told.update(told)
        elif kind == "outcome":
            given = told.get("code", "") or code
            if not found.code or (told.get("code") and not found.exact):
                found.code, found.exact = given, bool(told.get("code"))
                found.failing = self._results.means(given) not in ("success", "progress")
                if told.get("text") or "text" not in found.told:
                    found.told["text"] = told.get("text", "")
            if told.get("transaction"):
                found.told["transaction"] = told["transaction"]
        elif kind == "last resort":
            found.last_resort = code
            found.told["text"] = found.told.get("text") or told.get("text", "")
        elif kind == "more":
            found.more = True
        elif kind == "total":
            found.total = int(told["count"])
        elif kind == "text":
            found.told["text"] = found.told.get("text") or told["text"]
        else:
            found.told.update(told)
            if kind in ("autonomous", "ack"):
                found.mark = kind
                found.told["mark"] = template.source.split("{")[0].strip()

    def _unmarked(self, raw: str, line: str, found: _Found) -> None:
        if not line:
            found.body.append("")
        elif found.failing and self._bare_code and not found.exact and _BARE_CODE.match(line):
            found.code, found.exact = line, True
        elif found.failing and self._grammar.tables.style == "quoted" and line[0] == '"':
            said = unescaped(line)
            found.told["text"] = f"{found.told['text']} {said}" if found.told.get("text") else said
        elif found.failing and self._bare_text and not found.told.get("text"):
            found.told["text"] = line
        elif "echo" not in found.told and not found.code and not found.mark and _ECHO.match(line):
            found.told["echo"] = line[:-1]
        elif found.code or found.mark == "autonomous" or not self._grammar.outcome_first:
            found.body.append(raw)
        else:
            found.text.append(line)
            found.body.append(raw)

    def _made(self, text: str, lines: list[str], ended: str, previous: Report | None,
              found: _Found) -> Report | Alarm | Acknowledgement | None:
        told, code = found.told, found.code or found.last_resort
        if found.mark == "ack" and not code:
            return Acknowledgement(told["mark"].split(" ")[0], told["transaction"])
        reader = BodyReader(self._grammar, in_parts=previous is not None and bool(previous.tables))
        source = _COMMENT.sub("", told.get("source", "")).strip()
        if not code and found.mark != "autonomous":
            if self._grammar.continued and previous is not None and previous.more and any(map(str.strip, found.body)):
                fields, tables = reader.read(found.body)
                return Report(previous.retcode, previous.description, fields, tables, previous.command, "", previous.transaction,
                              source=previous.source, time=previous.time, serial=previous.serial, more=found.more, total=found.total,
                              via=previous.via, notes=tuple(reader.notes))
            if self._grammar.assumed and (ended in ("end", "more") or (self._grammar.assumed_at_prompt and text.strip())):
                code = self._grammar.assumed
        if not code:
            if not told and not any(map(str.strip, found.body)):
                return None
            if found.mark != "autonomous":
                return Alarm.of(text, source=source, time=told.get("time", "")) if self._says_something(lines) else None
            fields, tables = reader.read(found.body)
            return Alarm.of(text, kind="alarm", severity=told.get("severity") or told["mark"], serial=told.get("serial", ""),
                            name=told.get("name", ""), source=source, time=told.get("time", ""), fields=fields, tables=tables)
        fields, tables = reader.read(found.body if self._grammar.outcome_first is False or not found.text else self._behind(found))
        serial = told.get("serial", "")
        return Report(code, told.get("text", ""), fields, tables, _META.sub("", told.get("echo", ""), count=1).strip("; "),
                      "", told.get("transaction", ""), source=source or "", time=told.get("time", ""),
                      serial=int(serial[:18]) if serial.isdecimal() else 0,
                      more=found.more or self._results.means(code) == "progress", total=found.total, via=found.via,
                      notes=(*found.text, *reader.notes))

    def _says_something(self, lines: list[str]) -> bool:
        return not self._idle or any(not any(t.read(line) for t in self._idle) for raw in lines if (line := raw.strip()))

    @staticmethod
    def _behind(found: _Found) -> list[str]:
        """The body without the lines that stood before the result, which are notes already."""
        before = len(found.text)
        out = []
        for line in found.body:
            if before and line.strip():
                before -= 1
            else:
                out.append(line)
        return out
