"""A partner that speaks SOAP, as its protocol file and its WSDL describe it together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protocols.mapping import Definition, Template
from protocols.soap.foreign import Contract, ContractError, Problem, Reply, load_contract


def contract_of(definition: Definition, folder: Path) -> Contract:
    """Load the contract a protocol file names. `folder` is where the file stands; nothing outside it is read.

    Raises ContractError.
    """
    if definition.wsdl is None:
        raise ContractError([Problem(folder / f"{definition.protocol}.yaml", 0, "a protocol over soap needs `wsdl:`")])
    return load_contract(folder / definition.wsdl, folder, service=definition.soap.service, port=definition.soap.port,
                         imports={name: folder / file for name, file in definition.imports.items()})


class Answers:
    """A decoded reply as the driver sees it: `retcode` ("0", or the fault's code), `description`, `fields`, `headers`."""

    def __init__(self, definition: Definition) -> None:
        self._code = Template(definition.soap.fault_code)
        self._text = Template(definition.soap.fault_text)

    def seen(self, reply: Reply) -> Mapping[str, Any]:
        """The reply as a plain dict, in which the protocol file's paths are looked up."""
        if reply.fault is None:
            return {"retcode": "0", "description": "", "fields": reply.fields, "headers": reply.headers}
        data = {**reply.fields, "fault": reply.fault, "text": reply.text}
        code, text = self._code.fill(data), self._text.fill(data)
        return {"retcode": reply.fault if code is None else str(code), "description": reply.text if text is None else str(text),
                "fields": reply.fields, "headers": reply.headers}


def nested(places: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with more values put where templates such as `$a.b` would find them; `$fault` and `$text` are no places."""
    out = {name: dict(value) if isinstance(value, Mapping) else value for name, value in fields.items()}
    for template, value in places.items():
        path = template.removeprefix("$").split(".")
        if len(path) > 1:
            into = out
            for name in path[:-1]:
                into = into.setdefault(name, {})
            into[path[-1]] = value
    return out
