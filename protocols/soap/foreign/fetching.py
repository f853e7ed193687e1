"""Copies of contracts' files that are on other machines: fetched once, ahead, and read from the site ever after.

A copy's name follows from its address, and references in it are made absolute, so a copy needs no list beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

from lxml import etree

from protocols.mapping import Definition
from protocols.soap.foreign.documents import MAX_BYTES, MAX_FILES, ContractError, Documents, Problem, copy_of, parse_xml, references
from protocols.soap.foreign.partner import root_of

Get = Callable[[str], bytes]
"""Fetches an address. Raises OSError."""


def fetch(definition: Definition, folder: Path, get: Get) -> list[str]:
    """Fetch what a protocol file's contract needs from other machines and has no copy of. `folder` is where the file stands.

    Returns the addresses fetched. Raises ContractError naming what cannot be had.
    """
    if definition.wsdl is None:
        return []
    fetched: list[str] = []
    if "://" in definition.wsdl and not copy_of(definition.wsdl, folder).is_file():
        _keep(definition.wsdl, folder, get, folder / f"{definition.protocol}.yaml")
        fetched.append(definition.wsdl)
    imports = {name: folder / file for name, file in definition.imports.items()}
    while len(fetched) < MAX_FILES:
        documents = Documents(root_of(definition, folder), folder, imports)
        if not documents.elsewhere:
            break
        for address in documents.elsewhere:
            _keep(address, folder, get, documents.root)
            fetched.append(address)
    return fetched


def _keep(address: str, folder: Path, get: Get, asked_from: Path) -> None:
    try:
        data = get(address)
    except OSError as error:
        raise ContractError([Problem(asked_from, 0, f"{address} cannot be fetched: {error}")]) from None
    if len(data) > MAX_BYTES:
        raise ContractError([Problem(asked_from, 0, f"{address} is larger than {MAX_BYTES} bytes")])
    try:
        root = parse_xml(data)
    except ValueError as error:
        raise ContractError([Problem(asked_from, 0, f"{address} {error}")]) from None
    for node, attribute in references(root):
        location = node.get(attribute)
        if location:
            node.set(attribute, urljoin(address, location))
    copy = copy_of(address, folder)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(etree.tostring(root.getroottree(), xml_declaration=True, encoding="utf-8"))
