"""The editors' schema and the reference page, both made from the models, so that they cannot say anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from protocols.mapping.definition import Definition
from protocols.mapping.functions import functions

SCHEMA_FILE = "config/site/schema/protocol.json"
REFERENCE_FILE = "protocols/mapping/REFERENCE.md"

_HEAD = """\
# Reference of protocol files

Made from the models by `python -m protocols.mapping`; a test sees to it that this page and [the schema for editors](../../{schema})
are up to date. For an editor with a YAML language server, begin a file with
`# yaml-language-server: $schema=<path to the schema>`. How to begin is in [README.md](README.md).

**Templates.** `$a.b` is the field `b` of `a`, with its type; `{{a.b}}` inside a text puts it there; a number selects from a list
(`$items.0.id`); anything else is a constant. Where a field that is needed is missing, the whole has no value. What a template
sees depends on where it stands and is said below.

**Codes** are texts: write them in quotes, since YAML takes `0000` for a number and `NO` for false.

**Functions** for `apply:`: {functions}.
"""


def schema() -> str:
    """The JSON schema of a protocol file, as text."""
    made = Definition.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "Protocol file"
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def reference() -> str:
    """The reference page, as Markdown."""
    made = Definition.model_json_schema()
    parts: Mapping[str, Any] = made["$defs"]
    lines = [_HEAD.format(schema=SCHEMA_FILE, functions=", ".join(f"`{name}`" for name in sorted(functions())))]
    for name in _in_order(made, parts):
        lines += _section(name, made if name == "Definition" else parts[name])
    return "\n".join(lines).rstrip() + "\n"


def _in_order(made: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    """The models in the order in which a reader meets them."""
    order = ["Definition"]
    for name in order:
        for found in _refs(made if name == "Definition" else parts[name]):
            if found not in order:
                order.append(found)  # the list is the queue
    return order


def _refs(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        if "$ref" in part:
            yield part["$ref"].rpartition("/")[2]
        for key, value in part.items():
            if key != "$defs":
                yield from _refs(value)
    elif isinstance(part, list):
        for value in part:
            yield from _refs(value)


def _section(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name}\n"
    if "description" in part:
        yield " ".join(part["description"].split()) + "\n"
    if "enum" in part:
        yield ", ".join(f"`{value}`" for value in part["enum"]) + "\n"
    properties: Mapping[str, Any] = part.get("properties", {})
    if not properties:
        return
    required = set(part.get("required", ()))
    yield "| key | value | without it | meaning |\n| --- | --- | --- | --- |"
    for key, said in properties.items():
        default = "**needed**" if key in required else "as there" if "$ref" in said else _default(said.get("default"))
        yield f"| `{key}` | {_kind(said)} | {default} | {_cell(said.get('description', ''))} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(value: Any) -> str:
    return "" if value in (None, {}, [], "") else f"`{_cell(json.dumps(value, ensure_ascii=False))}`"


def _kind(said: Mapping[str, Any]) -> str:
    if "$ref" in said:
        name = said["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in said:
        return " or ".join(dict.fromkeys(_kind(one) for one in said["anyOf"] if one.get("type") != "null"))
    if "allOf" in said:
        return _kind(said["allOf"][0])
    if "enum" in said:
        return ", ".join(f"`{value}`" for value in said["enum"])
    if "const" in said:
        return f"`{said['const']}`"
    kind = said.get("type")
    if kind == "array":
        return f"list of {_kind(said.get('items', {}))}"
    if kind == "object":
        inner, names = said.get("additionalProperties"), said.get("propertyNames", {}).get("enum")
        by = f"by {', '.join(f'`{name}`' for name in names)}" if names else "by name"
        return f"{by}: {_kind(inner)}" if isinstance(inner, Mapping) else "mapping"
    plain = {"string": "regular expression" if said.get("format") == "regex" else "text", "integer": "whole number", "number": "number",
             "boolean": "true or false"}.get(str(kind), "anything")
    return plain + _bounds(said)


def _bounds(said: Mapping[str, Any]) -> str:
    least = said.get("minimum", said.get("exclusiveMinimum"))
    most = said.get("maximum", said.get("exclusiveMaximum"))
    if least is not None and most is not None:
        return f", {least} to {most}"
    if least is not None:
        return f", {'above' if 'exclusiveMinimum' in said else 'from'} {least}"
    return f", up to {most}" if most is not None else ""
