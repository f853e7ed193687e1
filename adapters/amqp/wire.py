"""The bytes between pika's protocol machine and a Twisted transport: the only module that touches pika's adapter side.

pika's own Twisted adapter is deprecated (gone in 2.0), imports the global reactor, closes dead connections in a way that
waits for a peer that no longer listens, and lets one message with unreadable headers end the connection, which brings
that message back again and again. This one does none of these.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pika
import pika.connection
import pika.exceptions
import pika.frame
import pika.spec
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure as TwistedFailure

_HEADER = struct.Struct(">BHL")
_FRAME_HEADER = 7
_FRAME_MAX = 131_072
_CONTENT = frozenset({pika.spec.FRAME_HEADER, pika.spec.FRAME_BODY})
_KINDS = _CONTENT | {pika.spec.FRAME_METHOD, pika.spec.FRAME_HEARTBEAT}
_DELIVERIES = frozenset({pika.spec.Basic.Deliver.INDEX, pika.spec.Basic.Return.INDEX})
_CONTENT_HEADER = 12
_FLAG_MORE = 1


class DamagedProperties(pika.spec.BasicProperties):  # type: ignore[misc]  # pika ships no types
    """Properties whose headers pika cannot decode (a timestamp beyond year 9999, not-a-number, an unknown field type).

    All other properties are there, so that the message can be answered and dead-lettered.
    """

    damaged = True


def _without_headers(encoded: bytes) -> bytes:
    """The same encoded properties with an empty table of headers. Raises struct.error."""
    flags, = struct.unpack_from(">H", encoded)
    if flags & _FLAG_MORE:
        raise struct.error("more property flags than AMQP 0-9-1 knows")
    offset = 2
    for flag in (pika.spec.BasicProperties.FLAG_CONTENT_TYPE, pika.spec.BasicProperties.FLAG_CONTENT_ENCODING):
        if flags & flag:
            offset += 1 + encoded[offset]
    size, = struct.unpack_from(">I", encoded, offset)
    return encoded[:offset] + bytes(4) + encoded[offset + 4 + size:]


def read_frame(data: bytes) -> tuple[int, Any]:
    """Like pika's decode_frame, but headers that cannot be decoded give DamagedProperties instead of an error."""
    try:
        return pika.frame.decode_frame(data)  # type: ignore[no-any-return]  # pika ships no types
    except Exception:
        kind, channel, size = struct.unpack_from(">BHL", data)
        if kind != pika.spec.FRAME_HEADER:
            raise
        payload = data[_FRAME_HEADER:_FRAME_HEADER + size]
        body_size, = struct.unpack_from(">Q", payload, 4)
        properties = DamagedProperties()
        properties.decode(_without_headers(payload[_CONTENT_HEADER:]))
        return _FRAME_HEADER + size + 1, pika.frame.Header(channel, body_size, properties)


class _Machine(pika.connection.Connection):  # type: ignore[misc]  # pika ships no types
    """pika's protocol machine; the methods are those its adapters implement."""

    def __init__(self, reactor: Any, parameters: Any, opened: Callable[[], None], lost: Callable[[Exception], None]) -> None:
        self._reactor = reactor
        self.transport: Any = None
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
        """Take the frames out one by one. pika's own loop copies all that is left for each of them, and asks its table of
        callbacks about every frame; of a busy connection's frames only few can have one.
        """
        buffer = self._rest + data if self._rest else data
        at, end = 0, len(buffer)
        while end - at > _FRAME_HEADER:
            kind, _, size = _HEADER.unpack_from(buffer, at)
            stop = at + _FRAME_HEADER + size + 1
            if kind not in _KINDS or size > (self.params.frame_max or _FRAME_MAX):
                raise pika.exceptions.InvalidFrameError(f"no frame: type {kind}, {size} bytes")
            if stop > end:
                break
            _, frame = read_frame(buffer[at:stop])
            self.bytes_received += stop - at
            at = stop
            if kind in _CONTENT or (kind == pika.spec.FRAME_METHOD and frame.method.INDEX in _DELIVERIES):
                self.frames_received += 1
                self._deliver_frame_to_channel(frame)
            else:
                self._process_frame(frame)
        self._rest = buffer[at:]

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        """A message's frames in one piece."""
        data = marshaled_frames[0] if len(marshaled_frames) == 1 else b"".join(marshaled_frames)
        self.bytes_sent += len(data)
        self.frames_sent += len(marshaled_frames)
        self._adapter_emit_data(data)

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
