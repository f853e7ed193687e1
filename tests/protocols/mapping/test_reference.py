"""The editors' schema and the reference page say what the models say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from protocols.mapping import Definition
from protocols.mapping.functions import functions
from protocols.mapping.reference import REFERENCE_FILE, SCHEMA_FILE, reference, schema

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "config/site").rglob("*protocol*/*.yaml"))


@pytest.mark.parametrize(("name", "made"), [(SCHEMA_FILE, schema), (REFERENCE_FILE, reference)])
def test_nothing_has_drifted(name: str, made: Any) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == made(), f"{name} is out of date: run `python -m protocols.mapping`"


def test_every_key_has_a_meaning() -> None:
    made = json.loads(schema())
    parts = {"Definition": made, **made["$defs"]}
    assert [f"{name}.{key}" for name, part in parts.items() for key, said in part.get("properties", {}).items()
            if not said.get("description")] == []


def test_every_function_is_named() -> None:
    assert all(f"`{name}`" in reference() for name in functions())


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_the_schema_allows_what_the_bundled_files_say(file: Path) -> None:
    data = yaml.safe_load(file.read_text())
    Definition.load(data)
    made = json.loads(schema())
    assert list(wrong(data, made, made["$defs"], "")) == []


def test_the_schema_refuses_what_is_not_known() -> None:
    data = yaml.safe_load((ROOT / "config/site/demo/protocols/hlr.yaml").read_text())
    data["operations"]["createSubscriber"]["takes"]["imsi"] = {"form": "$imsi"}
    made = json.loads(schema())
    assert list(wrong(data, made, made["$defs"], "")) == [".operations.createSubscriber.takes.imsi.form"]


def wrong(data: Any, said: dict[str, Any], parts: dict[str, Any], where: str) -> list[str]:
    """The keys that the schema does not know, as an editor would mark them."""
    if "$ref" in said:
        return wrong(data, parts[said["$ref"].rpartition("/")[2]], parts, where)
    if data is None and any(one.get("type") == "null" for one in said.get("anyOf", ())):
        return []
    if "anyOf" in said:
        return min((wrong(data, one, parts, where) for one in said["anyOf"] if one.get("type") != "null"), key=len)
    if isinstance(data, list):
        if "items" not in said:
            return [where]
        return [w for n, item in enumerate(data) for w in wrong(item, said["items"], parts, f"{where}[{n}]")]
    if not isinstance(data, dict):
        return [where] if said.get("type") in {"object", "array"} else []
    found: list[str] = []
    for key, value in data.items():
        inner = said.get("properties", {}).get(key, said.get("additionalProperties", "properties" not in said and "type" not in said))
        if inner is False:
            found.append(f"{where}.{key}")
        elif isinstance(inner, dict):
            found += wrong(value, inner, parts, f"{where}.{key}")
    return found
