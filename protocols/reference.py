"""A file's reference page and the schema for editors, both made from its models, so that they cannot say anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel


def schema_of(model: type[BaseModel], title: str) -> str:
    """The JSON schema of a file, as text."""
    made = model.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = title
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def page_of(model: type[BaseModel], head: str) -> str:
    """The reference page, as Markdown: `head`, then each model in the order in which a reader meets them."""
    made = model.model_json_schema()
    parts: Mapping[str, Any] = {**made.get("$defs", {}), model.__name__: made}
    lines = [head]
    order = [model.__name__]
    for name in order:
        for found in _refs(parts[name]):
            if found not in order:
                order.append(found)  # the list is the queue
    for name in order:
        lines += _section(name, parts[name])
    return "\n".join(lines).rstrip() + "\n"


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
        return ", ".join(f"`{_shown(value)}`" for value in said["enum"])
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


def _shown(value: Any) -> str:
    """A text with its control characters escaped."""
    return json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else str(value)


def _bounds(said: Mapping[str, Any]) -> str:
    least = said.get("minimum", said.get("exclusiveMinimum"))
    most = said.get("maximum", said.get("exclusiveMaximum"))
    if least is not None and most is not None:
        return f", {least} to {most}"
    if least is not None:
        return f", {'above' if 'exclusiveMinimum' in said else 'from'} {least}"
    return f", up to {most}" if most is not None else ""
