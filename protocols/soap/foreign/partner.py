"""A protocol file and the contract it names, together."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from protocols.mapping import Definition
from protocols.mapping.mistakes import Where
from protocols.soap.foreign.checking import wrong_names
from protocols.soap.foreign.codec import Call
from protocols.soap.foreign.contract import Contract, load_contract
from protocols.soap.foreign.documents import ContractError, Problem, copy_of


def contract_of(definition: Definition, folder: Path) -> Contract:
    """Load the contract a protocol file names. `folder` is where the file stands; nothing outside it is read.

    Raises ContractError.
    """
    return load_contract(root_of(definition, folder), folder, service=definition.soap.service, port=definition.soap.port,
                         imports={name: folder / file for name, file in definition.imports.items()},
                         validate=definition.soap.validate_messages)


def root_of(definition: Definition, folder: Path) -> Path:
    """The file of the contract's WSDL: the copy, where it is on another machine. Raises ContractError."""
    own = folder / f"{definition.protocol}.yaml"
    if definition.wsdl is None:
        raise ContractError([Problem(own, 0, "a protocol over soap needs `wsdl:`")])
    if "://" not in definition.wsdl:
        return folder / definition.wsdl
    copy = copy_of(definition.wsdl, folder)
    if not copy.is_file():
        raise ContractError([Problem(own, 0, f"{definition.wsdl} is on another machine: `uip check DIR --fetch` keeps a copy of it")])
    return copy


def reply_headers(definition: Definition, contract: Contract, call: Call, now: datetime) -> dict[str, Any]:
    """The headers of an answer, as the protocol file makes them: those that the contract has for it. Raises MappingError."""
    operation = contract.operations[call.operation]
    declared = operation.output.headers if operation.output is not None else {}
    return {name: value for name, value in definition.soap.answered(call.headers, now, call.operation).items() if name in declared}


def check(definition: Definition, folder: Path) -> tuple[list[tuple[Where, str]], list[Problem]]:
    """Every mistake of a protocol file over SOAP that only its contract shows: those in the file itself, by the way to them,
    and those in the contract's files. Blocks while the contract is read.
    """
    if definition.wsdl is None:
        return [((), "`wsdl:` is missing: a protocol over soap names its contract")], []
    try:
        contract = contract_of(definition, folder)
    except ContractError as error:
        if "://" in definition.wsdl and not copy_of(definition.wsdl, folder).is_file():
            return [(("wsdl",), error.problems[0].message)], []
        return [], error.problems
    return list(wrong_names(definition, contract)), []
