"""The command language itself (shape of ITU-T Z.315): one command's text to and from `Command`."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from protocols.base import LocalProtocolError, RemoteProtocolError
from protocols.mml.messages import Command

# Possessive quantifiers keep a hostile value from being tried twice.
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*+")|/\*.*?\*/', re.DOTALL)
_NAME = re.compile(r"\s*([A-Za-z][\w-]*(?:\s+[A-Za-z][\w-]*){0,3})\s*(?::|$)")
_PARAMETER = re.compile(r'\s*([A-Za-z_]\w*)\s*(?:=\s*((?:"(?:[^"\\]|\\.)*+"|[^,"=]++)*+))?(,|$)')
_UNIT = re.compile(r'"((?:[^"\\]|\\.)*+)"')
_ESCAPE = re.compile(r"\\(.)")
_BARE = re.compile(r"[A-Za-z0-9_.+&-]+\Z")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
_WORDS = re.compile(r"[A-Z][A-Z0-9_-]*(?: [A-Z][A-Z0-9_-]*){0,3}\Z")
_PARAMETER_NAME = re.compile(r"[A-Z_][A-Z0-9_]*\Z")


def parse_command(text: str, mask: AbstractSet[str]) -> Command:
    """Read one command without its terminator. Raises RemoteProtocolError with the position of the fault."""
    if "/*" in text:
        text = _COMMENT.sub(lambda m: m[1] or " ", text)
    head = _NAME.match(text)
    if head is None:
        raise RemoteProtocolError("not a command: VERB OBJECT:NAME=value,...", position=0)
    position, end = head.end(), len(text)
    parameters: list[tuple[str, str]] = []
    hidden: list[tuple[int, int]] = []
    while position < end and not (not parameters and text[position:].isspace()):
        found = _PARAMETER.match(text, position)
        if found is None or (found[3] and found.end() == end):
            raise RemoteProtocolError("a parameter is not NAME=value", position=position)
        name, value = found[1].upper(), (found[2] or "").strip()
        if name in mask and found[2]:
            hidden.append(found.span(2))
        if '"' in value:
            value = _UNIT.sub(_plain, value)
        parameters.append((name, value))
        position = found.end()
    raw = text
    for start, stop in reversed(hidden):
        raw = f"{raw[:start]}*****{raw[stop:]}"
    return Command(" ".join(head[1].upper().split()), tuple(parameters), " ".join(raw.split()))


def _plain(unit: re.Match[str]) -> str:
    return _ESCAPE.sub(r"\1", unit[1]) if "\\" in unit[1] else unit[1]


def pack_command(command: Command) -> str:
    """Write a command without its terminator. Raises LocalProtocolError when a name or value cannot be said."""
    if not _WORDS.match(command.name):
        raise LocalProtocolError(f"not a command name: {command.name!r}")
    return command.name + ":" + ",".join(f"{_named(name)}={quoted(value)}" for name, value in command.parameters)


def _named(name: str) -> str:
    if not _PARAMETER_NAME.match(name):
        raise LocalProtocolError(f"not a parameter name: {name!r}")
    return name


def quoted(value: str) -> str:
    """Write a value, quoted unless it is plain. Raises LocalProtocolError on control characters."""
    if _BARE.match(value):
        return value
    if _UNSAFE.search(value):
        raise LocalProtocolError("a value holds a control character")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
