"""The bundled dialects, and for each what its commands and reports can say: strategies for property tests."""


from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from protocols.mml import Command, Dialect, ListValue, MmlClientCodec, MmlServerCodec, Range, Report

FOLDER = Path(__file__).parents[3] / "config/site/dialects"
VECTORS = Path(__file__).parents[2] / "vectors/mml"
BUNDLED = {path.stem: Dialect.load(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in sorted(FOLDER.glob("*.yaml"))}
DIALECTS = {name: dialect for name, dialect in BUNDLED.items() if dialect.framing != "records"}
QUOTES_BACKSLASH = {"huawei-text", "framed", "framed-zte", "zte-text", "ericsson-cai", "tl1"}
BLOCKS = {"ericsson-axe", "nokia-dx200", "tl1"}

Codec = MmlClientCodec | MmlServerCodec
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def of(name: str) -> dict[str, Any]:
    """A bundled file, parsed, to be changed."""
    data = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    at = [0, *sorted(c % (len(data) + 1) for c in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(at) if a < b]


def fed(codec: Codec, chunks: Iterable[bytes]) -> list[Any]:
    return [event for chunk in chunks for event in codec.receive_data(chunk)]


def shape(event: Any) -> Any:
    """What can be compared: errors by their text, alarms and lists with their attributes."""
    return repr(event) if not isinstance(event, str) else (repr(event), getattr(event, "fields", None), getattr(event, "tables", None))


def text(name: str, *, least: int = 1, extra: str = "") -> st.SearchStrategy[str]:
    """Text the dialect's charset has, no controls, no blanks at the ends."""
    charset = DIALECTS[name].charset
    letters = {"utf-8": "abcXYZ019 _.:;=,&|'\"\\/*<>-%()é中ñ", "gbk": "abcXYZ019 _.:;=,&|'\"\\/*<>-%()中乗昞",
               "latin-1": "abcXYZ019 _.:;=,&|'\\/*<>-%()éñ"}[charset]
    return st.text(letters + extra, min_size=least, max_size=30).map(str.strip).filter(lambda s: len(s) >= least)


WORDS = {"ericsson-axe": ["HGSDC", "HGSUC"], "nokia-dx200": ["ZMIO", "ZXXX"], "tl1": ["RTRV ALM ALL", "ENT EQPT"],
         "ericsson-cai": ["GET HLRSUB", "SET HLRSUB"]}
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True)


def values(name: str) -> st.SearchStrategy[str]:
    plain = text(name, least=0 if name not in BLOCKS else 1)
    if name == "ericsson-cai":
        return text(name)
    units = text(name)
    listed = st.lists(st.one_of(units, st.builds(Range, units, units)), min_size=2, max_size=4).map(ListValue.of)
    return st.one_of(plain, plain, listed)


@st.composite
def commands(draw: st.DrawFn, name: str) -> Command:
    """A command the dialect can say."""
    words = draw(st.sampled_from(WORDS.get(name, ["LST SUB", "ADD ORDER ITEM", "LGO"])))
    parameters = dict(draw(st.lists(st.tuples(NAMES, values(name)), max_size=6, unique_by=lambda p: p[0])))
    if name in BLOCKS:
        positions = {f"{b}-{p}" if b > 1 else str(p): draw(values(name)) for b, p in draw(
            st.sets(st.tuples(st.integers(1, 4), st.integers(1, 5)), max_size=4))}
        ordered = sorted(positions.items(), key=lambda i: [int(n) for n in (i[0] if "-" in i[0] else f"1-{i[0]}").split("-")])
        parameters = {k: v for k, v in parameters.items() if k != "GENERAL"} if not ordered else dict(ordered)
    framed = DIALECTS[name].framing == "framed"
    hexes = st.text("0123456789ABCDEF", min_size=8, max_size=8)
    tl1 = name == "tl1"
    tag = st.from_regex(r"[A-Za-z0-9]{1,6}", fullmatch=True)
    return Command(words, tuple(parameters.items()), session=draw(hexes) if framed else "",
                   transaction=draw(hexes) if framed else draw(tag) if tl1 else "",
                   tid=draw(tag) if tl1 else "", aid=draw(tag) if tl1 else "")


def cell(name: str) -> st.SearchStrategy[str]:
    """A cell: single blanks only, and none of the marks that a line of data may not begin with (those are covered on their own)."""
    letters = "abcXYZ019_.:=,/*éñ " if DIALECTS[name].charset != "gbk" else "abcXYZ019_.:=,/* 中"
    return st.text(letters, min_size=1, max_size=12).map(lambda s: " ".join(s.split())).filter(
        lambda s: s and s[0] not in ".=" and s[0].isalnum() and not s.endswith(("=", ":"))
        and not any(mark in s for mark in (" =", "= ", ": ", "...")))


@st.composite
def reports(draw: st.DrawFn, name: str) -> Report:
    """A report the dialect can say."""
    dialect = DIALECTS[name]
    framed, inline = dialect.framing == "framed", dialect.report.form == "inline"
    good = draw(st.booleans())
    code = dialect.results.ok if good else draw(st.sampled_from(["1301", "4002", "77"]))
    names = st.from_regex(r"[A-Z][A-Z0-9_]{1,9}", fullmatch=True).filter(
        lambda n: n not in ("RETN", "DESC", "ATTR", "RESULT", "END") and not n.endswith(("_ATTR", "_RESULT")))
    fields = draw(st.dictionaries(names, text(name) if name == "huawei-text" or inline else cell(name), max_size=5))
    columns = draw(st.lists(names.filter(lambda n: n not in fields), min_size=2, max_size=4, unique=True))
    if name == "ericsson-cai":
        columns = [str(n) for n in range(1, len(columns) + 1)]
    if inline:
        letters = "abcXYZ019_.; é" if dialect.charset == "utf-8" else "abcXYZ019_.; 中"
        cells = st.text(letters, min_size=1, max_size=9).map(lambda s: " ".join(s.split())).filter(bool)
    else:
        cells = cell(name)
    row = st.fixed_dictionaries(dict.fromkeys(columns, cells))
    titles = st.from_regex(r"[a-z][a-z0-9]{1,9}", fullmatch=True).filter(lambda t: t.upper() not in fields) if inline else names
    tables = draw(st.dictionaries(titles, st.lists(row, min_size=2, max_size=4).map(tuple), max_size=2)) if good or inline else {}
    if name == "tl1":
        tables = {"rows": next(iter(tables.values()))} if tables and not fields else {}
    describes = (not good) if name in ("ericsson-cai", "ericsson-axe", "nokia-dx200", "tl1") else True
    told = cell(name).filter(lambda s: not s.isupper() and not s.isdecimal() and "*" not in s and "/" not in s)
    description = draw(told) if describes else ""
    if not good and name in BLOCKS:
        fields = {}
    head = name in ("huawei-text", "tl1")
    hexes = st.text("0123456789ABCDEF", min_size=8, max_size=8)
    return Report(code, description, fields, tuple(tables.items()),
                  command=draw(st.sampled_from(["LST SUB", "ADD X"])) if framed or name in ("huawei-text", "zte-text") else "",
                  session=draw(hexes) if framed else "", transaction=draw(hexes) if framed else "C7" if name == "tl1" else "",
                  source="NE 1" if head else "UIP" if inline else "",
                  time=("26" if name == "tl1" else "2026") + "-11-24 08:54:14" if head else "",
                  serial=draw(st.integers(0, 10**9)) if name == "huawei-text" else 0,
                  more=draw(st.booleans()) if head and not (name == "tl1" and tables) else False)
