"""The bytes between pika's protocol machine and a Twisted transport: the only module that touches pika's adapter side.

pika's own Twisted adapter is deprecated (gone in 2.0), imports the global reactor, closes dead connections in a way that
waits for a peer that no longer listens, and lets one message with unreadable headers end the connection, which brings
that message back again and again. This one does none of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
import pika.connection
import pika.exceptions
import pika.frame
import pika.spec
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure as TwistedFailure

from adapters.amqp.frames import BODY, END, FRAME, HEADER, HEARTBEAT, METHOD, OVERHEAD, Traffic

_FRAME_MAX = 131_072
_KINDS = frozenset({METHOD, HEADER, BODY, HEARTBEAT})


class _Machine(pika.connection.Connection):  # type: ignore[misc]  # pika ships no types
    """pika's protocol machine; the methods are those its adapters implement."""

    def __init__(self, reactor: Any, parameters: Any, opened: Callable[[], None], lost: Callable[[Exception], None]) -> None:
        self._reactor = reactor
        self.transport: Any = None
        self.watched: dict[int, Traffic] = {}
        self._rest = b""
        super().__init__(parameters, lambda _: opened(), lambda _, error: lost(error), lambda _, error: lost(error),
                         internal_connection_workflow=False)

    def connected(self, transport: Any) -> None:
        self.transport = transport
        self._on_stream_connected()

    def disconnected(self, reason: Exception) -> None:
        self.transport = None
        self._on_stream_terminated(self._error or reason)

    def data_available(self, data: bytes) -> None:
        """Take the frames out one by one. Messages and confirms of channels that are watched (`Wire.watch`) go past pika."""
        buffer = self._rest + data if self._rest else data
        at, end = 0, len(buffer)
        while end - at > OVERHEAD - 1:
            kind, channel, size = FRAME.unpack_from(buffer, at)
            stop = at + size + OVERHEAD
            if kind not in _KINDS or size > (self.params.frame_max or _FRAME_MAX):
                raise pika.exceptions.InvalidFrameError(f"no frame: type {kind}, {size} bytes")
            if stop > end:
                break
            if buffer[stop - 1] != END:
                raise pika.exceptions.InvalidFrameError(f"a frame ends in {buffer[stop - 1]}, not in {END}")
            self.bytes_received += size + OVERHEAD
            traffic = self.watched.get(channel)
            if traffic is None or not traffic.take(kind, buffer[at + OVERHEAD - 1:stop - 1]):
                self._process_frame(pika.frame.decode_frame(buffer[at:stop])[1])
            at = stop
        self._rest = buffer[at:]

    def send(self, frames: bytes) -> None:
        """Send frames that were made without pika."""
        self.bytes_sent += len(frames)
        self._adapter_emit_data(frames)

    def fail(self, reason: Exception) -> None:
        """End the connection for `reason`, without a word to the peer."""
        if self.transport is not None and not self.is_closed:
            self._terminate_stream(reason)

    def _adapter_connect_stream(self) -> None:
        raise NotImplementedError("the endpoint connects")

    def _adapter_disconnect_stream(self) -> None:
        # Not loseConnection: it waits until what was written is sent, which a dead peer never lets happen.
        if self.transport is not None:
            self.transport.abortConnection()

    def _adapter_emit_data(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def _adapter_call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        return self._reactor.callLater(delay, callback)

    def _adapter_remove_timeout(self, timeout_id: Any) -> None:
        if timeout_id.active():
            timeout_id.cancel()

    def _adapter_add_callback_threadsafe(self, callback: Callable[[], None]) -> None:
        self._reactor.callFromThread(callback)


class Wire(Protocol):
    """One AMQP connection. `opened` fires when the broker has let us in, or fails; `on_lost` is called once after that."""

    def __init__(self, reactor: Any, parameters: Any) -> None:
        self.opened: Deferred[None] = Deferred()
        self.on_lost: Callable[[Exception], None] | None = None
        self.machine = _Machine(reactor, parameters, self._let_in, self._lost)
        self._in = False

    def connectionMade(self) -> None:
        """Speak first."""
        assert self.transport is not None
        self.transport.setTcpNoDelay(True)
        self.machine.connected(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Hand on what came; a broker that breaks the protocol loses the connection, with its reason."""
        try:
            self.machine.data_available(data)
        except Exception as error:  # noqa: BLE001  # whatever pika raises, the stream cannot be followed any further
            self.drop(error)

    def connectionLost(self, reason: TwistedFailure | None = None) -> None:
        """Tell who waits."""
        self.machine.disconnected(ConnectionError(reason.getErrorMessage() if reason else "connection lost"))

    @property
    def longest(self) -> int:
        """The most bytes that a frame's payload may have, as agreed with the broker."""
        return (self.machine.params.frame_max or _FRAME_MAX) - OVERHEAD

    def watch(self, channel: int, traffic: Traffic) -> None:
        """Have what `traffic` takes of a channel given to it instead of pika."""
        self.machine.watched[channel] = traffic

    def send(self, frames: bytes) -> None:
        """Send frames that were made without pika."""
        self.machine.send(frames)

    def drop(self, error: Exception) -> None:
        """End the connection at once, whatever the peer does."""
        self.machine.fail(error)

    def _let_in(self) -> None:
        self._in = True
        self.opened.callback(None)

    def _lost(self, error: Exception) -> None:
        if not self._in:
            self.opened.errback(error)
        elif self.on_lost is not None:
            self.on_lost(error)
