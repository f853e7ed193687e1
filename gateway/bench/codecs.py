"""Codecs alone: how many commands a second one core reads, maps, checks and answers, free of sockets, sessions and store.

For each bundled dialect: 16 commands of 15 parameters arrive together; each is parsed, mapped and checked as a protocol file says,
and answered in the dialect. Beside them the floor `split`: the same text cut at `;` and `,` (which is wrong as soon as a value
holds one), nothing checked, a constant answer. And how the cost grows: nanoseconds a byte for commands of 1, 8 and 64 thousand
bytes that arrive in pieces as from a socket, and microseconds a command with 10 and with 2,000 commands in the map.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import yaml

from adapters.mml.language import fields_of, report_of
from config.loader import BUNDLED
from gateway.bench.report import laid_out
from protocols.base import CodecError
from protocols.dialects import client_codec, server_codec
from protocols.mapping import Definition, Serving
from protocols.mml import Command, Dialect

DEPTH = 16
SIZES = (1_000, 8_000, 64_000)
MAPS = (10, 2_000)
_SEGMENT = 1_460
_NAME = "NEW ORDER"
_WIDTH = 26
_ROUND = 0.002
_REPLY = {"id": "PO0197f2a4c3b1", "state": "acknowledged", "externalId": "R-1000234", "items": [{"id": "1", "state": "acknowledged"}]}

PARAMETERS = (
    ("REF", "R-1000234"), ("CUSTOMER", "C-1000234"), ("NAME", "Ann Lee"), ("PLAN", "01"), ("COUNT", "1"), ("MSISDN", "491701234567"),
    ("IMSI", "262011234567890"), ("START", "2099-01-01T00:00:00+00:00"), ("ACCOUNT", "ACC-1000234"), ("PRIORITY", "2"),
    ("CHANNEL", "web"), ("REGION", "north"), ("AGENT", "A17"), ("SIM", "esim"), ("NOTE", "to be left alone"))
TAKES: dict[str, dict[str, Any]] = {
    "externalId": {"from": "$REF", "required": True, "max_length": 64},
    "relatedParty.id": {"from": "$CUSTOMER", "required": True},
    "relatedParty.name": {"from": "$NAME", "required": True},
    "offering": {"from": "$PLAN", "required": True, "codes": {"01": "mobile-basic", "02": "mobile-plus"}},
    "quantity": {"from": "$COUNT", "type": "integer", "default": 1, "minimum": 1, "maximum": 10},
    "msisdn": {"from": "$MSISDN", "pattern": "[0-9]{5,15}"},
    "imsi": {"from": "$IMSI", "pattern": "[0-9]{14,15}"},
    "requestedStartDate": {"from": "$START", "type": "datetime"},
    "account": {"from": "$ACCOUNT"},
    "priority": {"from": "$PRIORITY", "type": "integer", "minimum": 0, "maximum": 4},
    "channel": {"from": "$CHANNEL", "one_of": ["web", "shop", "partner"]},
    "region": {"from": "$REGION"},
    "agent": {"from": "$AGENT", "max_length": 16},
    "sim": {"from": "$SIM", "one_of": ["esim", "plastic"]},
    "note": {"from": "$NOTE"}}
_ANSWER: dict[str, Any] = {
    "text": "Order {id}", "fields": {"ORDERNO": {"from": "$id"}, "STATUS": {"from": "$state"}, "REF": {"from": "$externalId"}}}


@dataclass(frozen=True, slots=True)
class CodecRow:
    """What one dialect came to, by the processor time of the best of many short rounds: other work on the machine only ever adds.

    `ns_a_byte` belongs to SIZES, `us_by_map` to MAPS.
    """

    name: str
    rate: float
    us: float
    ns_a_byte: Sequence[float] = ()
    us_by_map: Sequence[float] = ()

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self)


class Exchange:
    """Both ends of one dialect, and a protocol file with `commands` commands between what is read and what is answered."""

    def __init__(self, dialect: Dialect, commands: int = 1) -> None:
        self._client, self._server = client_codec(dialect), server_codec(dialect)
        self._name = _NAME if dialect.command.max_words > 1 else _NAME.replace(" ", "")
        self._serving = _serving(self._name, commands)

    def asked(self, count: int, size: int = 0) -> bytes:
        """The bytes of so many commands; of about `size` bytes each, where it is given."""
        note = "x" * (size - len(self._client.send(self._command("x"))) + 1) if size else ""
        return b"".join(self._client.send(self._command(note, number)) for number in range(1, count + 1))

    def _command(self, note: str, number: int = 1) -> Command:
        parameters = (*PARAMETERS[:-1], ("NOTE", note)) if note else PARAMETERS
        return Command(self._name, parameters, session="0000000A", transaction=f"{number:08X}")

    def answered(self, data: bytes) -> list[bytes]:
        """The answers to what arrived. Raises CodecError or MappingError when something about it is wrong."""
        server, serving = self._server, self._serving
        answers = []
        for command in server.receive_data(data):
            if not isinstance(command, Command):
                raise CodecError(f"the bench's own command was not understood: {command}")
            serving.parse(command.name, fields_of(command))
            answers.append(server.send(report_of(serving.pack(command.name, _REPLY), command)))
        return answers


@lru_cache(maxsize=4)
def _serving(name: str, commands: int) -> Serving:
    """What a protocol file makes of so many commands; the same for every dialect that can say the name."""
    served = {"request": "SubmitProductOrder", "takes": TAKES, "answer": _ANSWER}
    names = [name, *(f"{name}{number}" for number in range(1, commands))]
    serves = Definition.load({"protocol": "bench", "transport": "mml", "dialect": "huawei-text",
                              "serves": {"commands": dict.fromkeys(names, served)}}).serves
    assert serves is not None
    return Serving(serves)


def measure(seconds: float) -> Iterator[CodecRow]:
    """Measure the floor, then every bundled dialect, each for about `seconds`."""
    turn = seconds / (1 + len(SIZES) + len(MAPS))
    asked = Exchange(bundled("huawei-text")).asked(DEPTH).decode()
    us = _best(lambda: _split(asked), turn) / DEPTH
    yield CodecRow("split", 1e6 / us, us)
    for file in sorted((BUNDLED / "dialects").glob("*.yaml")):
        yield _row(file.stem, turn)


def bundled(name: str, size: int = 0) -> Dialect:
    """A bundled dialect. Where its records have their fields declared, it is given those of the bench, the last as wide as `size` asks."""
    data = yaml.safe_load((BUNDLED / "dialects" / f"{name}.yaml").read_text("utf-8"))
    record = data.get("record", {})
    if record.get("format") == "fixed":
        used = sum(_WIDTH for _ in PARAMETERS[:-1])
        wide = [{"name": parameter, "width": _WIDTH} for parameter, _ in PARAMETERS]
        wide[-1]["width"] = max(_WIDTH, size - used - sum(field["width"] for field in record["layouts"]["*"]) - len(b"\r\n"))
        record["layouts"][_NAME] = [*record["layouts"]["*"], *wide]
        record["answers"][_NAME] = [*record["answers"]["*"], *({"name": field, "width": _WIDTH} for field in _ANSWER["fields"])]
    return Dialect.load(data)


def _row(name: str, turn: float) -> CodecRow:
    one = Exchange(bundled(name))
    us = _taken(one, one.asked(DEPTH), turn) / DEPTH
    ns = []
    for size in SIZES:
        longer = Exchange(bundled(name, size))
        data = longer.asked(1, size)
        ns.append(_taken(longer, data, turn, _SEGMENT) / len(data) * 1000)
    by_map = []
    for commands in MAPS:
        exchange = Exchange(bundled(name), commands)
        by_map.append(_taken(exchange, exchange.asked(DEPTH), turn) / DEPTH)
    return CodecRow(name, 1e6 / us, us, ns, by_map)


def _taken(exchange: Exchange, data: bytes, turn: float, piece: int = 0) -> float:
    """Microseconds until everything in `data` is answered, which comes in pieces of so many bytes."""
    pieces = [data[at:at + piece] for at in range(0, len(data), piece)] if piece else [data]

    def work() -> None:
        for part in pieces:
            exchange.answered(part)

    return _best(work, turn)


def _best(work: Callable[[], object], turn: float) -> float:
    """Microseconds of processor time for `work`: the best of short rounds, for `turn` seconds."""
    clock = time.thread_time
    begun = clock()
    work()
    calls = range(max(1, int(_ROUND / (clock() - begun))))
    best, until = float("inf"), time.monotonic() + turn
    while time.monotonic() < until or best == float("inf"):
        begun = clock()
        for _ in calls:
            work()
        best = min(best, (clock() - begun) / len(calls))
    return best * 1e6


def _split(text: str) -> bytes:
    """The floor: as little as can be called reading and answering."""
    answers = []
    for command in text.split(";")[:-1]:
        name, _, rest = command.partition(":")
        fields = dict(part.split("=", 1) for part in rest.split(","))
        answers.append(f"{name.strip()}: {fields['REF']}\r\n".encode())
    return b"".join(answers)


def table(rows: Sequence[CodecRow]) -> str:
    """Lay the rows out for reading."""
    floor = next((row.rate for row in rows if row.name == "split"), 0.0)
    heads = ("dialect", "commands/s", "us each", *(f"ns/byte {size // 1000} KB" for size in SIZES), *(f"us, {n:,} in map" for n in MAPS),
             "ratio")
    lines = [(r.name, f"{r.rate:,.0f}", f"{r.us:.1f}", *(_shown(r.ns_a_byte, len(SIZES))), *(_shown(r.us_by_map, len(MAPS))),
              f"{r.rate / floor:.2f} x split" if floor and r.name != "split" else "-") for r in rows]
    return laid_out([heads, *lines])


def _shown(values: Sequence[float], count: int) -> list[str]:
    return [f"{value:.1f}" for value in values] or ["-"] * count
