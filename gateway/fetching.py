"""Contracts of partners that are on other machines, fetched into a site before it is checked."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from config.documents import Problem, SiteError, load_yaml
from protocols.mapping import Definition, DefinitionError
from protocols.soap.foreign import ContractError, fetch
from protocols.soap.foreign.documents import MAX_BYTES

FETCH_SECONDS = 30.0
"""How long one address may be silent."""


def fetch_contracts(site: Path) -> Iterator[str]:
    """Fetch what the site's protocol files over SOAP need and have no copy of; gives each address fetched.

    Files that are wrong are passed over: the check that follows tells what is wrong. Raises SiteError when something cannot be had.
    """
    for file in sorted((site / "protocols").glob("*.yaml")):
        try:
            definition = Definition.load(load_yaml(file).data)
        except (SiteError, DefinitionError):
            continue
        if definition.transport != "soap":
            continue
        try:
            yield from fetch(definition, file.parent, _get)
        except ContractError as error:
            raise SiteError(Problem(p.file, max(p.line, 1), "", p.message) for p in error.problems) from None


def _get(address: str) -> bytes:
    if not address.startswith(("http://", "https://")):
        raise OSError("only http and https addresses are fetched")
    try:
        with urllib.request.urlopen(address, timeout=FETCH_SECONDS) as answer:  # noqa: S310 (looked at above)
            data: bytes = answer.read(MAX_BYTES + 1)
            return data
    except (HTTPException, ValueError) as error:
        raise OSError(str(error)) from None
