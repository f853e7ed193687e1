"""The slow path: spyne itself reads a payload, with its own validation. For what the hot path does not take, and to check it against.

What spyne makes of a payload is turned back into plain fields, so that both paths end in the same model.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from lxml import etree

from protocols.soap import spyne_compat as spyne
from protocols.soap.contract import Contract
from protocols.soap.decode import collapse
from protocols.soap.faults import INVALID, UNKNOWN_OPERATION, SoapError, Version
from protocols.soap.shapes import Kind, Record


class SpyneReader:
    """Reads payloads of one contract by spyne. Not for use in two threads at once."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._server = spyne.ServerBase(contract.application)
        self._shapes = {pair.name: contract.shapes.of(pair.request) for pair in contract.pairs}

    def fields(self, payload: Any) -> tuple[str, dict[str, Any]]:
        """Return the operation and its fields. Raises SoapError(Client.Invalid or Client.UnknownOperation)."""
        name = etree.QName(payload.tag).localname
        if name not in self._shapes:
            raise SoapError(UNKNOWN_OPERATION, f"unknown operation {name}")
        payload = deepcopy(payload)
        collapse(payload, self._shapes[name])
        text = etree.tostring(payload, encoding="unicode")
        envelope = f'<s:Envelope xmlns:s="{Version.V11.value}"><s:Body>{text}</s:Body></s:Envelope>'
        context = spyne.MethodContext(self._server, spyne.MethodContext.SERVER)
        context.in_string = [envelope.encode()]
        contexts = self._server.generate_contexts(context)
        context = contexts[0]
        try:
            if context.in_error is None:
                self._server.get_in_object(context)
            if context.in_error is not None:
                raise SoapError(INVALID, "the request does not fit the contract")
            return name, _fields(self._shapes[name], context.in_object)
        finally:
            context.close()


def _fields(shape: Record, made: Any) -> dict[str, Any]:
    fields = {}
    for member in shape.members:
        value = getattr(made, member.name)
        if value is None or (member.many and not value):
            continue
        many = list(value) if member.many else [value]
        plain = [_plain(member.type, one) for one in many]
        fields[member.name] = plain if member.many else plain[0]
    return fields


def _plain(shape: Any, value: Any) -> Any:
    if isinstance(shape, Record):
        return _fields(shape, value)
    if shape.kind is Kind.BINARY:
        return b"".join(value)
    return value
