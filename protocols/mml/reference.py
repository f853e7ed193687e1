"""The editors' schema and the reference page of dialect files."""

from __future__ import annotations

from protocols.mml.dialect import Dialect
from protocols.reference import page_of, schema_of

SCHEMA_FILE = "config/site/schema/dialect.json"
REFERENCE_FILE = "protocols/mml/REFERENCE.md"

_HEAD = f"""\
# Reference of dialect files

Made from the models by `python -m protocols.mml`; a test sees to it that this page and [the schema for editors](../../{SCHEMA_FILE})
are up to date. For an editor with a YAML language server, begin a file with
`# yaml-language-server: $schema=<path to the schema>`. The guide, with an example of each knob, is [README.md](README.md).
"""


def schema() -> str:
    """The JSON schema of a dialect file, as text."""
    return schema_of(Dialect, "Dialect file")


def reference() -> str:
    """The reference page, as Markdown."""
    return page_of(Dialect, _HEAD)
