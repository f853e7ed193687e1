"""The floors: what the same load comes to on servers that do less. Each runs in a process of its own.

`echo` is a bare twisted.web resource that sends the request's body back; `spyne` is a stock spyne application (schema
validation by lxml) with the gateway's own contract, on twisted.web, storing nothing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from gateway.running import ready_line


class _Leaf(Resource):
    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, answer: Callable[[Request, bytes], bytes]) -> None:
        super().__init__()
        self._answer = answer

    def render_POST(self, request: Request) -> bytes:
        content: Any = request.content
        return self._answer(request, content.read())


def _echo(request: Request, body: bytes) -> bytes:
    request.setHeader("content-type", "text/xml; charset=utf-8")
    return body


def _spyne() -> Callable[[Request, bytes], bytes]:
    importlib.import_module("protocols.soap.spyne_compat")  # makes spyne importable on new Pythons, so it has to come first
    from spyne import Application, ComplexModel, DateTime, Integer, ServiceBase, Unicode, rpc
    from spyne.protocol.soap import Soap11
    from spyne.server.http import HttpBase, HttpMethodContext, HttpTransportContext

    class RelatedParty(ComplexModel):
        __namespace__ = "urn:uip:1"
        _type_info = [("id", Unicode(min_occurs=1)), ("name", Unicode(min_occurs=1)), ("role", Unicode)]

    class Characteristic(ComplexModel):
        __namespace__ = "urn:uip:1"
        _type_info = [("name", Unicode(min_occurs=1)), ("value", Unicode(min_occurs=1))]

    class Item(ComplexModel):
        __namespace__ = "urn:uip:1"
        _type_info = [("id", Unicode), ("action", Unicode), ("quantity", Integer), ("productOffering", Unicode(min_occurs=1)),
                      ("productCharacteristic", Characteristic.customize(max_occurs="unbounded")), ("state", Unicode)]

    class StateChange(ComplexModel):
        __namespace__ = "urn:uip:1"
        _type_info = [("state", Unicode), ("changeDate", DateTime)]

    class ProductOrder(ComplexModel):
        __namespace__ = "urn:uip:1"
        _type_info = [("id", Unicode), ("href", Unicode), ("externalId", Unicode), ("state", Unicode), ("orderDate", DateTime),
                      ("relatedParty", RelatedParty), ("productOrderItem", Item.customize(max_occurs="unbounded")),
                      ("account", Unicode), ("requestedStartDate", DateTime), ("priority", Integer), ("note", Unicode),
                      ("stateChange", StateChange.customize(max_occurs="unbounded"))]

    from datetime import UTC, datetime

    class Ordering(ServiceBase):
        @rpc(Unicode(min_occurs=1), RelatedParty.customize(min_occurs=1), Item.customize(min_occurs=1, max_occurs="unbounded"),
             Unicode, DateTime, Integer, Unicode, _returns=ProductOrder)
        def SubmitProductOrder(_ctx: Any, externalId: Any, relatedParty: Any, productOrderItem: Any, account: Any,
                               requestedStartDate: Any, priority: Any, note: Any) -> Any:
            now = datetime.now(UTC)
            for item in productOrderItem:
                item.state = "acknowledged"
            return ProductOrder(id=f"PO-{externalId}", href=f"/productOrder/{externalId}", externalId=externalId, state="acknowledged",
                                orderDate=now, relatedParty=relatedParty, productOrderItem=productOrderItem, account=account,
                                requestedStartDate=requestedStartDate, priority=priority, note=note,
                                stateChange=[StateChange(state="acknowledged", changeDate=now)])

    class Transport(HttpTransportContext):
        def get_request_method(self) -> str:
            return str(self.req.method.decode("ascii"))

        def get_request_content_type(self) -> str:
            return str(self.req.getHeader("content-type"))

        def get_path(self) -> str:
            return str(self.req.path.decode("latin-1"))

        def get_path_and_qs(self) -> str:
            return str(self.req.uri.decode("latin-1"))

    class Context(HttpMethodContext):
        HttpTransportContext = Transport

    server = HttpBase(Application([Ordering], "urn:uip:1", in_protocol=Soap11(validator="lxml"), out_protocol=Soap11()))

    def answer(request: Request, body: bytes) -> bytes:
        context = Context(server, request, server.app.out_protocol.mime_type)
        context.in_string = [body]
        context, *_ = server.generate_contexts(context)
        if context.in_error is None:
            server.get_in_object(context)
        if context.in_error is None:
            server.get_out_object(context)
        if context.in_error is not None:
            context.out_object, context.out_error = context.in_error, context.in_error
        server.get_out_string(context)
        request.setHeader("content-type", "text/xml; charset=utf-8")
        payload = b"".join(context.out_string)
        context.close()
        return payload

    return answer


FLOORS: Mapping[str, Callable[[], Callable[[Request, bytes], bytes]]] = {"echo": lambda: _echo, "spyne": _spyne}


def serve(name: str, reactor: Any) -> None:
    """Serve a floor on a free port and print it, until the process is ended."""
    site = Site(_Leaf(FLOORS[name]()), parsePOSTFormSubmission=False, reactor=reactor)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    sys.stdout.write(ready_line({name: f"127.0.0.1:{port.getHost().port}"}) + "\n")
    sys.stdout.flush()
    reactor.run()
