"""A protocol file to begin with, for a partner's contract: every operation with the fields it needs, and what else it can hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from urllib.parse import urlsplit

from protocols.soap.foreign.contract import Contract, Operation
from protocols.soap.foreign.listing import ANYTHING, Field, fields_of
from protocols.soap.foreign.schema import Schema

_TYPES = {"integer": "integer", "decimal": "decimal", "boolean": "boolean"}
_PORTS = {"https": 443}
_ASKS = re.compile("Get|Query|List|Search|Find|Read|Retrieve|Check|Describe|Inquire|Ping", re.IGNORECASE)
"""Names of operations that change nothing, as a rule."""
_USER = "user: USER, secret: {env: SECRET}"
_MOST = 60
"""Fields that are listed of one message."""


def protocol_of(name: str, wsdl: str, contract: Contract, imports: Mapping[str, str], unsound: str = "") -> str:
    """Write the file. Commands are named as the contract's operations and take the fields these need, each under its last name.
    `imports` are the files that references which lead nowhere stand for, `unsound` says why nothing can be checked against the schemas.
    """
    address = urlsplit(contract.address)
    port = address.port or _PORTS.get(address.scheme, 80)
    tls = ", tls: {}" if address.scheme == "https" else ""
    return "\n".join([
        f"# {name}: the service {contract.service}, port {contract.port} (SOAP {contract.version}), as {wsdl} says. Keys are explained in",
        "# protocols/mapping/REFERENCE.md, what is special about SOAP in protocols/soap/foreign/README.md. `uip check` holds this file",
        "# against the contract. In uip.yaml:",
        f"#   connectors: {{{name}: {{protocol: {name}, host: {address.hostname or 'HOST'}, port: {port}{tls}, {_USER}}}}}",
        f"protocol: {name}", "transport: soap", f"wsdl: {wsdl}",
        *(["imports:", *(f"  {json.dumps(reference)}: {json.dumps(file)}" for reference, file in imports.items())] if imports else []),
        *([f"# {unsound}"] if unsound else []),
        f"soap: {{service: {contract.service}, port: {contract.port}{', validate: false' if unsound else ''}}}",
        "timeout: 5    # seconds until the whole answer is there",
        *(f"# {operation} is left out: {why}" for operation, why in contract.left_out.items()), "",
        "# Each command as a recipe or a core asks for it: name it as they do (`createSubscriber`; a bureau's is `QueryBureau`), and say",
        "# where its fields come from. Delete what is not wanted.",
        "operations:", *(line for operation in contract.operations.values() for line in _operation(operation, contract.schema)), ""])


def _operation(operation: Operation, schema: Schema) -> Iterator[str]:
    wanted = list(fields_of(operation.input, schema, needed=True))
    known = [field for field in wanted if field.kind != ANYTHING]
    needed = {field.path: called for field, called in zip(known, _names(known), strict=True)}
    yield f"  {operation.name}:"
    if _ASKS.match(operation.name):
        yield "    repeatable: true"
    else:
        yield "    # either `repeatable: true`, where twice does no harm, or a `query:` that tells whether it has been done"
    if needed:
        yield "    takes:"
        for field in known:
            called, kind = needed[field.path], _TYPES.get(field.kind)
            among = f"    # {' | '.join(field.among)}" if field.among else ""
            yield f"      {called}: {{from: ${called}, required: true{f', type: {kind}' if kind else ''}}}{among}"
    yield "    send:"
    yield f"      - command: {operation.name}"
    if needed:
        yield "        fields:"
        yield from (f"          {path}: {{from: ${called}}}" for path, called in needed.items())
    yield from _listed("it also needs", (field for field in wanted if field.path not in needed))
    yield from _listed("it can also hold", (field for field in fields_of(operation.input, schema) if not field.needed))
    yield from (f"        # header {name}, see `soap.headers` and `soap.session`" for name in operation.input.headers)
    if operation.output is None:
        yield "        # one-way: nothing comes back"
    else:
        yield from _listed("comes back, for `reply: {NAME: {from: $fields.PATH}}`", fields_of(operation.output, schema))
    yield from (f"        # may fail with ${element.name}, see `soap.fault_code`" for element in operation.faults.values())


def _listed(what: str, fields: Iterator[Field]) -> Iterator[str]:
    first = next(fields, None)
    if first is None:
        return
    yield f"        # {what}:"
    for field in (first, *islice(fields, _MOST - 1)):
        kind = " | ".join(field.among) or field.kind
        more = f"{', a list' if field.many else ''}{'' if field.needed else ', optional'}"
        yield f"        #   {field.path or 'the whole'}: {kind}{more}"
    if next(fields, None) is not None:
        yield "        #   and more"


def _names(fields: list[Field]) -> list[str]:
    """A short name for each: the last of its path, with what is before it where two would be the same."""
    names: list[str] = []
    for field in fields:
        steps = [step for step in re.split(r"[^A-Za-z0-9]+", field.path) if step and step != "text"] or ["value"]
        length, name = 1, steps[-1]
        while name in names and length < len(steps):
            length += 1
            name = steps[-length] + "".join(step[:1].upper() + step[1:] for step in steps[len(steps) - length + 1:])
        while name in names:
            name += "_"
        names.append(name)
    return names
