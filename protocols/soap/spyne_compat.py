"""The one place that imports spyne, made to load on every Python we run on, with the parts of it that need mending.

spyne 2.14.0 (2022) carries a copy of six 1.14, whose lazy modules cannot be imported since Python 3.12 (no `find_spec`), so a
current six is registered in its place before spyne is loaded. It also imports `cgi`, which Python 3.13 left out: the
distribution `legacy-cgi` brings that back. Whoever needs spyne imports this first.
"""

from __future__ import annotations

import importlib
import logging
import operator
import sys
import warnings
from typing import Any

import six  # type: ignore[import-untyped]  # ships no types

_SIX = "spyne.util.six"
_LAZY = ("moves", "moves.urllib", "moves.urllib.parse", "moves.urllib.request", "moves.http_cookies", "moves.collections_abc")


def _replace_six() -> None:
    if _SIX in sys.modules:
        return
    if not hasattr(six, "get_function_name"):  # spyne added it to its copy
        six.get_function_name = operator.attrgetter("__name__")
    sys.modules[_SIX] = six
    for name in _LAZY:
        sys.modules[f"{_SIX}.{name}"] = importlib.import_module(f"six.{name}")


_replace_six()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # that `cgi` will go is dealt with above
    import spyne.const
    from spyne import Application, Fault, MethodContext, ServiceBase, rpc
    from spyne.interface.wsdl import Wsdl11
    from spyne.model import ByteArray
    from spyne.model.complex import ComplexModel, ComplexModelMeta
    from spyne.model.primitive import Boolean, Date, DateTime, Decimal, Double, Integer32, Integer64, Unicode
    from spyne.protocol.soap import Soap11, Soap12
    from spyne.server import ServerBase

# MethodContext.close() would run a full garbage collection up to once a second, in the middle of a request.
spyne.const.MIN_GC_INTERVAL = float("inf")
# It logs a bad request whole at ERROR, with the credentials and numbers it may hold.
logging.getLogger("spyne").setLevel(logging.CRITICAL)
logging.getLogger("spyne.protocol.xml.invalid").setLevel(logging.CRITICAL + 1)


def complex_type(name: str, namespace: str, members: list[tuple[str, Any]]) -> Any:
    """Make a spyne complex type whose members are in the given order."""
    return ComplexModelMeta(name, (ComplexModel,), {"__namespace__": namespace, "__type_name__": name, "_type_info": members})


__all__ = ["Application", "Boolean", "ByteArray", "ComplexModel", "Date", "DateTime", "Decimal", "Double", "Fault", "Integer32",
           "Integer64", "MethodContext", "ServerBase", "ServiceBase", "Soap11", "Soap12", "Unicode", "Wsdl11", "complex_type", "rpc"]
