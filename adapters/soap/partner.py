"""A partner that speaks SOAP, as its protocol file and its WSDL describe it together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocols.mapping import Definition, Template
from protocols.mapping.engine import text_of
from protocols.soap.foreign import Reply


class Answers:
    """Replies as the driver sees them: `retcode` ("0", or a fault's code), `description`, `fields`, `headers`."""

    def __init__(self, definition: Definition) -> None:
        self._soap = definition.soap
        self._results = definition.results
        self._code = Template(definition.results.code)

    def seen(self, reply: Reply) -> Mapping[str, Any]:
        """A decoded reply as a plain dict, in which the protocol file's paths are looked up."""
        if reply.fault is None:
            return {"retcode": "0", "description": "", "fields": reply.fields, "headers": reply.headers}
        code, text = self._soap.fault(reply.fault, reply.text, reply.fields)
        return self.coded(code, text, reply.fields, reply.headers)

    def coded(self, code: str, text: str, fields: Mapping[str, Any] | None = None,
              headers: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """A refusal: its code and text stand where the file looks for those of an answer too."""
        base = {"retcode": code, "description": text, "fields": fields or {}, "headers": headers or {}}
        return nested({self._results.code: code, self._results.text: text}, base)

    def code(self, reply: Mapping[str, Any]) -> str:
        """The result code of a reply."""
        return text_of(self._code.fill(reply))


def nested(places: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with more values put where templates such as `$a.b` would find them; a constant is no place."""
    out = dict(fields)
    for template, value in places.items():
        if not template.startswith("$"):
            continue
        *way, last = template[1:].split(".")
        into = out
        for name in way:
            under = into.get(name)
            copied: dict[str, Any] = dict(under) if isinstance(under, Mapping) else {}
            into[name] = copied
            into = copied
        into[last] = value
    return out
