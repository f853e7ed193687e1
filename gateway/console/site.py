"""The operator's HTTP port. The machine endpoints are open (bind the port to a trusted network); the page asks who it is."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.template import flattenString

from gateway.console.page import StatusPage
from gateway.status import Status


class _Answer(Resource):
    """A GET that is answered at once."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, answer: Callable[[Request], tuple[int, str, bytes]]) -> None:
        super().__init__()
        self._answer = answer

    def render_GET(self, request: Request) -> bytes:
        code, content_type, body = self._answer(request)
        request.setResponseCode(code)
        request.setHeader(b"content-type", content_type.encode())
        request.setHeader(b"cache-control", b"no-store")
        return body


def _json(code: int, body: Mapping[str, Any]) -> tuple[int, str, bytes]:
    return code, "application/json", orjson.dumps(body) + b"\n"


class _Page(Resource):
    """The status page, for operators only."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, status: Status, operators: Mapping[str, str]) -> None:
        super().__init__()
        self._status = status
        self._operators = operators

    def render_GET(self, request: Request) -> bytes:
        if not self._is_operator(request):
            request.setResponseCode(401)
            request.setHeader(b"www-authenticate", b'Basic realm="uip console", charset="UTF-8"')
            return b"operators only\n"
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
        page: Any = StatusPage(self._status.read_all())
        flattened: Any = flattenString(None, page)
        return b"<!DOCTYPE html>\n" + bytes(flattened.result)  # the page waits for nothing: its text is there at once

    def _is_operator(self, request: Request) -> bool:
        scheme, _, encoded = (request.getHeader("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        expected = self._operators.get(name)
        return hmac.compare_digest((expected or "\0").encode(), secret.encode()) and expected is not None


def console_site(reactor: Any, status: Status, metrics: Callable[[], bytes], operators: Mapping[str, str]) -> Site:
    """Make the console's HTTP site. `metrics` writes them as text.

    /health answers 200 while the process can answer at all; /ready answers 503 with the reasons while requests would not
    be taken; /metrics is Prometheus text.
    """
    root: Any = Resource()
    root.putChild(b"", _Page(status, operators))
    root.putChild(b"health", _Answer(lambda _: _json(200, {"status": "up"})))

    def ready(_request: Request) -> tuple[int, str, bytes]:
        reasons = status.unready()
        return _json(503 if reasons else 200, {"status": "notReady" if reasons else "ready", "reasons": reasons})

    root.putChild(b"ready", _Answer(ready))
    root.putChild(b"metrics", _Answer(lambda _: (200, CONTENT_TYPE_LATEST, metrics())))
    site = Site(root, parsePOSTFormSubmission=False, timeout=30, reactor=reactor)
    site.displayTracebacks = False
    return site
