"""The editors' schema and the reference page, both made from the models, so that they cannot say anything else."""

from __future__ import annotations

from protocols.mapping.definition import Definition
from protocols.mapping.functions import functions
from protocols.reference import page_of, schema_of

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
    return schema_of(Definition, "Protocol file")


def reference() -> str:
    """The reference page, as Markdown."""
    return page_of(Definition, _HEAD.format(schema=SCHEMA_FILE, functions=", ".join(f"`{name}`" for name in sorted(functions()))))
