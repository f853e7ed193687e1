"""Protocol files by path or by the name of a bundled one, and the dialects they can name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.documents import Document, SiteError, load_yaml
from config.loader import BUNDLED
from config.served import read_definition
from plugins.registry import load_functions
from protocols.mapping import Definition
from protocols.mml import Dialect, DialectError
from protocols.wording import nearest

BUNDLED_PROTOCOLS = BUNDLED / "demo" / "protocols"


def read_protocol(name: str) -> tuple[Document, Definition]:
    """Read and check a protocol file. Raises SiteError with every mistake: file, line, path and the nearest right name; and
    plugins.registry.PluginError.
    """
    file = Path(name)
    if not name.endswith((".yaml", ".yml")) and not file.is_file():
        file = BUNDLED_PROTOCOLS / f"{name}.yaml"
        if not file.is_file():
            raise SiteError([Document(Path(name), {}).problem((), "there is no such file, nor a bundled one"
                                                              f"{nearest(name, [f.stem for f in BUNDLED_PROTOCOLS.glob('*.yaml')])}")])
    document = load_yaml(file)
    load_functions()
    definition, wrong = read_definition(document.data)
    if definition is None or wrong:
        raise SiteError(document.problem(where, text) for where, text in wrong)
    return document, definition


def dialect_documents(file: Path) -> Mapping[str, Document]:
    """The dialect files a protocol file can name: of its own site, beside it, bundled. Raises SiteError."""
    found: dict[str, Document] = {}
    here = file.absolute().parent
    for folder in (here.parent / "dialects", here / "dialects", here, BUNDLED / "dialects"):
        for other in sorted(folder.glob("*.yaml")):
            document = load_yaml(other)
            data = document.data
            if isinstance(data, Mapping) and isinstance(data.get("dialect"), str) and "protocol" not in data:
                found.setdefault(data["dialect"], document)
    return found


def dialects_for(file: Path) -> Mapping[str, Mapping[str, Any]]:
    """What those files say. Raises SiteError."""
    return {name: document.data for name, document in dialect_documents(file).items()}


def dialect_of(document: Document, definition: Definition) -> Dialect:
    """The dialect a protocol file names. Raises SiteError."""
    dialects = dialects_for(document.file)
    name = definition.dialect or ""
    if name not in dialects:
        raise SiteError([document.problem(("dialect",), f"no dialect {name}{nearest(name, dialects)}")])
    try:
        return Dialect.load(dialects[name])
    except DialectError as error:
        raise SiteError([document.problem(("dialect",), f"{name}: {error}")]) from None
