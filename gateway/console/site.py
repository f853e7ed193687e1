"""The operator's HTTP port. The machine endpoints are open (bind the port to a trusted network); the page asks who it is."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.template import flattenString

from core.monitor.alarm_objects import Alarms
from gateway.console.page import StatusPage
from gateway.status import Status

StandingAlarms = Callable[[], Deferred[Alarms]]
_PATIENCE = 2.0
"""Seconds that a page waits for the alarms; without them it shows the rest."""


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

    def __init__(self, reactor: Any, status: Status, operators: Mapping[str, str], alarms: StandingAlarms) -> None:
        super().__init__()
        self._reactor = reactor
        self._status = status
        self._operators = operators
        self._alarms = alarms

    def render_GET(self, request: Request) -> bytes | int:
        if not self._is_operator(request):
            request.setResponseCode(401)
            request.setHeader(b"www-authenticate", b'Basic realm="uip console", charset="UTF-8"')
            return b"operators only\n"
        gone: Deferred[None] = request.notifyFinish()
        gone.addErrback(lambda _: None)  # who has asked has left; there is nothing to be done about it
        Deferred.fromCoroutine(self._show(request, gone)).addErrback(request.processingFailed)
        return NOT_DONE_YET

    async def _show(self, request: Request, gone: Deferred[None]) -> None:
        """Write the page. That the alarms cannot be had keeps nobody from seeing the rest."""
        alarms: Alarms | None
        try:
            alarms = await self._alarms().addTimeout(_PATIENCE, self._reactor)
        except Exception:  # noqa: BLE001  # whatever it is, the page says that they are not known
            alarms = None
        if gone.called:
            return
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
        page: Any = StatusPage(self._status.read_all(), alarms)
        flattened: Any = flattenString(None, page)
        request.write(b"<!DOCTYPE html>\n" + bytes(flattened.result))  # the page waits for nothing: its text is there at once
        request.finish()

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


def console_site(reactor: Any, status: Status, metrics: Callable[[], bytes], operators: Mapping[str, str],
                 alarms: StandingAlarms) -> Site:
    """Make the console's HTTP site. `metrics` writes them as text, `alarms` asks for those that stand.

    /health answers 200 while the process can answer at all; /ready answers 503 with the reasons while requests would not
    be taken; /metrics is Prometheus text.
    """
    root: Any = Resource()
    root.putChild(b"", _Page(reactor, status, operators, alarms))
    root.putChild(b"health", _Answer(lambda _: _json(200, {"status": "up"})))

    def ready(_request: Request) -> tuple[int, str, bytes]:
        reasons = status.unready()
        return _json(503 if reasons else 200, {"status": "notReady" if reasons else "ready", "reasons": reasons})

    root.putChild(b"ready", _Answer(ready))
    root.putChild(b"metrics", _Answer(lambda _: (200, CONTENT_TYPE_LATEST, metrics())))
    site = Site(root, parsePOSTFormSubmission=False, timeout=30, reactor=reactor)
    site.displayTracebacks = False
    return site
