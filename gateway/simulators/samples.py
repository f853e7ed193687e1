"""The samples kept beside protocol files: samples/PROTOCOL/NAME.in, what is expected in NAME.out, the business reply in NAME.reply.json.

A NAME that begins with `answer` is what an element says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from config.documents import Document
from gateway.simulators.trying import Trial
from protocols.mapping import Definition


def protocol_files(where: Path) -> Iterator[Path]:
    """The protocol files at a place: a file, a folder of them, or a site. Raises ValueError when there are none."""
    if where.is_file():
        yield where
        return
    folder = where / "protocols" if (where / "protocols").is_dir() else where
    found = sorted(folder.glob("*.yaml"))
    if not found:
        raise ValueError(f"{where}: there are no protocol files")
    yield from found


def samples_of(document: Document, definition: Definition) -> list[Path]:
    """The samples of a protocol file."""
    return sorted((document.file.parent / "samples" / definition.protocol).glob("*.in"))


def tried(document: Document, definition: Definition, sample: Path) -> tuple[str, str]:
    """What was expected of a sample, and what is said now. Raises OSError, and ValueError when its reply is not JSON."""
    replies, expected = sample.with_suffix(".reply.json"), sample.with_suffix(".out")
    reply = json.loads(replies.read_text(encoding="utf-8")) if replies.is_file() else None
    told = Trial(document, definition, reply).run(sample.read_bytes(), answers=sample.name.startswith("answer")).told
    return expected.read_text(encoding="utf-8") if expected.is_file() else "", told


def write_expected(document: Document, definition: Definition) -> int:
    """Write what is said now as what is expected. Returns for how many samples. Raises as `tried`."""
    samples = samples_of(document, definition)
    for sample in samples:
        sample.with_suffix(".out").write_text(tried(document, definition, sample)[1], encoding="utf-8")
    return len(samples)
