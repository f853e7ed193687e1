"""The guide, the reference page and the editors' schema of dialect files say what the models say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from protocols.mml import Dialect
from protocols.mml.reference import REFERENCE_FILE, SCHEMA_FILE, reference, schema
from tests.protocols.mapping.test_reference import wrong
from tests.protocols.mml.speaking import BUNDLED, of

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "protocols/mml/README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n# on ([\w-]+)\n(.*?)```", GUIDE, re.DOTALL)
SCHEMA = json.loads(schema())


@pytest.mark.parametrize(("name", "made"), [(SCHEMA_FILE, schema), (REFERENCE_FILE, reference)])
def test_nothing_has_drifted(name: str, made: Any) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == made(), f"{name} is out of date: run `python -m protocols.mml`"


def parts() -> dict[str, Any]:
    return {"Dialect": SCHEMA, **SCHEMA["$defs"]}


def test_every_key_has_a_meaning() -> None:
    assert [f"{name}.{key}" for name, part in parts().items() for key, said in part.get("properties", {}).items()
            if not said.get("description")] == []


@pytest.mark.parametrize("name", BUNDLED)
def test_the_schema_allows_what_the_bundled_files_say(name: str) -> None:
    assert list(wrong(of(name), SCHEMA, SCHEMA["$defs"], "")) == []


def test_the_schema_refuses_what_is_not_known() -> None:
    data = of("records-fixed")
    data["record"]["layouts"]["*"][0]["widht"] = 3
    assert list(wrong(data, SCHEMA, SCHEMA["$defs"], "")) == [".record.layouts.*[0].widht"]


def laid_over(under: Any, over: Any) -> Any:
    """Mappings are laid over one another; layouts and everything else take the place of what was there."""
    if not isinstance(under, dict) or not isinstance(over, dict) or "*" in over or ("code" in over and "constants" in over):
        return over
    return {**under, **{key: laid_over(under.get(key), value) for key, value in over.items()}}


@pytest.mark.parametrize(("pack", "example"), EXAMPLES, ids=[f"{n}-{pack}" for n, (pack, _) in enumerate(EXAMPLES)])
def test_an_example_of_the_guide_is_right(pack: str, example: str) -> None:
    said = yaml.safe_load(example)
    Dialect.load(laid_over(of(pack), said))
    assert list(wrong(said, SCHEMA, SCHEMA["$defs"], "")) == []


OF_PROTOCOL_FILES = {"FieldMap", "ListMap", "Condition"}
"""Explained where protocol files are."""


def test_every_knob_has_an_example() -> None:
    shown: set[str] = set()
    for _, example in EXAMPLES:
        _note(yaml.safe_load(example), "Dialect", shown)
    assert sorted({f"{name}.{key}" for name, part in parts().items() if name not in OF_PROTOCOL_FILES
                   for key in part.get("properties", {})} - shown) == []


def test_every_pack_is_named() -> None:
    assert all(f"{name}" in GUIDE or f"-{name.partition('-')[2]}" in GUIDE for name in BUNDLED)


def _note(data: Any, model: str, shown: set[str]) -> None:
    """Note which keys of which models an example uses."""
    for key, value in data.items():
        said = parts()[model]["properties"][key]
        shown.add(f"{model}.{key}")
        refs = re.findall(r"#/\$defs/(\w+)", json.dumps(said))
        if not refs:
            continue
        values = [value]
        while values and not all(isinstance(v, dict) and set(v) <= set(parts()[refs[0]]["properties"]) for v in values):
            values = [inner for v in values for inner in (v.values() if isinstance(v, dict) else v if isinstance(v, list) else [])
                      if isinstance(inner, (dict, list))]
        for inner in values:
            _note(inner, refs[0], shown)
