"""`python -m protocols.mml`, in the project's folder: write the editors' schema and the reference page."""

from __future__ import annotations

from pathlib import Path

from protocols.mml.reference import REFERENCE_FILE, SCHEMA_FILE, reference, schema

if __name__ == "__main__":
    root = Path(__file__).parents[2]
    for name, text in ((SCHEMA_FILE, schema()), (REFERENCE_FILE, reference())):
        (root / name).write_text(text, encoding="utf-8")
