"""One mend of zeep 4.3, which reads WSDL and XML Schema for us: a WSDL split over several files of one namespace is found whole.

zeep remembers which definitions it has searched by their namespace, and so passes over every further file of the same
namespace; remembered by the object itself, all are searched.
"""

from __future__ import annotations

from typing import Any

from zeep.wsdl import wsdl


def _get(self: Any, name: str, key: str, searched: set[int] | None = None) -> Any:
    """Find a message, port type, binding or service here or in what is imported. Raises IndexError, as zeep expects."""
    here = getattr(self, name)
    if key in here:
        return here[key]
    searched = set() if searched is None else searched
    if id(self) not in searched:
        searched.add(id(self))
        for imported in self.imports.values():
            try:
                return _get(imported, name, key, searched)
            except IndexError:
                continue
    raise IndexError(f"no definition {key!r} in {name}")


wsdl.Definition.get = _get  # type: ignore[method-assign]  # that is the mend
