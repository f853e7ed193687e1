"""Generated business objects: every model of the catalogue, filled by its own rules."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st
from pydantic import AwareDatetime

from adapters.mml.native import MESSAGE_ID, is_object, parameters, shape_of
from core.messages.base import BusinessObject, Characteristic, Money

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=20)
WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=12)
INSTANTS = st.integers(946_684_800, 4_102_444_800).map(lambda s: datetime.fromtimestamp(s, UTC))


def _bound(info: Any, name: str) -> Any:
    return next((getattr(m, name) for m in info.metadata if getattr(m, name, None) is not None), None)


def values(kind: Any, info: Any, words: st.SearchStrategy[str], items: int) -> st.SearchStrategy[Any]:
    """Values of a plain type within a field's bounds; what is not within them yet is sifted out by `objects`."""
    if kind is bool:
        return st.booleans()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if kind is int:
        return st.integers(_bound(info, "ge") or 0, _bound(info, "le") or 1000)
    if kind is float:
        return st.integers(0, 1000).map(float)
    if kind is Decimal:
        return st.decimals(Decimal("0.01"), 9999, places=2)
    if kind in (datetime, AwareDatetime):
        return INSTANTS
    if kind is date:
        return st.dates(date(2000, 1, 1), date(2100, 1, 1))
    if kind is str:
        return words
    if kind is bytes:
        return st.binary(min_size=1, max_size=30)  # nothing and no value look alike in a table
    assert is_object(kind), kind
    return objects(kind, words, items)


@st.composite
def objects(draw: Any, model: type[BusinessObject], words: st.SearchStrategy[str] = TEXT, items: int = 1) -> BusinessObject:
    """An object of `model`, its optional fields there or not, its lists up to `items` long."""
    data: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if not info.is_required() and draw(st.booleans()):
            continue
        kind, many = shape_of(info.annotation)
        if kind is Characteristic:
            continue
        if model is Money and name == "unit":
            data[name] = draw(st.sampled_from(["EUR", "SEK", "USD"]))
        elif many:
            data[name] = tuple(draw(st.lists(values(kind, info, words, items), min_size=1, max_size=items)))
        else:
            data[name] = draw(values(kind, info, words, items))
    try:
        return model.model_validate(data)
    except ValueError:
        reject()


@st.composite
def characteristics(draw: Any, request: type[BusinessObject]) -> tuple[Characteristic, ...]:
    """Characteristics that a command can carry: names in capitals that are no parameters."""
    taken = {*parameters(request), MESSAGE_ID}
    name = st.from_regex(r"[A-Z_][A-Z0-9_]{0,11}", fullmatch=True).filter(lambda n: n not in taken)
    names = draw(st.lists(name, max_size=4, unique=True))
    return tuple(Characteristic(name=n, value=draw(TEXT)) for n in names)
