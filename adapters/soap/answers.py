"""Answers sent elsewhere (WS-Addressing ReplyTo): posted to the asker's own address, tried again for a while, bounded in number.

They are kept in memory only: the work itself is stored before the answer is sent, and an asker that misses its answer gets the
stored one by asking again with the same key.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.web.client import Agent, FileBodyProducer, readBody
from twisted.web.http_headers import Headers

from plugins.api import Failure, Kind

MAX_WAITING: Final = 1_000
PAUSES: Final = (1.0, 4.0, 16.0, 60.0)
"""Seconds before each further try."""
TIMEOUT: Final = 15.0


class Answers:
    """Sends answers to addresses that begin with one of `allowed`."""

    def __init__(self, reactor: Any, log: Any, allowed: tuple[str, ...]) -> None:
        self._reactor = reactor
        self._log = log
        self._allowed = allowed
        self._agent = Agent(reactor, connectTimeout=TIMEOUT)
        self._waiting: set[Deferred[None]] = set()
        self._stopped = False

    def check(self, address: str) -> None:
        """Refuse an address before anything is done. Raises Failure: not allowed here, or too many answers wait already."""
        if not address.startswith(self._allowed):
            raise Failure(Kind.AUTHORIZATION, "answers are not sent to that ReplyTo address from here")
        if len(self._waiting) >= MAX_WAITING:
            raise Failure(Kind.BUSY, "too many answers wait to be delivered")

    def send(self, address: str, body: bytes, content_type: str) -> None:
        """Begin to send; failures are logged."""
        sending = Deferred.fromCoroutine(self._send(address, body, content_type))
        self._waiting.add(sending)
        sending.addErrback(lambda f: None if f.check(CancelledError) else self._log.error("an answer could not be sent", exc_info=f.value))
        sending.addBoth(lambda _: self._waiting.discard(sending))

    def stop(self) -> None:
        """Try no more."""
        self._stopped = True
        for sending in tuple(self._waiting):
            sending.cancel()

    async def _send(self, address: str, body: bytes, content_type: str) -> None:
        for pause in (0.0, *PAUSES):
            if pause:
                await deferLater(self._reactor, pause)
            try:
                status = await self._post(address, body, content_type)
            except Exception as error:  # noqa: BLE001  # whatever hinders it, it is tried again
                if self._stopped:
                    return
                reason = type(error).__name__
            else:
                if status < 300:
                    return
                reason = f"status {status}"
            self._log.warning("an answer was not taken", address=address, reason=reason)

    async def _post(self, address: str, body: bytes, content_type: str) -> int:
        headers = Headers({"content-type": [content_type], "soapaction": ['""']})
        producer: Any = FileBodyProducer(BytesIO(body))  # the stubs do not know that it is an IBodyProducer
        asking = self._agent.request(b"POST", address.encode(), headers, producer)
        response = await asking.addTimeout(TIMEOUT, self._reactor)
        await readBody(response).addTimeout(TIMEOUT, self._reactor)
        return int(response.code)
